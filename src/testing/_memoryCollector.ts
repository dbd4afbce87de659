/** The error collector of a store in memory. */
import type { CollectedItem, Settlement, TaskId, WaitingItem } from '../core/store.ts'

type State = CollectedItem['state'] | 'replaying' | 'done' | 'ignored'

interface Kept {
  readonly id: number
  readonly app: string
  item: CollectedItem
  state: State
  /** Milliseconds on the store's clock. */
  retryAt: number
}

export class MemoryCollector {
  readonly #now: () => number
  readonly #kept: Kept[] = []

  constructor(now: () => number) {
    this.#now = now
  }

  /** Items that are not settled, in the order in which they came. */
  get items(): readonly CollectedItem[] {
    return this.#kept.filter(isUnsettled).map(({ item }) => item)
  }

  add(app: string, items: readonly CollectedItem[]): void {
    for (const item of items) {
      this.#kept.push({ id: this.#kept.length + 1, app, item, state: item.state, retryAt: this.#retryAt(item) })
    }
  }

  settle(settlements: readonly Settlement[]): void {
    for (const { id, outcome, failure } of settlements) {
      const kept = this.#kept.find((one) => String(one.id) === id)
      if (kept === undefined || !isUnsettled(kept)) continue
      if (outcome !== 'failed') kept.state = outcome
      else if (failure !== undefined) {
        kept.item = failure
        kept.state = failure.state
        kept.retryAt = this.#retryAt(failure)
      }
    }
  }

  /** Asks for the items that are open to be run again. */
  replay(): void {
    for (const kept of this.#kept) if (kept.state === 'open') kept.state = 'replaying'
  }

  waitingTasks(app: string): { stream: string; partition: number }[] {
    const tasks = new Map<string, { stream: string; partition: number }>()
    for (const kept of this.#kept) {
      if (kept.app !== app || this.#kindOf(kept) === undefined) continue
      const { taskStream: stream, partition } = kept.item
      tasks.set(JSON.stringify([stream, partition]), { stream, partition })
    }
    return [...tasks.values()]
  }

  take(task: TaskId, limit: number): WaitingItem[] {
    const waiting = this.#ofTask(task).flatMap((kept): WaitingItem[] => {
      const kind = this.#kindOf(kept)
      if (kind === undefined) return []
      const { error: _, step: __, retryInMs: ___, state: ____, taskStream: _____, ...item } = kept.item
      return [{ ...item, id: String(kept.id), kind }]
    })
    return waiting.sort((a, b) => a.offset - b.offset || Number(a.id) - Number(b.id)).slice(0, limit)
  }

  heldKeys(task: TaskId): string[] {
    return [
      ...new Set(
        this.#ofTask(task)
          .filter(isUnsettled)
          .flatMap(({ item }) => keyOf(item) ?? []),
      ),
    ]
  }

  #ofTask({ app, stream, partition }: TaskId): Kept[] {
    return this.#kept.filter(
      (kept) => kept.app === app && kept.item.taskStream === stream && kept.item.partition === partition,
    )
  }

  /** Why an item is to be run now; undefined when it is not. */
  #kindOf(kept: Kept): WaitingItem['kind'] | undefined {
    switch (kept.state) {
      case 'replaying':
        return 'replay'
      case 'deferred':
        return kept.retryAt <= this.#now() ? 'deferred' : undefined
      case 'parked':
        return this.#isFirstOfItsKey(kept) ? 'parked' : undefined
      default:
        return undefined
    }
  }

  #isFirstOfItsKey({ id, app, item }: Kept): boolean {
    return !this.#kept.some(
      (other) =>
        isUnsettled(other) &&
        other.app === app &&
        other.item.taskStream === item.taskStream &&
        other.item.partition === item.partition &&
        keyOf(other.item) === keyOf(item) &&
        (other.item.offset < item.offset || (other.item.offset === item.offset && other.id < id)),
    )
  }

  #retryAt({ retryInMs }: CollectedItem): number {
    return this.#now() + (retryInMs ?? 0)
  }
}

function isUnsettled({ state }: Kept): boolean {
  return state !== 'done' && state !== 'ignored'
}

function keyOf({ key }: CollectedItem): string | undefined {
  return key?.toString('latin1')
}
