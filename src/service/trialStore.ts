import type { CommittedEmit } from '../core/emit.ts'
import { requireRow } from '../core/row.ts'
import type { RowBuffer, Sink } from '../core/sink.ts'
import type { StateStore } from '../core/stateStore.ts'
import type { Claim, CommitRequest, HeldItems, SourceProgress, Store, TaskId } from '../core/store.ts'
import { emptyOutbox } from '../runtime/standInWriters.ts'

/** A row, or a record for a topic, that would be committed. */
export type TrialWrite = { readonly table: string; readonly row: object } | TrialEmit

/** A record that would be sent. */
export interface TrialEmit {
  readonly topic: string
  readonly key: string | undefined
  /** Null for a tombstone. */
  readonly value: unknown
  readonly headers: Readonly<Record<string, string>>
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

function trialEmit({ topic, key, value, headers, codec }: CommittedEmit): TrialEmit {
  return {
    topic,
    key: key?.toString(),
    value: value === null ? null : codec.decode(value, 0, value.length),
    headers: Object.fromEntries(headers.map((header) => [header.key, header.value?.toString() ?? ''])),
  }
}

/** A store that keeps nothing: it shows what would be committed. Tables are not looked at. */
export class TrialStore implements Store {
  /** What is asked of a database is asked of the real one. */
  readonly lookup: Store['lookup']
  readonly writes: TrialWrite[] = []
  /** A trial begins with no state. */
  readonly state: StateStore = {
    open: async () => {},
    extent: async () => ({ isEmpty: true, firstDue: null }),
    read: async () => [],
    readDue: async () => ({ rows: [], last: undefined, next: null }),
  }

  readonly outbox = emptyOutbox

  constructor(lookup: Store['lookup']) {
    this.lookup = lookup
  }

  createBuffers(sinks: readonly Sink<never>[]): RowBuffer[] {
    return sinks.map((sink) => new TrialBuffer(sink))
  }

  async commit({ buffers, position, emits }: CommitRequest): Promise<void> {
    for (const buffer of buffers) {
      if (!(buffer instanceof TrialBuffer)) continue
      for (const { row, owner } of buffer.rows) {
        if (position(owner) !== undefined) this.writes.push({ table: buffer.sink.name, row })
      }
    }
    for (const emit of emits?.take() ?? []) this.writes.push(trialEmit(emit))
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
