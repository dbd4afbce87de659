/**
 * The open batch of a task: which items it has, what became of each, and what it will commit.
 *
 * Items are numbered from 0 in offset order; groups, which own what they give, from -1 downwards. The batch also
 * is the cursor that contexts read: `item`, `step`.
 *
 * Life of a batch: chunks are added and passed through the graph; items fall (ignored, collected) or interrupt it; it
 * is replayed as long as an item that fell had joined a group; then it commits. Only items that fell survive `reset`.
 */
import type { GroupTrigger } from '../core/context.ts'
import {
  isUndone,
  noOutcomes,
  Outcome,
  type OutcomeCounts,
  type OutcomeName,
  type OutcomeRank,
  outcomeNames,
} from '../core/outcome.ts'
import type { RowBuffer, Sink } from '../core/sink.ts'
import type { Slot } from '../core/slot.ts'
import type { InputChunk } from './inputChunk.ts'
import { type Savepoint, UnopenedSink, type WriteSet } from './writeSet.ts'

/** Why a batch cannot go on as it is. */
export type Interrupt =
  | {
      readonly kind: 'break'
      readonly item: number
      readonly reason: string | undefined
      readonly resumeAfterMs: number | undefined
    }
  /** `signal.error`: undo everything and try again. */
  | { readonly kind: 'error'; readonly cause: unknown; readonly step: string; readonly item: number }
  /** No retry helps: the plan or the table is wrong. */
  | { readonly kind: 'fatal'; readonly cause: unknown; readonly step?: string; readonly item?: number | undefined }
  | { readonly kind: 'sink'; readonly needed: UnopenedSink }

/** Why an item was undone. */
export type Fall =
  | { readonly kind: 'ignored'; readonly reason: string | undefined }
  | { readonly kind: 'collected'; readonly step: string; readonly error: unknown; readonly clash: boolean }

export interface Group {
  /** Items, in offset order; empty for values that RxJS gave back. */
  readonly members: readonly number[]
  readonly trigger: GroupTrigger | undefined
}

/** Where the records of a chunk stand in the batch. */
export interface BatchChunk {
  readonly input: InputChunk
  /** Index of the first record that belongs to the batch. */
  readonly first: number
  /** Item number of that record. */
  readonly base: number
  readonly size: number
}

/** What `batch.item` is while nothing runs. A small integer, like all owners: one that is not would turn the field into a boxed double. */
export const noItem = -(2 ** 30)

export class Batch {
  readonly writeSet: WriteSet
  /** Values of slots, by owner. */
  readonly scopes = new Map<number, Map<Slot<unknown>, unknown>>()
  openedAt = 0
  chunks: BatchChunk[] = []
  /** Items taken so far. */
  size = 0
  /** Items that the loop has gone past since the batch was opened or reset: all that commit, or some were never looked at. */
  passed = 0
  byteSize = 0
  /** Items from here on are not part of the batch: the place of a break, or of a cut. */
  limit = Number.POSITIVE_INFINITY
  interrupt: Interrupt | undefined
  /** Whether a group or another item may show traces of an item that fell. */
  stale = false
  /** Items that this batch, or a cut one before it, has run and left to the next ones. */
  left = 0
  /** Items that fell, by their number. */
  readonly falls = new Map<number, Fall>()
  /** Values that fell and belong to no item, by their group's number: RxJS gave them back. */
  readonly strayFalls = new Map<number, Fall>()

  /** The owner that is being worked on. */
  item = noItem
  /** The step whose code runs. */
  step = ''

  #ranks: Uint8Array = new Uint8Array(1024)
  #joined: Uint8Array = new Uint8Array(1024)
  #groups: Group[] = []

  constructor(writeSet: WriteSet) {
    this.writeSet = writeSet
  }

  /** Begins anew with no items. A task has one batch at a time, and so one object for it. */
  open(now: number): void {
    this.openedAt = now
    this.chunks = []
    this.size = 0
    this.byteSize = 0
    this.limit = Number.POSITIVE_INFINITY
    this.falls.clear()
    this.reset()
  }

