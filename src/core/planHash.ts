import { createHash } from 'node:crypto'
import { describePlan } from './describe.ts'
import { type PlanLeaf, type PlanNode, stepsOf } from './plan.ts'

/**
 * Recognises a plan: its steps, their options and the text of their callbacks. What a callback calls elsewhere does not show.
 */
export function planHash(leaves: readonly PlanLeaf[]): string {
  const hash = createHash('sha1').update(describePlan(leaves))
  for (const node of stepsOf(leaves)) for (const callback of callbacksOf(node)) hash.update(`\0${String(callback)}`)
  return hash.digest('hex').slice(0, 16)
}

function callbacksOf(node: PlanNode): readonly unknown[] {
  switch (node.kind) {
    case 'operator':
      return node.operator.callbacks ?? []
    case 'sink':
      return node.row === undefined ? [] : [node.row]
    case 'branch':
      return [node.predicate]
    case 'rx':
      return [node.rx]
    default:
      return []
  }
}
