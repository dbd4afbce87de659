/** Joins the values of a stream with the row that a table, which is a compacted topic, has for their key. */
import type { ItemContext } from '../src/core/context.ts'
import { type Duration, durationMs, durationText } from '../src/core/duration.ts'
import type { KeyedHandlers, KeyedOperator, KeyedState, KeyRule } from '../src/core/keyed.ts'
import { type OptionRules, validateOptions } from '../src/core/options.ts'

export interface JoinTableOptions {
  /** Whether values without a row go on: `left` hands them on with undefined. Default: `inner`. */
  readonly join?: 'inner' | 'left'
  /**
   * How long rows are kept, in event time, once newer ones have taken their place: a value then meets the row that was there at its own
   * time. Default: it meets the newest one.
   */
  readonly versions?: Duration
}

const rules: OptionRules = { join: { type: 'choice', of: ['inner', 'left'] }, versions: { type: 'object' } }

/** Joins each value with the table's row of its key. */
export function joinTable<V, Row, N>(
  key: KeyRule<V>,
  tableKey: KeyRule<Row | null>,
  options: JoinTableOptions,
  combine: (value: V, row: Row | undefined, ctx: ItemContext) => N,
): KeyedOperator<V, N> {
  validateOptions('joinTable()', options, rules)
  const { join = 'inner', versions } = options
  const keptMs = versions === undefined ? undefined : durationMs('joinTable(): "versions"', versions, 1)
  return Object.freeze({
    mode: 'keyed',
    kind: 'joinTable',
    detail: keptMs === undefined ? join : `${join}, as of its time, kept for ${durationText(keptMs)}`,
    callbacks: [key.of, combine],
    key,
    otherKey: tableKey,
    time: undefined,
    shape: keptMs === undefined ? 'joinTable' : 'joinTable; versions',
    holdsBackMs: 0,
    attach(next, _late, step): KeyedHandlers<V> {
      const rowOf = keptMs === undefined ? newest : asOf
      return {
        take(value, item, state) {
          const row = rowOf(state, step.time) as Row | undefined
          if (row === undefined && join === 'inner') return
          step.enter()
          next(combine(value, row, step.ctx), item)
        },
        takeOther(row, _item, state) {
          if (keptMs === undefined) putNewest(state, row)
          else putVersion(state, row, step.time, step.watermark - keptMs)
        },
      }
    },
  } satisfies KeyedOperator<V, N>)
}

function newest(state: KeyedState): unknown {
  return state.get(0)
}

function putNewest(state: KeyedState, row: unknown): void {
  if (row === null) state.delete(0)
  else state.set(0, row)
}

/** The row that was there at a time: null stands for one that had been deleted. */
function asOf(state: KeyedState, time: number): unknown {
  const at = state.between(Number.NEGATIVE_INFINITY, time).at(-1)
  return at === undefined ? undefined : (state.get(at) ?? undefined)
}

/** @param until rows that others had taken the place of by then are not asked for any more */
function putVersion(state: KeyedState, row: unknown, time: number, until: number): void {
  state.set(time, row)
  const old = state.between(Number.NEGATIVE_INFINITY, until)
  for (const at of old.slice(0, -1)) state.delete(at)
  const last = old.at(-1)
  if (last !== undefined && state.get(last) === null) state.delete(last)
}