  add(input: InputChunk, atMost: number): BatchChunk {
    const size = Math.min(input.records.size - input.start, atMost)
    const chunk = { input, first: input.start, base: this.size, size }
    this.chunks.push(chunk)
    this.size += size
    this.byteSize += input.records.size === 0 ? 0 : Math.ceil((input.records.byteSize * size) / input.records.size)
    if (this.size > this.#ranks.length) {
      const capacity = Math.max(this.size, this.#ranks.length * 2)
      this.#ranks = grown(this.#ranks, capacity)
      this.#joined = grown(this.#joined, capacity)
    }
    return chunk
  }

  /** The chunk and index of an item's record. */
  locate(item: number): { chunk: BatchChunk; index: number } {
    let low = 0
    let high = this.chunks.length - 1
    while (low < high) {
      const middle = (low + high + 1) >> 1
      if ((this.chunks[middle] as BatchChunk).base <= item) low = middle
      else high = middle - 1
    }
    const chunk = this.chunks[low] as BatchChunk
    return { chunk, index: chunk.first + item - chunk.base }
  }

  /** Items of an owner: of an item, itself. */
  membersOf(owner: number): readonly number[] {
    return owner >= 0 ? [owner] : this.groupOf(owner).members
  }

  /** Offsets of an owner's records: `17`, of a group `17,18,20`. They name it beyond this batch too. */
  offsetsOf(owner: number): string {
    const offsets = this.membersOf(owner).map((item) => {
      const { chunk, index } = this.locate(item)
      return chunk.input.records.offset(index)
    })
    return offsets.join(',')
  }

  groupOf(owner: number): Group {
    return this.#groups[-1 - owner] as Group
  }

  openGroup(owners: readonly number[], trigger: GroupTrigger | undefined): number {
    // Of one item flatMap may have made several values: it is one member.
    const members = owners.every((owner, index) => owner > (owners[index - 1] ?? -1))
      ? owners
      : [...new Set(owners.flatMap((owner) => this.membersOf(owner)))].sort((a, b) => a - b)
    this.#groups.push({ members, trigger })
    return -this.#groups.length
  }

  /** Where the rows of an owner stand in offset order; undefined when they must not be written. */
  position(owner: number): number | undefined {
    if (owner >= 0) return owner >= this.limit || this.isUndone(owner) ? undefined : owner
    const { members } = this.groupOf(owner)
    // What RxJS gave back has no item: it goes last.
    if (members.length === 0) return this.strayFalls.has(owner) ? undefined : this.size
    return this.position(members.at(-1) as number)
  }

  isUndone(owner: number): boolean {
    if (owner >= 0) return isUndone(this.#ranks[owner] as number)
    return this.strayFalls.has(owner) || this.groupOf(owner).members.some((member) => this.isUndone(member))
  }

  /** Whether anything has fallen: while not, nobody needs to ask who. */
  get hasFallen(): boolean {
    return this.falls.size > 0 || this.strayFalls.size > 0
  }

  /** Some path of the owner came this far; of several the highest rank counts. */
  reach(owner: number, rank: OutcomeRank): void {
    if (owner >= 0) {
      if ((this.#ranks[owner] as number) < rank) this.#ranks[owner] = rank
    } else for (const member of this.groupOf(owner).members) this.reach(member, rank)
  }

  /** Another item's result may depend on this one from now on. */
  join(owner: number): void {
    if (owner >= 0) this.#joined[owner] = 1
  }

  /** What has become of an item so far. */
  outcomeOf(item: number): OutcomeName {
    return outcomeNames[this.#ranks[item] as number] as OutcomeName
  }

  /** Undoes an item. */
  fall(item: number, fall: Fall): void {
    if (item < 0 || this.isUndone(item)) return
    this.falls.set(item, fall)
    this.#ranks[item] = fall.kind === 'ignored' ? Outcome.ignored : Outcome.collected
    if (this.#joined[item] === 1) this.stale = true
  }

  /** Undoes all that an owner stands for. */
  fallAll(owner: number, fall: Fall): void {
    const members = this.membersOf(owner)
    if (members.length === 0) this.strayFalls.set(owner, fall)
    for (const item of members) this.fall(item, fall)
  }

  /**
   * An item has fallen because of the database; those after it that fell because they clashed with other rows may fit
   * without it, so they get up again.
   */
  reviveClashesAfter(item: number): boolean {
    let revived = false
    for (const [other, fall] of this.falls) {
      if (other > item && fall.kind === 'collected' && fall.clash) {
        this.falls.delete(other)
        this.#ranks[other] = Outcome.done
        if (this.#joined[other] === 1) this.stale = true
        revived = true
      }
    }
    return revived
  }

  /** Ends the batch before an item; those behind are taken by a later one. */
  cutAt(item: number): void {
    this.limit = Math.min(this.limit, item)
    for (const other of this.falls.keys()) if (other >= this.limit) this.falls.delete(other)
    this.interrupt = undefined
  }

  interruptWith(interrupt: Interrupt): void {
    // Of several breaks the first in offset order counts; anything else is more urgent than a break.
    const known = this.interrupt
    if (
      known === undefined ||
      (known.kind === 'break' && (interrupt.kind !== 'break' || interrupt.item < known.item))
    ) {
      this.interrupt = interrupt
    }
  }

  /**
   * The rows of a sink.
   *
   * @throws UnopenedSink for one that no step names; the batch is interrupted, also when the user's code catches that
   */
  bufferFor(sink: Sink<never>): RowBuffer {
    const buffer = this.writeSet.bufferFor(sink)
    if (buffer !== undefined) return buffer
    const needed = new UnopenedSink(sink)
    this.interruptWith({ kind: 'sink', needed })
    throw needed
  }

  mark(): Savepoint {
    return this.writeSet.mark()
  }

  rollbackTo(savepoint: Savepoint): void {
    this.writeSet.rollbackTo(savepoint)
  }

  /** Back to the state before the first item ran, but for the items that fell; those at or beyond the limit are forgotten. */
  reset(): void {
    this.writeSet.clear()
    this.scopes.clear()
    this.strayFalls.clear()
    this.#groups = []
    this.#joined.fill(0)
    this.#ranks.fill(Outcome.filtered)
    for (const [item, fall] of this.falls) {
      if (item >= this.limit) this.falls.delete(item)
      else this.#ranks[item] = fall.kind === 'ignored' ? Outcome.ignored : Outcome.collected
    }
    this.passed = 0
    this.interrupt = undefined
    this.stale = false
  }

  /** Items that commit: those before the limit. */
  get taken(): number {
    return Math.min(this.size, this.limit)
  }

  /** After the commit. A batch that was cut may be followed by smaller ones, so what it left outlasts the next of them. */
  committed(): void {
    this.left = Math.max(this.left, this.size) - this.taken
  }

  /** What became of the items that commit. They add up to `taken`. */
  countOutcomes(): OutcomeCounts {
    const counts = noOutcomes()
    for (let item = 0; item < this.taken; item++) {
      counts[this.outcomeOf(item)]++
    }
    return counts
  }
}

function grown(bytes: Uint8Array, capacity: number): Uint8Array {
  const larger = new Uint8Array(capacity)
  larger.set(bytes)
  return larger
}
