/**
 * What a composed stream is made of: an immutable graph of named steps, shared by identity.
 * Building it has no side effects; running it is the runtime's business, drawing it `describe.ts`'s.
 */
import type { OperatorFunction } from 'rxjs'
import type { ItemContext } from './context.ts'
import type { ErrorPolicy } from './errorPolicy.ts'
import { PlanError } from './errors.ts'
import type { EventTime } from './keyed.ts'
import type { Operator } from './operator.ts'
import type { Sink } from './sink.ts'
import type { BoundedSource, Source, TopicSource } from './source.ts'

interface NodeBase {
  /** The step's name as it was given or made of its kind; the runtime numbers those that occur twice. */
  readonly name: string
  readonly inputs: readonly PlanNode[]
}

/** Reads a topic, or an input that ends. */
export interface SourceNode extends NodeBase {
  readonly kind: 'source'
  readonly source: Source<unknown>
  /** Undefined: the time of the records. */
  readonly time: EventTime<unknown> | undefined
}

/** Applies an operator. */
export interface OperatorNode extends NodeBase {
  readonly kind: 'operator'
  readonly operator: Operator<unknown, unknown>
}

/** Writes a row for each value, and passes the value on. */
export interface SinkNode extends NodeBase {
  readonly kind: 'sink'
  readonly sink: Sink<never>
  readonly row: ((value: unknown, ctx: ItemContext) => object) | undefined
}

/** Writes a record to a topic for each value, and passes the value on. */
export interface EmitNode extends NodeBase {
  readonly kind: 'emit'
  readonly topic: TopicSource<unknown>
  readonly value: ((value: unknown, ctx: ItemContext) => unknown) | undefined
}

/** Decides for each value by which of its two ports it leaves. */
export interface BranchNode extends NodeBase {
  readonly kind: 'branch'
  readonly predicate: (value: unknown, ctx: ItemContext) => boolean
}

/** One side of a branch. */
export interface PortNode extends NodeBase {
  readonly kind: 'port'
  readonly port: 0 | 1
}

/** Passes on what comes from any of its inputs, in offset order. */
export interface MergeNode extends NodeBase {
  readonly kind: 'merge'
}

/** Hands values to RxJS, and takes what comes back. */
export interface RxNode extends NodeBase {
  readonly kind: 'rx'
  readonly rx: OperatorFunction<unknown, unknown>
}

/** Where values come into a stream that depends on another one or is triggered by it. */
export interface EntryNode extends NodeBase {
  readonly kind: 'entry'
  /** The stream's name: that of its segment. */
  readonly stream: string
  readonly relation: 'depends' | 'triggers'
}

/**
 * Ties a dependent or triggered stream to the one that it belongs to. Its inputs are the step before, whose values it
 * passes on, and the end of the other stream, from which it takes none.
 */
export interface TieNode extends NodeBase {
  readonly kind: 'tie'
  readonly relation: 'depends' | 'triggers'
}

export type PlanNode =
  | SourceNode
  | OperatorNode
  | SinkNode
  | EmitNode
  | BranchNode
  | PortNode
  | MergeNode
  | RxNode
  | EntryNode
  | TieNode

/** A stream as the runtime sees it: its name and the step that it ends with. */
export interface PlanLeaf {
  readonly name: string
  readonly node: PlanNode
  /** What becomes of items that fail; undefined where nothing was said. */
  readonly policy?: ErrorPolicy | undefined
}

/** Every step that the leaves need, inputs before what uses them. */
export function stepsOf(leaves: readonly PlanLeaf[]): PlanNode[] {
  const seen = new Set<PlanNode>()
  const visit = (node: PlanNode) => {
    if (seen.has(node)) return
    for (const input of node.inputs) visit(input)
    seen.add(node)
  }
  for (const leaf of leaves) visit(leaf.node)
  return [...seen]
}

/**
 * The topics of a plan, for what reads nothing else.
 *
 * @param owner how errors call it: `start()`
 * @throws PlanError MR-PLAN-BOUNDED
 */
