/** Draws plans as text and as Mermaid, without connecting to anything. */
import { durationText } from './duration.ts'
import { feedersOf, nameSteps, type PlanLeaf, type PlanNode, type SourceNode, stepsOf } from './plan.ts'

/**
 * A plan as indented text, one step a line; what branches off is indented below the step it branches from.
 *
 *     stream "flights"
 *       from:flights      topic flights, json
 *       filter
 *       to:flights        table flights
 */
export function describePlan(leaves: readonly PlanLeaf[]): string {
  const lines: string[] = []
  for (const [name, own] of byStream(leaves)) {
    lines.push(`stream "${name}"`)
    const nodes = stepsOf(own)
    const names = nameSteps(nodes)
    const outputs = outputsOf(nodes)
    const drawn = new Set<PlanNode>()
    const draw = (node: PlanNode, depth: number): void => {
      for (let current: PlanNode | undefined = node, level = depth; current !== undefined; ) {
        const indent = '  '.repeat(level)
        if (drawn.has(current)) {
          lines.push(`${indent}→ ${names.get(current)}`)
          return
        }
        drawn.add(current)
        lines.push(`${indent}${`${names.get(current)}`.padEnd(20)} ${detailOf(current)}`.trimEnd())
        const following: readonly PlanNode[] = outputs.get(current) ?? []
        if (following.length > 1) {
          for (const next of following) draw(next, level + 1)
          return
        }
        current = following[0]
      }
    }
    for (const node of nodes) if (node.kind === 'source') draw(node, 1)
  }
  return lines.join('\n')
}

/** A plan as a Mermaid flowchart. */
export function planToMermaid(leaves: readonly PlanLeaf[]): string {
  const lines = ['flowchart LR']
  let drawn = 0
  for (const [name, own] of byStream(leaves)) {
    const nodes = stepsOf(own)
    const names = nameSteps(nodes)
    const ids = new Map(nodes.map((node) => [node, `n${drawn++}`]))
    lines.push(`  subgraph ${quoted(`stream ${name}`)}`)
    for (const node of nodes) {
      const label = quoted([names.get(node), detailOf(node)].filter((part) => part !== '').join('<br/>'))
      const [open, close] = ['source', 'sink', 'emit'].includes(node.kind) ? ['[(', ')]'] : ['[', ']']
      lines.push(`    ${ids.get(node)}${open}${label}${close}`)
    }
    for (const node of nodes) {
      const feeders = feedersOf(node)
      for (const input of node.inputs) {
        lines.push(`    ${ids.get(input)} ${feeders.includes(input) ? '-->' : '-.-'} ${ids.get(node)}`)
      }
    }
    lines.push('  end')
  }
  return lines.join('\n')
}

/** Leaves by the name of their stream: a stream is its name. */
export function byStream(leaves: readonly PlanLeaf[]): Map<string, PlanLeaf[]> {
  const streams = new Map<string, PlanLeaf[]>()
  for (const leaf of leaves) {
    const own = streams.get(leaf.name)
    if (own === undefined) streams.set(leaf.name, [leaf])
    else own.push(leaf)
  }
  return streams
}

/** Which steps take the values of a step. */
export function outputsOf(nodes: readonly PlanNode[]): Map<PlanNode, PlanNode[]> {
  const outputs = new Map<PlanNode, PlanNode[]>()
  for (const node of nodes) {
    for (const input of feedersOf(node)) {
      const own = outputs.get(input)
      if (own === undefined) outputs.set(input, [node])
      else own.push(node)
    }
  }
  return outputs
}

function detailOf(node: PlanNode): string {
  switch (node.kind) {
    case 'source':
      return `${node.source.kind === 'topic' ? `topic ${node.source.name}, ${node.source.codec.name}` : node.source.detail}${timeText(node)}`
    case 'operator':
      return node.operator.detail ?? ''
    case 'sink':
      return `table ${node.sink.name}${node.sink.key.length === 0 ? '' : `, upsert by ${node.sink.key.join(', ')}`}`
    case 'emit':
      return `topic ${node.topic.name}, ${node.topic.codec.name}`
    case 'branch':
      return ''
    case 'port':
      return node.port === 0 ? 'when true' : 'when false'
    case 'merge':
      return ''
    case 'rx':
      return 'any RxJS operator: items lose their own rollback here'
    case 'entry':
      return node.relation === 'depends'
        ? `stream ${node.stream}, on the same items`
        : `stream ${node.stream}, on the results`
    case 'tie':
      return node.relation === 'depends' ? 'when that is finished' : ''
  }
}

function timeText({ time }: SourceNode): string {
  if (time === undefined) return ''
  const { of, outOfOrderMs, maxAheadMs } = time
  const parts = [
    of === undefined ? '' : ', event time of its values',
    outOfOrderMs === 0 ? '' : `, ${durationText(outOfOrderMs)} out of order`,
    Number.isFinite(maxAheadMs) ? `, ${durationText(maxAheadMs)} ahead at most` : '',
  ]
  return parts.join('')
}

function quoted(text: string): string {
  return `"${text.replaceAll('"', '#quot;')}"`
}
