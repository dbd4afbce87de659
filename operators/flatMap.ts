import type { ItemContext } from '../src/core/context.ts'
import { defineOperator, type SyncOperator } from '../src/core/operator.ts'

/** Any number of values for each value. The iterable is drawn from one at a time, so it may be endless only if a signal ends it. */
export function flatMap<In, Out>(expand: (value: In, ctx: ItemContext) => Iterable<Out>): SyncOperator<In, Out> {
  return defineOperator({
    kind: 'flatMap',
    callbacks: [expand],
    paths: 'many',
    attach: (next, step) => (value, item) => {
      step.enter()
      for (const derived of expand(value, step.ctx)) {
        next(derived, item)
        // A generator's body runs between two values: it is this step that a throw in it belongs to.
        step.enter()
      }
    },
  })
}
