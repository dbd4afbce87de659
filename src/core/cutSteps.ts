/** Which steps of a stream give something else where its input is cut into other batches. */
import { callbacksOf, nameSteps, type PlanLeaf, type PlanNode, stepsOf } from './plan.ts'

/** One line for each such step, as `process: prepare sees the items of one batch together`. */
export function cutSteps(leaves: readonly PlanLeaf[]): string[] {
  const nodes = stepsOf(leaves)
  const names = nameSteps(nodes)
  return nodes.flatMap((node) => reasonsOf(node).map((reason) => `${names.get(node)}: ${reason}`))
}

function reasonsOf(node: PlanNode): string[] {
  if (node.kind === 'rx') return ['RxJS is given the items of a batch when it closes']
  const reasons: string[] = []
  if (node.kind === 'operator') {
    const { operator } = node
    if (operator.kind === 'batch') reasons.push('no group outlives its batch; a stable group is countWindow()')
    if (operator.mode === 'pipe') {
      const { prepare, finish } = operator.begin()
      if (prepare !== undefined) reasons.push('prepare sees the items of one batch together')
      if (finish !== undefined) reasons.push('finish sees the results of one batch together')
    }
  }
  const scopes = scopesIn(callbacksOf(node))
  if (scopes !== '')
    reasons.push(`it uses ${scopes}, empty at the beginning of each batch; what is kept beyond it is state: stateful()`)
  return reasons
}

/** Scopes of a batch that callbacks name. What they call elsewhere does not show. */
function scopesIn(callbacks: readonly unknown[]): string {
  const text = callbacks.map(String).join('\n')
  return ['batch', 'context']
    .filter((name) => new RegExp(`\\bscope\\s*\\??\\.\\s*${name}\\b`).test(text))
    .map((name) => `ctx.scope.${name}`)
    .join(' and ')
}
