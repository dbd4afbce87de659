import { requireRow } from '../core/row.ts'
import type { RowBuffer, Sink } from '../core/sink.ts'
import type { StateStore } from '../core/stateStore.ts'
import type { Claim, CommitRequest, HeldItems, SourceProgress, Store, TaskId } from '../core/store.ts'

/** A row that would be committed. */
export interface TrialWrite {
  readonly table: string
  readonly row: object
}

class TrialBuffer implements RowBuffer {
  readonly sink: Sink<never>
  readonly rows: { readonly row: object; readonly owner: number }[] = []
  readonly byteSize = 0

  constructor(sink: Sink<never>) {
    this.sink = sink
  }

  get length(): number {
    return this.rows.length
  }

  append(row: object, owner: number): void {
    requireRow(row, this.sink.name)
    this.rows.push({ row: { ...row }, owner })
  }

  truncate(length: number): void {
    this.rows.length = length
  }

  eachOwner(callback: (owner: number) => void): void {
    for (const { owner } of this.rows) callback(owner)
  }
}

/** A store that keeps nothing: it shows what would be committed. Tables are not looked at. */
export class TrialStore implements Store {
  readonly writes: TrialWrite[] = []
  /** A trial begins with no state. */
  readonly state: StateStore = {
    open: async () => {},
    extent: async () => ({ isEmpty: true, firstDue: null }),
    read: async () => [],
    readDue: async () => ({ rows: [], last: undefined, next: null }),
  }

  createBuffers(sinks: readonly Sink<never>[]): RowBuffer[] {
    return sinks.map((sink) => new TrialBuffer(sink))
  }

  async commit({ buffers, position }: CommitRequest): Promise<void> {
    for (const buffer of buffers) {
      if (!(buffer instanceof TrialBuffer)) continue
      for (const { row, owner } of buffer.rows) {
        if (position(owner) !== undefined) this.writes.push({ table: buffer.sink.name, row })
      }
    }
  }

  async claim(task: TaskId, starts: readonly SourceProgress[]): Promise<Claim> {
    return { task, owner: '', version: 0, progress: starts, budget: null, halted: null, watermarks: null }
  }

  async open(): Promise<void> {}
  async close(): Promise<void> {}
  async readProgress(): Promise<[]> {
    return []
  }
  async holdRows(): Promise<[]> {
    return []
  }
  async waitingTasks(): Promise<[]> {
    return []
  }
  async takeWaiting(): Promise<[]> {
    return []
  }
  async removeProgress(): Promise<void> {}
  async held(): Promise<HeldItems> {
    return { keys: [], parked: 0 }
  }
  async recordPlans(): Promise<void> {}
  async pruneErrors(): Promise<number> {
    return 0
  }
}
