import type { ItemContext } from '../src/core/context.ts'
import { defineOperator, type SyncOperator } from '../src/core/operator.ts'

/** Looks at each value and passes it on as it is. */
export function tap<T>(look: (value: T, ctx: ItemContext) => void): SyncOperator<T, T> {
  return defineOperator({
    kind: 'tap',
    callbacks: [look],
    attach: (next, step) => (value, item) => {
      step.enter()
      look(value, step.ctx)
      next(value, item)
    },
  })
}
