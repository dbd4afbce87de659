import type { ItemContext } from '../src/core/context.ts'
import { defineOperator, type SyncOperator } from '../src/core/operator.ts'

/** Passes on the values for which the predicate holds. */
export function filter<T>(keep: (value: T, ctx: ItemContext) => boolean): SyncOperator<T, T> {
  return defineOperator({
    kind: 'filter',
    callbacks: [keep],
    attach: (next, step) => (value, item) => {
      step.enter()
      if (keep(value, step.ctx)) next(value, item)
    },
  })
}
