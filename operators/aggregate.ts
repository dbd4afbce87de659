/** Aggregates of all values of a key so far. */
import type { KeyedOperator, KeyRule } from '../src/core/keyed.ts'
import type { Accumulation, Aggregates } from './_shared/aggregators.ts'

/** Gives, for each value, what its key has come to. */
export function aggregate<V>(
  key: KeyRule<V>,
  accumulation: Accumulation<V>,
  aggregates: Aggregates<V>,
): KeyedOperator<V, object> {
  return Object.freeze({
    mode: 'keyed',
    kind: 'aggregate',
    detail: 'of all values of a key, on update',
    callbacks: [key.of, ...Object.values(aggregates).flatMap(({ add, result }) => [add, result])],
    key,
    time: undefined,
    shape: accumulation.shape,
    holdsBackMs: 0,
    attach(next, _late, step) {
      return {
        take(value, item, state) {
          step.enter()
          const known = state.get(0) as unknown[] | undefined
          const before = known === undefined ? undefined : accumulation.copyOf(known)
          const accumulators = accumulation.add(known ?? accumulation.init(), value, step.time)
          state.set(0, accumulators, undefined, before)
          next(accumulation.results(accumulators, { key: state.key }), item)
        },
      }
    },
  } satisfies KeyedOperator<V, object>)
}
