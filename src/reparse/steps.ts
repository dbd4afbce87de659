/** What steps of a plan mean for running items of it again. */
import { PlanError } from '../core/errors.ts'
import { nameSteps, onlySourceOf, type PlanLeaf, type PlanNode, type SourceNode, stepsOf } from '../core/plan.ts'
import { untracked } from './reparseStore.ts'

/** A stream of the plan that is run again. */
export interface ReparsedStream {
  readonly name: string
  readonly source: SourceNode
  readonly leaves: readonly PlanLeaf[]
  readonly tables: readonly string[]
}

/**
 * Whether what a step gives for an item depends on items of other batches. What it keeps cannot be taken back for one item, and
 * items between would give something else.
 */
function keepsState(node: PlanNode): boolean {
  return node.kind === 'rx' || (node.kind === 'operator' && node.operator.mode === 'keyed')
}

/** Names of steps whose state is nowhere but in memory. */
export function keepsInMemory(leaves: readonly PlanLeaf[]): string[] {
  const nodes = stepsOf(leaves)
  const names = nameSteps(nodes)
  return nodes.flatMap((node) => (node.kind === 'rx' ? (names.get(node) ?? []) : []))
}

/** @throws PlanError, StoreError for a stream of which items cannot be run again on their own */
export function reparsedStream(name: string, leaves: readonly PlanLeaf[]): ReparsedStream {
  const nodes = stepsOf(leaves)
  const names = nameSteps(nodes)
  const stateful = nodes.find(keepsState)
  if (stateful !== undefined) {
    throw new PlanError('MR-REPARSE-STATE', {
      what: 'a reparse cannot run items again across a step that keeps state',
      why: 'What it gives for an item depends on those before, and cannot be taken back for one of them.',
      fix: 'Run the whole topic again into tables beside, and swap them: millrace reparse … --shadow.',
      place: { stream: name, step: names.get(stateful) },
    })
  }
  const sinks = nodes.flatMap((node) => (node.kind === 'sink' ? [node.sink] : []))
  for (const sink of sinks) if (!sink.track) throw untracked(sink.name)
  checkRules(name, nodes)
  const source = onlySourceOf('millrace reparse', name, leaves)
  return { name, source, leaves, tables: [...new Set(sinks.map((sink) => sink.name))] }
}

/** What was given to a row is put together by one rule for each column. */
function checkRules(stream: string, nodes: readonly PlanNode[]): void {
  const rules = new Map<string, string>()
  for (const node of nodes) {
    if (node.kind !== 'sink') continue
    const { name, key, onConflict } = node.sink
    const own = JSON.stringify([key, onConflict])
    const other = rules.get(name)
    rules.set(name, own)
    if (other === undefined || other === own) continue
    throw new PlanError('MR-REPARSE-RULES', {
      what: `table "${name}" is written by two descriptions, with different keys or rules`,
      fix: 'Describe it once, and let all steps use that.',
      place: { stream, step: node.name },
    })
  }
}

/** Steps whose results depend on more than the item: one line for each. */
export function notesOf(leaves: readonly PlanLeaf[]): string[] {
  const nodes = stepsOf(leaves)
  const names = nameSteps(nodes)
  return nodes.flatMap((node) => {
    const note = noteOf(node)
    return note === undefined ? [] : [`${names.get(node)}: ${note}`]
  })
}

function noteOf(node: PlanNode): string | undefined {
  if (node.kind === 'emit') return `what topic "${node.topic.name}" was sent stays there, and nothing is sent again`
  if (node.kind !== 'operator') return undefined
  switch (node.operator.kind) {
    case 'batch':
      return 'its groups are cut anew, among the items of the reparse'
    case 'process':
      return 'its batch and context scopes hold what the items of the reparse leave there, and no others'
    case 'mapAsync':
      return 'it asks outside again'
    default:
      return undefined
  }
}