export function requireTopics(owner: string, leaves: readonly PlanLeaf[]): TopicSource<unknown>[] {
  return sourcesOf(leaves).map(({ stream, source }) => {
    if (source.kind === 'topic') return source
    throw new PlanError('MR-PLAN-BOUNDED', {
      what: `stream "${stream}" reads ${source.name}, which ends: ${owner} takes streams of topics`,
      fix: 'Run such a plan to its end with run(plan, { postgres: … }).',
      place: { stream },
    })
  })
}

/**
 * The inputs of a plan all of which end, by stream.
 *
 * @throws PlanError MR-PLAN-ENDLESS for one that reads a topic; MR-PLAN-JOINED
 */
export function requireBounded(owner: string, leaves: readonly PlanLeaf[]): Map<string, BoundedSource<unknown>> {
  const bounded = leaves.map((leaf): [string, BoundedSource<unknown>] => {
    const { name: stream } = leaf
    const { source } = onlySourceOf(owner, stream, [leaf])
    if (source.kind === 'bounded') return [stream, source]
    throw new PlanError('MR-PLAN-ENDLESS', {
      what: `stream "${stream}" reads topic "${source.name}", which has no end: ${owner} takes streams of arrays, iterables, lines() and query()`,
      fix: 'Run it as a service with start(plan, { group, kafka, postgres }), and the streams whose input ends by themselves.',
      place: { stream },
    })
  })
  return new Map(bounded)
}

/** Where values come from: of one stream its own source first, then those that it is joined with. */
export function sourceNodesOf(leaves: readonly PlanLeaf[]): SourceNode[] {
  return stepsOf(leaves).filter((step) => step.kind === 'source')
}

/**
 * The source of a stream, for what reads one input only.
 *
 * @throws PlanError MR-PLAN-JOINED
 */
export function onlySourceOf(owner: string, stream: string, leaves: readonly PlanLeaf[]): SourceNode {
  const [only, other] = sourceNodesOf(leaves)
  if (only !== undefined && other === undefined) return only
  throw new PlanError('MR-PLAN-JOINED', {
    what: `stream "${stream}" joins ${only?.source.name} with ${other?.source.name}: ${owner} takes streams of one input`,
    fix: 'Join topics, in a service: start(plan, { group, kafka, postgres }).',
    place: { stream },
  })
}

function sourcesOf(leaves: readonly PlanLeaf[]): { readonly stream: string; readonly source: Source<unknown> }[] {
  return leaves.flatMap((leaf) => sourceNodesOf([leaf]).map(({ source }) => ({ stream: leaf.name, source })))
}

/** The steps that a step takes values from. */
export function feedersOf(node: PlanNode): readonly PlanNode[] {
  return node.kind === 'tie' ? node.inputs.slice(0, 1) : node.inputs
}

/** The functions of the user's that a step calls, by whose text a changed plan is recognised. */
export function callbacksOf(node: PlanNode): readonly unknown[] {
  switch (node.kind) {
    case 'operator':
      return node.operator.callbacks ?? []
    case 'sink':
      return node.row === undefined ? [] : [node.row]
    case 'emit':
      return [node.value, node.topic.key].filter((callback) => callback !== undefined)
    case 'branch':
      return [node.predicate]
    case 'rx':
      return [node.rx]
    case 'source':
      return node.time?.of === undefined ? [] : [node.time.of]
    default:
      return []
  }
}

/** Names for steps, unique within a stream: the second `map` is `map#2`. */
export function nameSteps(nodes: readonly PlanNode[]): Map<PlanNode, string> {
  const used = new Map<string, number>()
  const names = new Map<PlanNode, string>()
  for (const node of nodes) {
    const count = (used.get(node.name) ?? 0) + 1
    used.set(node.name, count)
    names.set(node, count === 1 ? node.name : `${node.name}#${count}`)
  }
  return names
}
