/** Attaches the steps of one stream for one task: back to front, each operator to the function behind it. */
import { outputsOf } from '../core/describe.ts'
import { InternalError, PlanError } from '../core/errors.ts'
import type { EventTime } from '../core/keyed.ts'
import type { FlushHooks, Next, Step } from '../core/operator.ts'
import { Outcome } from '../core/outcome.ts'
import {
  type BranchNode,
  type EmitNode,
  feedersOf,
  nameSteps,
  type PlanNode,
  type SinkNode,
  stepsOf,
} from '../core/plan.ts'
import { syncWatch } from '../core/signal.ts'
import { AsyncCalls } from './asyncCalls.ts'
import { AsyncBarrier, type Barrier, MergeBarrier, RxBarrier } from './barriers.ts'
import type { Batch } from './batch.ts'
import type { CallMemory } from './callMemory.ts'
import { StepContext } from './contexts.ts'
import { absorbContinue, fanOut } from './drive.ts'
import { EventTimeReader } from './eventTime.ts'
import { handOnGroup } from './groups.ts'
import { KeyedBarrier } from './keyedBarrier.ts'
import { LookupBarrier } from './lookupBarrier.ts'
import { itemOf } from './owner.ts'
import { ProcessBarrier } from './processBarrier.ts'
import { swallowedSignal } from './settle.ts'
import { DependsBarrier, dependentEntry, TriggerBarrier } from './streamBarriers.ts'
import type { TaskInfo } from './taskInfo.ts'
import type { TaskPlan } from './taskStreams.ts'
import { write } from './write.ts'

/** A barrier with everything behind it up to the next one; the first stage has none. */
export interface Stage {
  barrier: Barrier | undefined
  /** In the order of the steps, so that what one hands on reaches the next before that one is flushed. */
  readonly flushHooks: FlushHooks[]
}

export interface Attached {
  /** Take decoded values into the first stage: one for each of the task's inputs. */
  readonly entries: readonly Next<unknown>[]
  readonly stages: readonly Stage[]
}

/**
 * @param wake called when RxJS gives something back while no pass is under way
 */
