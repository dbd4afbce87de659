/** Changes what a scene runs: calls are watched and take their time, items are undone from outside of the plan. */
import { setImmediate as nextTurn } from 'node:timers/promises'
import { tap } from '../../operators/tap.ts'
import type { ItemContext } from '../core/context.ts'
import type { AsyncOperator, AsyncStep, Operator } from '../core/operator.ts'
import { type PlanLeaf, type PlanNode, stepsOf } from '../core/plan.ts'

/** Two calls of a step were under way at once for one key. */
export interface Overlap {
  readonly step: string
  readonly key: string
}

/** What was seen of the calls of one run. */
export class Calls {
  readonly overlaps: Overlap[] = []
  /** Calls that have begun and not ended. */
  underWay = 0
  readonly #pace: readonly number[]
  #begun = 0

  /** @param pace turns of the event loop that calls wait before they begin, one after the other and then from the first again */
  constructor(pace: readonly number[]) {
    this.#pace = pace
  }

  nextPause(): number {
    return this.#pace[this.#begun++ % this.#pace.length] ?? 0
  }
}

export function watchCalls(leaves: readonly PlanLeaf[], calls: Calls): readonly PlanLeaf[] {
  return changed(leaves, (operator) => (operator.mode === 'async' ? watched(operator, calls) : operator))
}

function watched(operator: AsyncOperator<unknown, unknown>, calls: Calls): AsyncOperator<unknown, unknown> {
  return {
    ...operator,
    run(entries, step) {
      // Calls of two passes never meet: the first is through before the second begins.
      const open = new Set<string>()
      const call: AsyncStep['call'] = (entry, callback, options) => {
        const key = step.keyOf(entry.item)
        const timed: typeof callback = async (value, ctx) => {
          if (key !== null && open.has(key)) calls.overlaps.push({ step: step.name, key })
          if (key !== null) open.add(key)
          calls.underWay++
          try {
            for (let turns = calls.nextPause(); turns > 0; turns--) await nextTurn()
            return await callback(value, ctx)
          } finally {
            calls.underWay--
            if (key !== null) open.delete(key)
          }
        }
        return step.call(entry, timed, options)
      }
      return operator.run(entries, { name: step.name, keyOf: (item) => step.keyOf(item), call })
    },
  }
}

/** @param look is called with each item of each stream, in a leaf of its own: it may undo the item by a signal or a throw */
export function withLeaf(leaves: readonly PlanLeaf[], look: (ctx: ItemContext) => void): readonly PlanLeaf[] {
  const streams = new Map(leaves.map((leaf) => [leaf.name, sourceOf(leaf)]))
  const operator = tap<unknown>((_, ctx) => look(ctx)) as Operator<unknown, unknown>
  const added = Array.from(streams, ([name, source]): PlanLeaf => {
    return { name, node: { kind: 'operator', name: 'undone from outside', inputs: [source], operator } }
  })
  return [...leaves, ...added]
}

function sourceOf(leaf: PlanLeaf): PlanNode {
  return stepsOf([leaf])[0] as PlanNode
}

/** The same graph with other operators: what was shared stays shared. */
function changed(
  leaves: readonly PlanLeaf[],
  change: (operator: Operator<unknown, unknown>) => Operator<unknown, unknown>,
): readonly PlanLeaf[] {
  const made = new Map<PlanNode, PlanNode>()
  const copied = (node: PlanNode): PlanNode => {
    const known = made.get(node)
    if (known !== undefined) return known
    const inputs = node.inputs.map(copied)
    const copy: PlanNode =
      node.kind === 'operator' ? { ...node, inputs, operator: change(node.operator) } : { ...node, inputs }
    made.set(node, copy)
    return copy
  }
  return leaves.map(({ name, node }) => ({ name, node: copied(node) }))
}
