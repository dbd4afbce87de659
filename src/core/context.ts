/** What a callback is given beside the value. Valid during the callback only. */
import type { Logger } from './logger.ts'
import type { RecordView } from './record.ts'
import type { Sink } from './sink.ts'
import type { Scope } from './slot.ts'

/** Why a group was closed. */
export type GroupTrigger = 'size' | 'time' | 'flush'

interface WritingContext {
  /** Writes a row in the item's name: it commits, and is undone, with the item. */
  write<Row extends object>(sink: Sink<Row>, row: Row): void
  /** Logs with stream, step and position. */
  readonly log: Logger
}

/** The second argument of every synchronous callback. */
export interface ItemContext extends WritingContext {
  /** The record that the item came from. In a group there is no single one: use `records`. */
  readonly record: RecordView
  /** The records of a group's members; of a single item, its one record. */
  readonly records: readonly RecordView[]
  /** Why the group in hand was closed; undefined for a single item. */
  readonly trigger: GroupTrigger | undefined
  readonly scope: { readonly item: Scope }
}

/** The second argument of a `mapAsync` callback; sealed when the callback settles or times out. */
export interface AsyncItemContext extends WritingContext {
  readonly record: RecordView
  readonly records: readonly RecordView[]
  readonly scope: { readonly item: Scope }
  /** Aborts on timeout, when the partition is taken away, and at shutdown. */
  readonly abortSignal: AbortSignal
  /** The same for every try of this call, in every process: pass it to services that accept one. */
  readonly idempotencyKey: string
}
