/** Which steps of a stream give something else when an item comes later than it once did: what somebody should know before a replay. */
import { nameSteps, type PlanLeaf, type PlanNode, stepsOf } from './plan.ts'
import type { Sink } from './sink.ts'

/** One line for each such step, as `to:totals: the last row of a key wins`. */
export function orderSteps(leaves: readonly PlanLeaf[]): string[] {
  const nodes = stepsOf(leaves)
  const names = nameSteps(nodes)
  return nodes.flatMap((node) => {
    const reason = reasonOf(node)
    return reason === undefined ? [] : [`${names.get(node)}: ${reason}`]
  })
}

function reasonOf(node: PlanNode): string | undefined {
  switch (node.kind) {
    case 'sink':
      return upsertReason(node.sink)
    case 'operator':
      if (node.operator.mode === 'keyed')
        return 'its state has seen later values, and a window that is closed takes the item for late'
      if (node.operator.mode === 'lookup') return 'it finds the rows that are there when the replay comes'
      if (node.operator.kind === 'process')
        return 'its scopes hold what the items of the replay leave there, and no others'
      if (node.operator.kind === 'batch') return 'its groups are made of the items of the replay'
      return undefined
    case 'emit':
      return 'its records come later than those of items behind it'
    case 'rx':
      return 'RxJS sees the items later than others'
    default:
      return undefined
  }
}

function upsertReason({ key, columns, onConflict, track }: Sink<never>): string | undefined {
  // Whatever a tracked table holds of a key is made of its rows in offset order.
  if (key.length === 0 || track) return undefined
  if (onConflict === 'nothing') return 'the first row of a key stays'
  const rules: Readonly<Record<string, string | undefined>> = onConflict
  if (Object.values(rules).includes('replace')) return 'the last row of a key wins'
  // A column without a rule is replaced. Which columns there are is known only where they are stated.
  const others = columns?.filter((column) => !key.includes(column) && rules[column] === undefined)
  if (others === undefined) return 'in columns without a rule the last row of a key wins'
  if (others.length > 0) return `the last row of a key wins (${others.join(', ')})`
  return Object.values(rules).includes('keep') ? 'the first row of a key stays' : undefined
}
