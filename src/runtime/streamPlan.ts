/** The streams of a plan as tasks run them, each with all that is known of it before the first record. */
import { byStream, describePlan } from '../core/describe.ts'
import { defaultErrorPolicy, type ErrorPolicy } from '../core/errorPolicy.ts'
import { PlanError } from '../core/errors.ts'
import { orderSteps } from '../core/orderSteps.ts'
import { nameSteps, type PlanLeaf, type SinkNode, type SourceNode, sourceNodesOf } from '../core/plan.ts'
import { planHash } from '../core/planHash.ts'
import type { Sink } from '../core/sink.ts'
import type { AssignedPartition, Assignment } from '../core/source.ts'
import type { StateStep } from '../core/stateStore.ts'
import type { StartedPlan } from '../core/store.ts'
import { type LookupStep, lookupStepsOf } from './lookupSteps.ts'
import { stateStepsOf, type TaskPlan, taskPlanOf } from './taskStreams.ts'

export interface StreamPlan {
  readonly name: string
  readonly plan: TaskPlan
  readonly policy: ErrorPolicy
  readonly hash: string
  /** What is noted of it for whoever looks at the error collector. */
  readonly started: StartedPlan
  /** The steps that keep state. */
  readonly states: readonly StateStep[]
  readonly lookups: readonly LookupStep[]
  /** What it reads: its own source first, then those that it is joined with. */
  readonly sources: readonly SourceNode[]
  readonly sinks: readonly Sink<never>[]
  /** The topics that are written, by the steps that do. */
  readonly written: ReadonlyMap<string, string>
}

/** @throws PlanError MR-PLAN-TOPIC, MR-PLAN-TRACK, MR-PLAN-POLICY */
export function planStreams(leaves: readonly PlanLeaf[]): StreamPlan[] {
  const streams = [...byStream(leaves)].map(([name, own]) => {
    const plan = taskPlanOf(name, own)
    const { steps } = plan
    const sinks = steps.filter((step): step is SinkNode => step.kind === 'sink').map((step) => step.sink)
    const written = new Map(
      [...nameSteps(steps)].flatMap(([node, step]) => (node.kind === 'emit' ? [[step, node.topic.name] as const] : [])),
    )
    const sources = sourceNodesOf(own)
    if (sources.length > 1) refuseTracked(name, sinks)
    const hash = planHash(own)
    const started = { stream: name, hash, description: describePlan(own), orderSteps: orderSteps(own) }
    const keeps = { states: stateStepsOf(name, steps), lookups: lookupStepsOf(name, steps) }
    return {
      name,
      plan,
      policy: policyOf(name, own),
      hash,
      started,
      ...keeps,
      sources,
      sinks: [...new Set(sinks)],
      written,
    }
  })
  for (const [index, stream] of streams.entries()) {
    for (const { source } of stream.sources) {
      const reads = ({ sources }: StreamPlan) => sources.some((node) => node.source.name === source.name)
      const other = streams.slice(0, index).find(reads)
      if (other !== undefined) throw readTwice(other.name, stream.name, source.name)
    }
  }
  return streams
}

/** A row is traced to one topic. */
function refuseTracked(stream: string, sinks: readonly Sink<never>[]): void {
  const tracked = sinks.find(({ track }) => track)
  if (tracked === undefined) return
  throw new PlanError('MR-PLAN-TRACK', {
    what: `table "${tracked.name}" has track: true, and stream "${stream}" joins several topics`,
    why: 'A row is traced to an offset of one topic.',
    fix: 'Leave track out.',
    place: { stream },
  })
}

function readTwice(one: string, other: string, topic: string): PlanError {
  return new PlanError('MR-PLAN-TOPIC', {
    what: `the streams "${one}" and "${other}" both read topic "${topic}"`,
    why: 'A member of a consumer group reads a partition once, from one position.',
    fix: 'Let them share one stream and branch; where one joins what the other reads, give both one name; or run them as two services with groups of their own.',
  })
}

/**
 * What a member was given of a stream's inputs, those of one number together. It is given all partitions of a number or none.
 *
 * @throws PlanError MR-PLAN-PARTITIONS when one of the topics has more than another
 */
export function partitionsOf({ name, sources }: StreamPlan, { partitions }: Assignment): AssignedPartition[][] {
  const topics = sources.map(({ source }) => source.name)
  const own = partitions.filter(({ topic }) => topics.includes(topic))
  return [...new Set(own.map(({ partition }) => partition))].flatMap((number) => {
    const given = topics.map((topic) => own.find((one) => one.topic === topic && one.partition === number))
    const present = given.filter((partition) => partition !== undefined)
    const missing = topics[given.indexOf(undefined)]
    const [first] = present
    if (missing !== undefined && first !== undefined) throw notCoPartitioned(name, first, missing)
    return present.some(({ revoked }) => revoked.aborted) ? [] : [present]
  })
}

function notCoPartitioned(stream: string, { topic, partition }: AssignedPartition, missing: string): PlanError {
  return new PlanError('MR-PLAN-PARTITIONS', {
    what: `topic "${topic}" has a partition ${partition}, and "${missing}" has none of that number, but they are joined`,
    why: 'What is joined has to come together: records of a key are looked for in the partitions of one number.',
    fix: 'Give the topics as many partitions, and key their records the same way.',
    place: { stream, topic: missing, partition },
  })
}

/** One policy for a stream: that of its leaves. */
function policyOf(stream: string, leaves: readonly PlanLeaf[]): ErrorPolicy {
  const stated = new Set(leaves.flatMap(({ policy }) => policy ?? []))
  if (stated.size > 1) {
    throw new PlanError('MR-PLAN-POLICY', {
      what: `stream "${stream}" has ${stated.size} error policies`,
      why: 'It is one stream whatever its branches: a policy is that of all of them.',
      fix: 'Say it once, before the stream branches.',
      place: { stream },
    })
  }
  return [...stated][0] ?? defaultErrorPolicy
}
