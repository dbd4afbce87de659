/**
 * The operator contract: what built-in operators and those of users are made of.
 *
 * A synchronous operator is `attach(next, step) => (value, item) => void`: map calls `next` once, filter perhaps,
 * flatMap many times. The runtime attaches a run of them back to front, once for each task, and gets one
 * function that is called in a loop over the items of a batch.
 *
 * Laws (checked by `assertOperatorLaws`):
 * - the same input twice gives the same output; any split into chunks gives the same items, unless the operator makes groups;
 * - an operator catches nothing: a throw belongs to the runtime, which undoes the item;
 * - it calls `step.enter()` before it runs the user's code, so that a throw is told by the right step's name;
 * - it keeps nothing of an item beyond the call, except through `step.group` and between `join` and `onFlush`.
 */
import type { AsyncItemContext, ProcessContext, RunContext } from './context.ts'
import type { KeyedOperator } from './keyed.ts'
import type { LookupOperator } from './lookup.ts'
import type { Next, OperatorBase, Step } from './step.ts'

export type { FlushHooks, Next, Step } from './step.ts'

/** An operator that runs in the loop over items. */
export interface SyncOperator<in In, out Out> extends OperatorBase {
  readonly mode: 'sync'
  /** Whether one value may give several: then `signal.continue()` on one of them leaves the others alone. */
  readonly paths: 'one' | 'many'
  attach(next: Next<Out>, step: Step): Next<In>
}

/** Values with their owners, in offset order. */
export interface Entries<out T> {
  readonly values: readonly T[]
  readonly items: readonly number[]
}

/** What the runtime gives to an asynchronous operator, once for each task. */
export interface AsyncStep {
  readonly name: string
  /** The record's key as text, or null; one of the things that order can be kept by. */
  keyOf(item: number): string | null
  /**
   * Runs the user's callback for one entry: with a context of its own, a timeout, what it wrote and remembered kept
   * back until its turn. Never rejects: undefined means that the item was settled by a signal or a throw.
   * A result that is remembered from before a replay is given again without a call.
   */
  call<In, Out>(
    entry: { value: In; item: number; ordinal: number },
    callback: (value: In, ctx: AsyncItemContext) => Promise<Out> | Out,
    options: { timeoutMs: number },
  ): Promise<{ readonly value: Out } | undefined>
}

/** An operator that takes a whole batch and returns it: a barrier in the graph. */
export interface AsyncOperator<in In, out Out> extends OperatorBase {
  readonly mode: 'async'
  run(entries: Entries<In>, step: AsyncStep): Promise<Entries<Out>>
}

/** The three callbacks of a pipe, each of which may be asynchronous. */
export interface PipeCallbacks {
  prepare?(items: readonly unknown[], ctx: RunContext): unknown
  process(item: unknown, ctx: ProcessContext): unknown
  finish?(results: readonly unknown[], ctx: RunContext): unknown
}

/** An operator that takes all items of a run at once: a barrier that opens when the batch closes. */
export interface PipeOperator<in In, out Out> extends OperatorBase {
  readonly mode: 'pipe'
  /** Milliseconds after which an asynchronous callback counts as failed. */
  readonly timeoutMs: number
  /** Whether each run has callbacks of its own, which may keep values for it: a replay then begins with new ones. */
  readonly isClass: boolean
  /** The callbacks of one run. */
  begin(): PipeCallbacks
  /** Only for types: what goes in and what comes out. */
  readonly types?: (value: In) => Out
}

export type Operator<In, Out> =
  | SyncOperator<In, Out>
  | AsyncOperator<In, Out>
  | PipeOperator<In, Out>
  | KeyedOperator<In, Out>
  | LookupOperator<In, Out>

/**
 * Makes a synchronous operator.
 *
 * @example
 * const double = defineOperator<number, number>({
 *   kind: 'double',
 *   attach: (next) => (value, item) => next(value * 2, item),
 * })
 */
export function defineOperator<In, Out>(operator: {
  kind: string
  detail?: string
  callbacks?: readonly unknown[]
  paths?: 'one' | 'many'
  attach(next: Next<Out>, step: Step): Next<In>
}): SyncOperator<In, Out> {
  return Object.freeze({ mode: 'sync', paths: 'one', ...operator } as const)
}

/** Makes an asynchronous operator. */
export function defineAsyncOperator<In, Out>(operator: {
  kind: string
  detail?: string
  callbacks?: readonly unknown[]
  run(entries: Entries<In>, step: AsyncStep): Promise<Entries<Out>>
}): AsyncOperator<In, Out> {
  return Object.freeze({ mode: 'async', ...operator } as const)
}