export function attachPlan(
  { leaves, steps, indexOf }: TaskPlan,
  batch: Batch,
  info: TaskInfo,
  memory: CallMemory,
  wake: () => void,
): Attached {
  const names = nameSteps(steps)
  const outputs = outputsOf(steps)
  // A stream that another one depends on or triggers ends where it is tied to it.
  const ends = new Set([
    ...leaves.map((leaf) => leaf.node),
    ...steps.flatMap((node) => (node.kind === 'tie' ? node.inputs.slice(1) : [])),
  ])
  const sources = steps.filter(({ kind }) => kind === 'source')
  const { stageOf, isBarrier, count } = cutIntoStages(steps)
  const stages: Stage[] = Array.from({ length: count }, () => ({ barrier: undefined, flushHooks: [] }))
  const inlets = new Map<PlanNode, Next<unknown>>()
  /** Of steps that join, for what comes from their second input. */
  const otherInlets = new Map<PlanNode, Next<unknown>>()
  const toDependent = stepsToDependents(steps)
  const reach: Next<unknown> = (_, owner) => batch.marks.reach(owner, Outcome.done)

  /** What takes the values that a step gives: one function, also when several steps follow or none. */
  const outletOf = (node: PlanNode): Next<unknown> => fanOut(batch, targetsOf(node))

  const targetsOf = (node: PlanNode): Next<unknown>[] => {
    // Late values leave by a port of their own.
    const consumers = new Set(outputs.get(node)?.filter(({ kind }) => node.kind !== 'operator' || kind !== 'port'))
    const targets = [...consumers].flatMap((consumer) =>
      feedersOf(consumer).flatMap((feeder, side) => {
        if (feeder !== node) return []
        const inlet = inletOf(consumer, side)
        return toDependent.has(node) && !toDependent.has(consumer) ? withoutUndone(batch, inlet) : inlet
      }),
    )
    if (ends.has(node)) targets.push(reach)
    return targets
  }

  /** @param side which of the node's inputs the values come from */
  const inletOf = (node: PlanNode, side = 0): Next<unknown> => {
    let inlet = inlets.get(node)
    if (inlet === undefined) {
      inlet = attach(node)
      inlets.set(node, inlet)
    }
    return (side === 1 ? otherInlets.get(node) : undefined) ?? inlet
  }

  const attach = (node: PlanNode): Next<unknown> => {
    const name = names.get(node) as string
    const stage = stages[stageOf.get(node) as number] as Stage
    const outlet = outletOf(node)
    const step = () => {
      const made = createStep(batch, info, name, stage)
      return toDependent.has(node) ? holdingNothing(made, info) : made
    }
    const behind = (barrier: Barrier) => {
      stage.barrier = barrier
      return (value: unknown, owner: number) => {
        // Once taken, it may go on to a stream that depends on this one, although its item has fallen.
        if (syncWatch.raised !== undefined) throw swallowedSignal(batch, batch.item, info, syncWatch)
        barrier.take(value, owner)
      }
    }
    switch (node.kind) {
      case 'source':
        return node.time === undefined ? outlet : attachTime(node.time, outlet, step(), batch, info)
      case 'port':
        return outlet
      case 'sink':
        return attachSink(node, outlet, step(), batch)
      case 'emit':
        return attachEmit(node, outlet, step(), batch)
      case 'merge':
        return isBarrier.has(node) ? behind(new MergeBarrier(batch, info, outlet)) : outlet
      case 'rx':
        return behind(new RxBarrier(batch, info, outlet, { rx: node.rx, name, wake }))
      case 'branch': {
        const side = (port: 0 | 1) =>
          fanOut(
            batch,
            portsOf(node, port, outputs).map((outlet) => inletOf(outlet)),
          )
        return attachBranch(node, side(0), side(1), step())
      }
      case 'operator': {
        const { operator } = node
        if (operator.mode === 'sync') {
          return operator.attach(operator.paths === 'many' ? absorbContinue(batch, outlet) : outlet, step())
        }
        if (operator.mode === 'lookup')
          return behind(new LookupBarrier(batch, info, outlet, { operator, step: step() }))
        if (operator.mode !== 'async' && toDependent.has(node)) throw dependsTooLate(info, name)
        if (operator.mode === 'keyed') {
          const barrier = new KeyedBarrier({
            ...{ batch, info, operator, stream: indexOf.get(node) as number, step: step(), cache: info.stateCache },
            next: absorbContinue(batch, outlet),
            late: absorbContinue(
              batch,
              fanOut(
                batch,
                portsOf(node, 1, outputs).map((outlet) => inletOf(outlet)),
              ),
            ),
            heldBackMs: heldBackMs(node),
            inputs: inputsOf(node, sources),
          })
          stage.barrier = barrier
          if (operator.otherKey !== undefined) otherInlets.set(node, (value, owner) => barrier.takeOther(value, owner))
          return (value: unknown, owner: number) => barrier.take(value, owner)
        }
        if (operator.mode === 'pipe') return behind(new ProcessBarrier(batch, info, outlet, { name, operator, memory }))
        return behind(new AsyncBarrier(batch, info, outlet, operator, new AsyncCalls(name, batch, info, memory)))
      }
      case 'entry': {
        const stream = indexOf.get(node) as number
        if (node.relation === 'depends') return dependentEntry(batch, info, stream, outlet)
        return behind(new TriggerBarrier(batch, info, outlet, stream))
      }
      case 'tie':
        return node.relation === 'depends' ? behind(new DependsBarrier(batch, info, outlet)) : outlet
      default:
        node satisfies never
        throw new InternalError('MR-INTERNAL-STEP', { what: 'a step of an unknown kind' })
    }
  }

  const entries = sources.map((source) => inletOf(source))
  return { entries, stages }
}

/** Numbers stages: a new one begins at each barrier. */
function cutIntoStages(steps: readonly PlanNode[]) {
  const stageOf = new Map<PlanNode, number>()
  const isBarrier = new Set<PlanNode>()
  let count = 1
  for (const node of steps) {
    const before = feedersOf(node).map((input) => stageOf.get(input) as number)
    const begins = opensBarrier(node) || new Set(before).size > 1
    if (begins) isBarrier.add(node)
    stageOf.set(node, begins ? count++ : (before[0] ?? 0))
  }
  return { stageOf, isBarrier, count }
}

function opensBarrier(node: PlanNode): boolean {
  switch (node.kind) {
    case 'rx':
      return true
    case 'operator':
      return node.operator.mode !== 'sync'
    case 'entry':
      return node.relation === 'triggers'
    case 'tie':
      return node.relation === 'depends'
    default:
      return false
  }
}

function createStep(batch: Batch, info: TaskInfo, name: string, stage: Stage): Step {
  return {
    name,
    ctx: new StepContext(batch, info, name),
    enter() {
      // Here the step that swallowed a signal is still known by its name.
      if (syncWatch.raised !== undefined) throw swallowedSignal(batch, batch.item, info, syncWatch)
      batch.step = name
    },
    bytesOf(owner) {
      let bytes = 0
      for (const item of batch.owners.itemsOf(owner)) {
        const { records, index } = batch.locate(item)
        bytes += Math.max(0, records.valueEnd(index) - records.valueStart(index))
      }
      return bytes
    },
    now: () => info.clock.now(),
    join(owner) {
      batch.marks.join(owner)
    },
    group(next, values, owners, trigger) {
      handOnGroup(batch, info, next, { values, owners, trigger })
    },
    onFlush(hooks) {
      // Steps are attached back to front: the first of the hooks is that of the last step so far.
      stage.flushHooks.unshift(hooks)
    },
  }
}

