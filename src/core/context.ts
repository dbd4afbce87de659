/** What a callback is given beside the value. Valid during the callback only. */
import type { EmitOptions, TombstoneOptions } from './emit.ts'
import type { Logger } from './logger.ts'
import type { RecordView } from './record.ts'
import type { Sink } from './sink.ts'
import type { Scope } from './slot.ts'
import type { TopicSource } from './source.ts'

/** Why a group was closed. */
export type GroupTrigger = 'size' | 'time' | 'flush'

/**
 * Scopes that all callbacks of a run share. A run is one batch of an endless source, or the whole of a bounded input: what
 * depends on them depends on where batches are cut.
 */
export interface SharedScopeViews {
  /** Of one stream: empty at the beginning of each run. */
  readonly batch: Scope
  /** Of a stream, those that it depends on and those that it triggers: empty at the beginning of each run. */
  readonly context: Scope
}

/** Scopes of callbacks that work on one item. */
export interface ScopeViews extends SharedScopeViews {
  /** Of one item in one stream. */
  readonly item: Scope
}

interface WritingContext {
  /** Writes a row in the item's name: it commits, and is undone, with the item. */
  write<Row extends object>(sink: Sink<Row>, row: Row): void
  /** Writes a record to a topic in the item's name: it is sent when the item has committed, and never when it is undone. */
  write<T>(topic: TopicSource<T>, value: NoInfer<T & {}>, options?: EmitOptions): void
  /** Takes away what a topic has of a key. */
  write(topic: TopicSource<unknown>, value: null, options: TombstoneOptions): void
  /** Logs with stream, step and position. */
  readonly log: Logger
}

interface OneItem {
  /** Whether the item comes from the error collector: later ones of its partition may have been done before it. */
  readonly isReplay: boolean
  /** The record that the item came from. In a group there is no single one: use `records`. */
  readonly record: RecordView
}

interface SeveralItems {
  /** The records of a group's members; of a single item, its one record. */
  readonly records: readonly RecordView[]
}

/** What callbacks have that may be asynchronous. */
interface AsyncCallback {
  /** Aborts on timeout, when the partition is taken away, and at shutdown. */
  readonly abortSignal: AbortSignal
}

/** The second argument of every synchronous callback. */
export interface ItemContext extends WritingContext, OneItem, SeveralItems {
  /** Why the group in hand was closed; undefined for a single item. */
  readonly trigger: GroupTrigger | undefined
  readonly scope: ScopeViews
}

/** The second argument of a `mapAsync` callback; sealed when the callback settles or times out. */
export interface AsyncItemContext extends WritingContext, OneItem, SeveralItems, AsyncCallback {
  readonly scope: { readonly item: Scope }
  /** The same for every try of this call, in every process: pass it to services that accept one. */
  readonly idempotencyKey: string
}

/** Calls to the outside that are made once. */
interface RememberedCalls {
  /**
   * Calls a function and remembers what it answered or threw: when the batch is replayed, the same call with equal
   * arguments is answered from memory. After a crash it is made again.
   *
   * @example
   * const rate = await ctx.call('rate', [payment.currency], (currency) => rateOf(currency))
   *
   * @param name tells calls of one callback apart
   */
  call<Args extends unknown[], Result>(
    name: string,
    args: readonly [...Args],
    fn: (...args: NoInfer<Args>) => Promise<Result> | Result,
  ): Promise<Result>
}

/** The second argument of `process` in a pipe; sealed when an asynchronous one settles or times out. */
export interface ProcessContext extends ItemContext, AsyncCallback, RememberedCalls {
  /** The same for every try of this item, in every process: pass it to services that accept one. */
  readonly idempotencyKey: string
}

/** The second argument of `prepare` and `finish` in a pipe. What they write belongs to all items of the run. */
export interface RunContext extends WritingContext, SeveralItems, AsyncCallback, RememberedCalls {
  readonly scope: SharedScopeViews
}
