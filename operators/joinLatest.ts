/** Joins what two streams have said last of a key: each is a table of its newest values. */
import type { Key } from '../src/core/key.ts'
import type { KeyedHandlers, KeyedOperator, KeyedState, KeyedStep, KeyRule } from '../src/core/keyed.ts'
import { type OptionRules, validateOptions } from '../src/core/options.ts'
import type { Next } from '../src/core/step.ts'
import type { Combine, JoinKind } from './_shared/joins.ts'

export interface JoinLatestOptions {
  /** Which keys have a result: those of both sides, all of the left one, all of either. Default: `inner`. */
  readonly join?: JoinKind
}

/** What a key has come to. */
export interface Latest<K, N> {
  readonly key: K
  /** Null when the key has no result any more. */
  readonly value: N | null
}

const rules: OptionRules = { join: { type: 'choice', of: ['inner', 'left', 'outer'] } }

const [left, right] = [0, 1] as const

/** Joins the newest values of each key, and gives a result whenever one of them has changed. */
export function joinLatest<K extends Key, L, R, N>(
  leftKey: KeyRule<L>,
  rightKey: KeyRule<R>,
  options: JoinLatestOptions,
  combine: Combine<L | undefined, R | undefined, N>,
): KeyedOperator<L, Latest<K, N>> {
  validateOptions('joinLatest()', options, rules)
  const { join = 'inner' } = options
  return Object.freeze({
    mode: 'keyed',
    kind: 'joinLatest',
    detail: join,
    callbacks: [leftKey.of, rightKey.of, combine],
    key: leftKey,
    otherKey: rightKey,
    time: undefined,
    shape: 'joinLatest',
    holdsBackMs: 0,
    attach: (next, _late, step): KeyedHandlers<L> => {
      const change = changing<K, N>(join, combine as Combine<unknown, unknown, N>, next, step)
      return {
        take: (value, item, state) => change(left, value, item, state),
        takeOther: (value, item, state) => change(right, value, item, state),
      }
    },
  } satisfies KeyedOperator<L, Latest<K, N>>)
}

function changing<K extends Key, N>(
  join: JoinKind,
  combine: Combine<unknown, unknown, N>,
  next: Next<Latest<K, N>>,
  step: KeyedStep,
) {
  const hasResult = (state: KeyedState) => {
    const [hasLeft, hasRight] = [state.get(left) !== undefined, state.get(right) !== undefined]
    if (join === 'inner') return hasLeft && hasRight
    return join === 'left' ? hasLeft : hasLeft || hasRight
  }
  return (side: 0 | 1, value: unknown, item: number, state: KeyedState): void => {
    const had = hasResult(state)
    if (value === null || value === undefined) state.delete(side)
    else state.set(side, value)
    const key = state.key as K
    if (!hasResult(state)) {
      if (had) next({ key, value: null }, item)
      return
    }
    step.enter()
    next({ key, value: combine(state.get(left), state.get(right), step.ctx) }, item)
  }
}
