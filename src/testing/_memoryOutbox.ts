/** The outbox of a store in memory. */
import type { Emit, EmitRequest, LeftEmits, Outbox } from '../core/emit.ts'
import type { TaskId } from '../core/taskId.ts'

export class MemoryOutbox implements Outbox {
  readonly #tasks = new Map<string, LeftEmits>()

  /** Emits that wait, of all tasks. */
  get emits(): readonly Emit[] {
    return [...this.#tasks.values()].flatMap(({ emits }) => emits)
  }

  async left(task: TaskId): Promise<LeftEmits> {
    return this.#tasks.get(keyOf(task)) ?? { sequence: 0, emits: [] }
  }

  async forget(task: TaskId, upTo: number): Promise<void> {
    const known = this.#tasks.get(keyOf(task))
    if (known === undefined) return
    this.#tasks.set(keyOf(task), { ...known, emits: known.emits.filter(({ sequence }) => sequence > upTo) })
  }

  commit(task: TaskId, { sent, take }: EmitRequest): void {
    const { sequence, emits } = this.#tasks.get(keyOf(task)) ?? { sequence: 0, emits: [] }
    const taken = take()
    this.#tasks.set(keyOf(task), {
      sequence: taken.at(-1)?.sequence ?? sequence,
      emits: [...emits.filter((emit) => emit.sequence > sent), ...taken],
    })
  }
}

/** The outbox as one process sees it. */
export function outboxOf(outbox: Outbox, answer: <T>(ask: () => Promise<T>) => Promise<T>): Outbox {
  return {
    left: (task) => answer(() => outbox.left(task)),
    forget: (task, upTo) => answer(() => outbox.forget(task, upTo)),
  }
}

function keyOf({ app, stream, partition }: TaskId): string {
  return JSON.stringify([app, stream, partition])
}
