import type { ItemContext } from '../src/core/context.ts'
import { type Duration, durationMs, durationText } from '../src/core/duration.ts'
import { type Key, textOfKey } from '../src/core/key.ts'
import type { KeyedOperator, KeyRule } from '../src/core/keyed.ts'
import { type OptionRules, validateOptions } from '../src/core/options.ts'
import { type EventTimeOptions, eventTimeOf, eventTimeRules } from './_shared/eventTime.ts'

export interface DedupeOptions<V> extends EventTimeOptions<V> {
  /** How long after the first one, in event time, others are dropped. */
  readonly within: Duration
  /** What tells values of one key apart. Default: all of a key are the same. */
  readonly by?: (value: V, ctx: ItemContext) => Key
}

const rules: OptionRules = {
  ...eventTimeRules,
  within: { type: 'object', required: true },
  by: { type: 'function' },
}

/** Passes on the first of equal values, and drops those that come within a time. */
export function dedupe<V>(key: KeyRule<V>, options: DedupeOptions<V>): KeyedOperator<V, V> {
  validateOptions('dedupe()', options, rules)
  const { by } = options
  const withinMs = durationMs('dedupe(): "within"', options.within, 1)
  return Object.freeze({
    mode: 'keyed',
    kind: 'dedupe',
    detail: `within ${durationText(withinMs)}`,
    callbacks: [key.of, by],
    key: by === undefined ? key : { ...key, finer: (value: V, ctx: ItemContext) => textOfKey(by(value, ctx)) },
    time: eventTimeOf('dedupe()', options),
    shape: 'dedupe',
    holdsBackMs: 0,
    attach(next, _late, step) {
      return {
        take(value, item, state) {
          const first = state.get(0) as number | undefined
          if (first !== undefined && Math.abs(step.time - first) <= withinMs) return
          state.set(0, step.time, step.time + withinMs + 1)
          next(value, item)
        },
      }
    },
  } satisfies KeyedOperator<V, V>)
}
