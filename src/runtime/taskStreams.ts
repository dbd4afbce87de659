/** The streams that run in one task: its own, and those that depend on it or are triggered by it, each under its own name. */
import { PlanError } from '../core/errors.ts'
import { nameSteps, type PlanLeaf, type PlanNode, stepsOf } from '../core/plan.ts'
import type { StateStep } from '../core/stateStore.ts'
import { maxTaskStreams } from './owner.ts'

export interface TaskStream {
  /** What outcomes and collected items are counted under. */
  readonly name: string
  /** A dependent stream runs before the one that it was given to, and stands by itself; a triggered one falls with the results that it was given. */
  readonly relation: 'own' | 'depends' | 'triggers'
  /** Index of the stream that it takes its values from. */
  readonly parent: number
}

/** What a task runs. */
export interface TaskPlan extends TaskStreams {
  readonly leaves: readonly PlanLeaf[]
  /** Inputs before what uses them. */
  readonly steps: readonly PlanNode[]
}

export interface TaskStreams {
  /** The task's own stream comes first. */
  readonly streams: readonly TaskStream[]
  /** The index of the stream that a step belongs to. */
  readonly indexOf: ReadonlyMap<PlanNode, number>
}

function taskStreamsOf(name: string, nodes: readonly PlanNode[]): TaskStreams {
  const streams: TaskStream[] = [{ name, relation: 'own', parent: 0 }]
  const indexOf = new Map<PlanNode, number>()
  for (const node of nodes) {
    const inputs = node.inputs.map((input) => indexOf.get(input) as number)
    const parent = inputs[0] ?? 0
    if (node.kind === 'entry') {
      indexOf.set(node, streams.length)
      streams.push({ name: uniqueName(node.stream, streams), relation: node.relation, parent })
      continue
    }
    if (node.kind === 'merge' && new Set(inputs).size > 1) throw mergesStreams(name, node)
    indexOf.set(node, parent)
  }
  if (streams.length > maxTaskStreams) {
    throw new PlanError('MR-PLAN-STREAMS', {
      what: `${streams.length - 1} streams depend on this one or are triggered by it; ${maxTaskStreams - 1} are possible`,
      place: { stream: name },
    })
  }
  return { streams, indexOf }
}

/**
 * The steps of a task that keep state, by the names under which it is kept.
 *
 * @throws PlanError MR-PLAN-STATE-NAME when a name depends on the order of steps
 */
export function stateStepsOf(stream: string, steps: readonly PlanNode[]): StateStep[] {
  return [...nameSteps(steps)].flatMap(([node, step]) => {
    if (node.kind !== 'operator' || node.operator.mode !== 'keyed') return []
    if (step !== node.name) throw unstableName(stream, node.name)
    return [{ stream, step, shape: node.operator.shape }]
  })
}

function unstableName(stream: string, step: string): PlanError {
  return new PlanError('MR-PLAN-STATE-NAME', {
    what: `two steps that keep state are called "${step}"`,
    why: 'State is found again by the name of its step: one that depends on the order of steps would find that of another.',
    fix: `Name them: .named('…') behind it, or "name" where it is an option.`,
    place: { stream, step },
  })
}

/** @throws PlanError MR-PLAN-MERGE when a step takes from two of the streams; MR-PLAN-STREAMS when there are too many */
export function taskPlanOf(name: string, leaves: readonly PlanLeaf[]): TaskPlan {
  const steps = stepsOf(leaves)
  return { leaves, steps, ...taskStreamsOf(name, steps) }
}

/** The order in which the rows of one item come: what a stream depends on, the stream, what it triggers. */
export function placesOf(streams: readonly TaskStream[]): readonly number[] {
  const ordered: number[] = []
  const visit = (index: number) => {
    const own = (relation: TaskStream['relation']) =>
      streams.flatMap((stream, child) =>
        child > 0 && stream.parent === index && stream.relation === relation ? [child] : [],
      )
    for (const child of own('depends')) visit(child)
    ordered.push(index)
    for (const child of own('triggers')) visit(child)
  }
  visit(0)
  return streams.map((_, index) => ordered.indexOf(index) / streams.length)
}

function uniqueName(name: string, streams: readonly TaskStream[]): string {
  let unique = name
  for (let count = 2; streams.some((stream) => stream.name === unique); count++) unique = `${name}#${count}`
  return unique
}

function mergesStreams(name: string, node: PlanNode): PlanError {
  return new PlanError('MR-PLAN-MERGE', {
    what: 'merge() joins a stream with one that depends on it or is triggered by it',
    why: 'Each of them has outcomes of its own: an item may be undone in one and stand in the other.',
    fix: 'Merge inside of one segment, or write both into the same table.',
    place: { stream: name, step: node.name },
  })
}
