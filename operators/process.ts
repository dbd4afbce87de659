import type { ProcessContext, RunContext } from '../src/core/context.ts'
import { PlanError } from '../src/core/errors.ts'
import type { PipeCallbacks, PipeOperator } from '../src/core/operator.ts'
import { type OptionRules, shown, validateOptions } from '../src/core/options.ts'
import type { Results } from './_shared/results.ts'

/**
 * A pipe: what is done with all items of a run before, with each, and with all results after. Each callback may be
 * asynchronous.
 */
export interface Pipe<In, Item, Result> {
  /**
   * Sees all items first. Answers with those to go on with: some of them, one new value for each in their order
   * (undefined for one to leave out), or what their own `filter`, `map` and `flatMap` make of them; nothing for all.
   */
  prepare?(items: readonly In[], ctx: RunContext): Prepared<Item> | Promise<Prepared<Item>>
  /** Works on one item at a time, in offset order. What it answers other than null and undefined is a result. */
  process(item: Item, ctx: ProcessContext): Result
  /** Sees the results of the items that stand. */
  finish?(results: readonly Results<Result>[], ctx: RunContext): unknown
}

/** Makes a pipe for each run: what it keeps in its fields is that run's. */
export type PipeClass<In, Item, Result> = new () => Pipe<In, Item, Result>

// biome-ignore lint/suspicious/noConfusingVoidType: what a callback without a return statement answers
type Prepared<Item> = readonly (Item | undefined)[] | undefined | void

export interface ProcessOptions {
  /** Milliseconds after which an asynchronous callback counts as failed. Default 30,000. */
  readonly timeoutMs?: number
}

const rules: OptionRules = { timeoutMs: { type: 'number', min: 1 } }

/** All items of a run, in three callbacks. */
export function process<In, Item, Result>(
  pipe: Pipe<In, Item, Result> | PipeClass<In, Item, Result>,
  options: ProcessOptions = {},
): PipeOperator<In, Results<Result>> {
  validateOptions('process()', options, rules)
  const isClass = typeof pipe === 'function'
  // The methods of a class may be fields, which only an object has.
  if (!isClass) requireCallbacks(pipe)
  return Object.freeze({
    mode: 'pipe',
    kind: 'process',
    timeoutMs: options.timeoutMs ?? 30_000,
    isClass,
    // Which types go in and out is the pipe's own affair from here on.
    callbacks: isClass ? [pipe] : [pipe.prepare, pipe.process, pipe.finish],
    begin() {
      const callbacks: unknown = isClass ? new pipe() : pipe
      requireCallbacks(callbacks)
      return callbacks
    },
  })
}

function requireCallbacks(pipe: unknown): asserts pipe is PipeCallbacks {
  const { prepare, process, finish } = (pipe ?? {}) as Record<string, unknown>
  const isCallback = (value: unknown) => typeof value === 'function'
  if (isCallback(process) && [prepare, finish].every((one) => one === undefined || isCallback(one))) return
  throw new PlanError('MR-PLAN-OPTION', {
    what: `process() takes an object or a class with process(item, ctx), and prepare and finish if wanted, but was given ${shown(pipe)}`,
    why: 'Each of the three must be a method or a function.',
  })
}
