import { createHash } from 'node:crypto'
import { describePlan } from './describe.ts'
import { callbacksOf, type PlanLeaf, stepsOf } from './plan.ts'

/**
 * Recognises a plan: its steps, their options and the text of their callbacks. What a callback calls elsewhere does not show.
 */
export function planHash(leaves: readonly PlanLeaf[]): string {
  const hash = createHash('sha1').update(describePlan(leaves))
  for (const node of stepsOf(leaves)) for (const callback of callbacksOf(node)) hash.update(`\0${String(callback)}`)
  return hash.digest('hex').slice(0, 16)
}
