import type { ItemContext } from '../src/core/context.ts'
import { defineOperator, type SyncOperator } from '../src/core/operator.ts'

/** One value for each value. */
export function map<In, Out>(change: (value: In, ctx: ItemContext) => Out): SyncOperator<In, Out> {
  return defineOperator({
    kind: 'map',
    callbacks: [change],
    attach: (next, step) => (value, item) => {
      step.enter()
      next(change(value, step.ctx), item)
    },
  })
}
