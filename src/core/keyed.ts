/**
 * Keyed operators: what works on the values of one key with state that is kept beyond the batch.
 *
 * State of a key is a small ordered map of **cells**: each stands at a point of event time (a window at its start) or, where a
 * step keeps one thing for a key, at 0. A cell may have a time at which it is **due**: when the watermark has passed it, the
 * operator is told, once, and the cell is gone afterwards unless it was set again.
 *
 * The runtime keeps cells in memory, reads those that are not there before they are needed, takes back what undone items
 * did to them, and commits them with the rows. An operator keeps nothing by itself.
 */
import type { ItemContext } from './context.ts'
import type { Key } from './key.ts'
import type { Next, OperatorBase, Step } from './step.ts'

/** State of one key in one step. */
export interface KeyedState {
  readonly key: Key
  /** The value of a cell; undefined when there is none. Whoever changes it in place has to set it. */
  get(at: number): unknown
  /**
   * Makes or replaces a cell.
   *
   * @param due event time, in milliseconds, from which on it is due; without it never
   * @param before what the value was, where it is the same object and was changed in place: without it, undoing takes a replay
   */
  set(at: number, value: unknown, due?: number, before?: unknown): void
  delete(at: number): void
  /** Where the cells stand, in their order. */
  times(): readonly number[]
  /** Where those cells stand, in their order, that lie between two points: both included. */
  between(from: number, to: number): readonly number[]
}

/** What a derived value was made of: its identity together with stream and step. */
export interface Derivation {
  readonly key: Key
  /** The window that closed, or what else tells it from others of the key: in milliseconds. */
  readonly at: number
  /** Which of several of that key and time it is. */
  readonly nth?: number
  /** Its event time, in milliseconds. */
  readonly time: number
}

/** What the runtime gives to a keyed operator, once for each task. */
export interface KeyedStep extends Step {
  /** Event time of the value in hand, in milliseconds. */
  readonly time: number
  /** Event time before which nothing more is expected; -Infinity as long as nothing is known. */
  readonly watermark: number
  /** Hands on a value that no single record made. Undoing it undoes no record's item. */
  derive<V>(next: Next<V>, value: V, from: Derivation): void
  /** Counts a value, or its share in one window, that came too late. */
  countLate(): void
}

/** What a keyed operator does with values and with cells that are due. */
export interface KeyedHandlers<In> {
  take(value: In, item: number, state: KeyedState): void
  /** The same for a value of the second input. */
  takeOther?(value: unknown, item: number, state: KeyedState): void
  /** A cell is due. It is gone already: what stays has to be set. */
  due?(at: number, value: unknown, state: KeyedState): void
}

/** How event time is read from values, and how far they are from being in order. All in milliseconds. */
export interface EventTime<In> {
  /** Undefined: the time of the input. */
  readonly of: ((value: In, ctx: ItemContext) => Date | number) | undefined
  /** How much older than the newest one a value may be and still be expected. */
  readonly outOfOrderMs: number
  /** How far beyond the clock a time may be: an item that is further ahead moves no watermark, and is collected. */
  readonly maxAheadMs: number
}

/** An operator with state for each key: a barrier, because state may have to be read. One that joins has two inputs. */
export interface KeyedOperator<in In, out Out> extends OperatorBase {
  readonly mode: 'keyed'
  readonly key: KeyRule<In>
  /** How values of the second input are keyed. Their time is that of the input. */
  readonly otherKey?: KeyRule<never>
  /** Undefined: the time of the input. */
  readonly time: EventTime<In> | undefined
  /** What the state is made of: where this differs from what was stored under the step's name, the plan is refused. */
  readonly shape: string
  /** How far the watermark may be past the time of a derived value when it comes: in milliseconds. */
  readonly holdsBackMs: number
  /** @param late takes values that came too late */
  attach(next: Next<Out>, late: Next<unknown>, step: KeyedStep): KeyedHandlers<In>
}

/** How a stream is keyed. */
export interface KeyRule<in In> {
  readonly of: (value: In, ctx: ItemContext) => Key
  /** Whether records of a key are known to be in one partition, since it is the records' own key. Compared for each. */
  readonly isRecordKey: boolean
  /** What tells values of one key apart, where state is kept for each such. */
  readonly finer?: (value: In, ctx: ItemContext) => string
}
