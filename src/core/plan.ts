/**
 * What a composed stream is made of: an immutable graph of named steps, shared by identity.
 * Building it has no side effects; running it is the runtime's business, drawing it `describe.ts`'s.
 */
import type { OperatorFunction } from 'rxjs'
import type { ItemContext } from './context.ts'
import type { Operator } from './operator.ts'
import type { Sink } from './sink.ts'
import type { TopicSource } from './source.ts'

interface NodeBase {
  /** The step's name as it was given or made of its kind; the runtime numbers those that occur twice. */
  readonly name: string
  readonly inputs: readonly PlanNode[]
}

/** Reads a topic. */
export interface SourceNode extends NodeBase {
  readonly kind: 'source'
  readonly source: TopicSource<unknown>
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

/** The steps that a step takes values from. */
export function feedersOf(node: PlanNode): readonly PlanNode[] {
  return node.kind === 'tie' ? node.inputs.slice(0, 1) : node.inputs
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