/** Which of the sources a step has values from, by their index. */
function inputsOf(node: PlanNode, sources: readonly PlanNode[]): ReadonlySet<number> {
  const before = stepsOf([{ name: '', node }])
  return new Set([...sources.keys()].filter((index) => before.includes(sources[index] as PlanNode)))
}

/**
 * How far what comes before a step holds its watermark back: a source whose values are out of order, and steps that derive values when their
 * own watermark has passed them.
 */
function heldBackMs(node: PlanNode): number {
  return Math.max(0, ...feedersOf(node).map((feeder) => ownHoldBackMs(feeder) + heldBackMs(feeder)))
}

function ownHoldBackMs(node: PlanNode): number {
  if (node.kind === 'source') return node.time?.outOfOrderMs ?? 0
  return node.kind === 'operator' && node.operator.mode === 'keyed' ? node.operator.holdsBackMs : 0
}

/** Steps from which values come to a stream that depends on the one they are in. */
function stepsToDependents(steps: readonly PlanNode[]): ReadonlySet<PlanNode> {
  const found = new Set<PlanNode>()
  const visit = (node: PlanNode) => {
    found.add(node)
    // Where a stream begins, its own dependents end.
    if (node.kind !== 'entry') for (const feeder of feedersOf(node)) visit(feeder)
  }
  for (const node of steps) {
    if (node.kind !== 'entry' || node.relation !== 'depends') continue
    found.add(node)
    for (const feeder of feedersOf(node)) visit(feeder)
  }
  return found
}

/** Keeps owners that were undone, and are on their way to a dependent stream, from going anywhere else. */
function withoutUndone(batch: Batch, next: Next<unknown>): Next<unknown> {
  return (value, owner) => {
    if (!(batch.falls.any && batch.falls.isUndone(owner))) next(value, owner)
  }
}

/** A step before dependsOn(): it may not hold items, since those that were undone pass it too. */
function holdingNothing(step: Step, info: TaskInfo): Step {
  return {
    ...step,
    onFlush() {
      throw dependsTooLate(info, step.name)
    },
  }
}

function dependsTooLate({ stream }: TaskInfo, step: string): PlanError {
  return new PlanError('MR-PLAN-DEPENDS', {
    what: `dependsOn() stands behind "${step}", which works on several items at once`,
    why: 'What a stream does that another one depends on stays when an item is undone there: it has to see each item by itself.',
    fix: 'Call dependsOn() before it.',
    place: { stream, step },
  })
}

function attachSink(node: SinkNode, next: Next<unknown>, step: Step, batch: Batch): Next<unknown> {
  const { sink, row } = node
  return (value, owner) => {
    step.enter()
    batch.writeSet.bufferFor(sink).append(row === undefined ? (value as object) : row(value, step.ctx), owner)
    next(value, owner)
  }
}

/** Reads the event time of values as they come from their source. */
function attachTime(
  time: EventTime<unknown>,
  next: Next<unknown>,
  step: Step,
  batch: Batch,
  info: TaskInfo,
): Next<unknown> {
  if (time.of === undefined && time.maxAheadMs === Number.POSITIVE_INFINITY) return next
  const times = new EventTimeReader(time, batch, info, step)
  return (value, owner) => {
    step.enter()
    const read = times.read(value, owner)
    if (time.of !== undefined) batch.noteTime(itemOf(owner), read)
    next(value, owner)
  }
}

function attachEmit(node: EmitNode, next: Next<unknown>, step: Step, batch: Batch): Next<unknown> {
  const { topic, value: make } = node
  return (value, owner) => {
    step.enter()
    write(batch, owner, { to: topic, value: make === undefined ? value : make(value, step.ctx) })
    next(value, owner)
  }
}

function attachBranch(node: BranchNode, yes: Next<unknown>, no: Next<unknown>, step: Step): Next<unknown> {
  return (value, owner) => {
    step.enter()
    const next = node.predicate(value, step.ctx) ? yes : no
    next(value, owner)
  }
}

/** Usually one: `named()` makes another of the same side. */
function portsOf(node: PlanNode, side: 0 | 1, outputs: Map<PlanNode, PlanNode[]>): PlanNode[] {
  return (outputs.get(node) ?? []).filter((port) => port.kind === 'port' && port.port === side)
}
