/** What all operators have, and what the runtime gives to a synchronous one. */
import type { GroupTrigger, ItemContext } from './context.ts'

/** Hands a value on. `item` is the owner: an item's index in its batch, or a group's number below 0. */
export type Next<T> = (value: T, item: number) => void

/** What the runtime gives to a synchronous operator, once for each task. */
export interface Step {
  readonly name: string
  readonly ctx: ItemContext
  /** Says that this step's user code runs next. */
  enter(): void
  /** Bytes of the item's record: its share of what a group keeps in memory. */
  bytesOf(item: number): number
  /** Milliseconds on the runtime's clock. */
  now(): number
  /**
   * Says that from now on another item's result may depend on this one. Undoing it then replays the batch
   * without it, because its traces cannot be picked out.
   */
  join(item: number): void
  /**
   * Hands a group on: what it gives belongs to all its members. Signals that come from downstream act on all
   * members; for an exception the guilty member is found by halving.
   */
  group<V>(next: Next<V[]>, values: V[], items: readonly number[], trigger: GroupTrigger): void
  /** Asks the runtime to keep the batch open until `deadline` at most, and to call `flush` when it closes. */
  onFlush(hooks: FlushHooks): void
}

/** How an operator that holds items between two calls takes part in the batch. */
export interface FlushHooks {
  /** Hands on what is held. `now` is past the deadline of those that close by time. */
  flush(now: number): void
  /** When the oldest thing held has to be handed on, in milliseconds on the runtime's clock; undefined when nothing is held. */
  deadline(): number | undefined
  /** Forgets everything: the batch is replayed or given up. */
  reset(): void
}

export interface OperatorBase {
  /** How steps of this kind are called: `map`. */
  readonly kind: string
  /** Options as `describe()` prints them. */
  readonly detail?: string
  /** The functions that it calls, by whose text a changed plan is recognised. */
  readonly callbacks?: readonly unknown[]
}
