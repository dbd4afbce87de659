/**
 * The store as the tasks of a reparse see it: they are the stream's own, but for their progress, which is kept under a name of the
 * reparse, and their commits, which put what items make now in the place of what they have made before.
 */
import type { Outbox } from '../core/emit.ts'
import { StoreError } from '../core/errors.ts'
import type { Key } from '../core/key.ts'
import type { LookupQuery } from '../core/lookup.ts'
import type { RowBuffer, Sink } from '../core/sink.ts'
import type { StateStore } from '../core/stateStore.ts'
import type { Claim, CommitRequest, HeldItems, SourceProgress, Store, TaskId, WaitingItem } from '../core/store.ts'
import { reparseStream } from '../postgres/reparseAdmin.ts'

export class ReparseStore implements Store {
  readonly state: StateStore
  readonly outbox: Outbox
  readonly #store: Store
  readonly #id: number

  constructor(store: Store, id: number) {
    this.#store = store
    this.state = store.state
    this.outbox = store.outbox
    this.#id = id
  }

  async open(sinks: readonly Sink<never>[]): Promise<void> {
    for (const sink of sinks) if (!sink.track) throw untracked(sink.name)
    await this.#store.open(sinks)
  }

  createBuffers(sinks: readonly Sink<never>[]): RowBuffer[] {
    return this.#store.createBuffers(sinks)
  }

  async readProgress(app: string): ReturnType<Store['readProgress']> {
    const suffix = reparseStream('', this.#id)
    const rows = await this.#store.readProgress(app)
    return rows
      .filter(({ stream }) => stream.endsWith(suffix))
      .map((row) => ({ ...row, stream: row.stream.slice(0, -suffix.length) }))
  }

  claim(task: TaskId, starts: readonly SourceProgress[]): Promise<Claim> {
    return this.#store.claim({ ...task, stream: reparseStream(task.stream, this.#id) }, starts)
  }

  commit(request: CommitRequest): Promise<void> {
    return this.#store.commit({ ...request, again: true })
  }

  holdRows(sinks: readonly Sink<never>[]): Promise<readonly string[]> {
    return this.#store.holdRows(sinks)
  }

  removeProgress(app: string): Promise<void> {
    return this.#store.removeProgress(app)
  }

  lookup(query: LookupQuery<object>, keys: readonly Key[]): Promise<readonly object[]> {
    return this.#store.lookup(query, keys)
  }

  // What waits in the collector waits for the service.

  async waitingTasks(): ReturnType<Store['waitingTasks']> {
    return []
  }

  async takeWaiting(): Promise<readonly WaitingItem[]> {
    return []
  }

  async held(): Promise<HeldItems> {
    return { keys: [], parked: 0 }
  }

  async recordPlans(): Promise<void> {}

  async pruneErrors(): Promise<number> {
    return 0
  }

  close(): Promise<void> {
    return this.#store.close()
  }
}

/** A table is written of which nobody knows what items have made before. */
export function untracked(name: string): StoreError {
  return new StoreError('MR-REPARSE-UNTRACKED', {
    what: `table "${name}" is not tracked, so a reparse would write its rows a second time`,
    why: 'Nobody remembers which of its rows an item has made.',
    fix: `Describe it as table('${name}', { track: true }) and run the service with it; items that were run before that are run again with --shadow, which makes the whole table anew.`,
  })
}
