/**
 * The open batch of a task: which items it has, what becomes of each in each of the task's streams, and what it will commit.
 *
 * It is put together of who its owners are (`owners.ts`), how far they came (`marks.ts`), what fell (`falls.ts`) and where it
 * ends (`limit.ts`). Items are numbered from 0 in offset order. The batch also is the cursor that contexts read: `item`, `step`.
 *
 * Life of a batch: chunks are added and passed through the graph; items fall (ignored, collected), break or interrupt it; it
 * is replayed as long as an item that fell, or that a break left out, had left a trace in others; then it commits. Only
 * items that fell survive `reset`.
 */
import { Outcome, type OutcomeCounts } from '../core/outcome.ts'
import type { WaitingItem } from '../core/store.ts'
import { type Fall, type FallenItem, rankOf } from './fall.ts'
import { Falls } from './falls.ts'
import type { Input, LocatedRecord, TaskInput } from './input.ts'
import { type Broke, Limit } from './limit.ts'
import { Marks } from './marks.ts'
import { itemOf, noItem, ownerOf, streamOf } from './owner.ts'
import { OwnerLog } from './ownerLog.ts'
import { type Group, Owners } from './owners.ts'
import { SharedScopes, type SlotValues } from './sharedScopes.ts'
import type { TaskStream } from './taskStreams.ts'
import type { WriteSet } from './writeSet.ts'

/** Why a batch cannot go on as it is. */
export type Interrupt =
  /** `signal.error`: undo everything and try again. */
  | { readonly kind: 'error'; readonly cause: unknown; readonly step: string; readonly owner: number }
  /** No retry helps: the plan or the table is wrong. */
  | { readonly kind: 'fatal'; readonly cause: unknown; readonly step?: string; readonly owner?: number | undefined }

/** Where the records of a chunk stand in the batch. */
export interface BatchChunk {
  readonly input: Input
  /** Index of the first record that belongs to the batch. */
  readonly first: number
  /** Item number of that record. */
  readonly base: number
  readonly size: number
}

export class Batch {
  readonly writeSet: WriteSet
  readonly streams: readonly TaskStream[]
  readonly owners: Owners
  readonly marks: Marks
  readonly limit: Limit
  readonly falls: Falls
  /** Values of the item scope, by owner. */
  readonly scopes = new Map<number, SlotValues>()
  /** What the owner in hand did to scopes and state. */
  readonly log: OwnerLog
  readonly shared: SharedScopes
  openedAt = 0
  chunks: BatchChunk[] = []
  /** Items taken so far. */
  size = 0
  /** Items that the loop has gone past since the batch was opened or reset: all that commit, or some were never looked at. */
  passed = 0
  byteSize = 0
  /** How often the batch was run again because of what an item had left in state. */
  doubts = 0
  interrupt: Interrupt | undefined
  /** Whether nothing comes behind it: what is held anywhere has to be given now. */
  isLast = false
  /** Event time that has come without any item, in milliseconds. */
  timeAtLeast = Number.NEGATIVE_INFINITY
  /** Items that this batch, or a cut one before it, has run and left to the next ones. */
  left = 0
  /** Failed tries of items in this batch, by owner. */
  readonly tries = new Map<number, number>()
  /** Keys whose items have to wait: one of an earlier batch has not come to an end. */
  held: ReadonlySet<string> = new Set()
  /** Items of earlier batches that wait so. */
  parkedBefore = 0
  /** Where the items come from the collector and not from the log: what each of them is there. */
  waiting: readonly WaitingItem[] | undefined

  /** The owner that is being worked on. */
  item = noItem
  /** The step whose code runs. */
  step = ''

  /** Event times that were read from values, by item. */
  #times = new Float64Array(0)

  constructor(writeSet: WriteSet, streams: readonly TaskStream[]) {
    this.writeSet = writeSet
    this.streams = streams
    this.owners = new Owners(streams)
    this.marks = new Marks(this.owners, streams.length)
    this.limit = new Limit(this.owners)
    this.log = new OwnerLog((owner) => this.marks.join(owner))
    this.falls = new Falls(this)
    this.shared = new SharedScopes(streams.length, this.log)
  }

  /** Begins anew with no items. A task has one batch at a time, and so one object for it. */
  open(now: number, waiting?: readonly WaitingItem[]): void {
    this.openedAt = now
    this.waiting = waiting
    this.tries.clear()
    this.doubts = 0
    this.chunks = []
    this.size = 0
    this.byteSize = 0
    this.isLast = false
    this.timeAtLeast = Number.NEGATIVE_INFINITY
    this.startOver()
    this.reset()
  }

  add(input: Input, atMost: number): BatchChunk {
    const size = Math.min(input.size - input.start, atMost)
    const chunk = { input, first: input.start, base: this.size, size }
    this.chunks.push(chunk)
    this.size += size
    this.byteSize += input.size === 0 ? 0 : Math.ceil((input.byteSize * size) / input.size)
    this.marks.grow(this.size)
    return chunk
  }

  /** Notes the event time that was read from an item's value, in milliseconds. */
  noteTime(item: number, time: number): void {
    if (item >= this.#times.length) {
      const larger = new Float64Array(Math.max(item + 1, this.#times.length * 2)).fill(Number.NEGATIVE_INFINITY)
      larger.set(this.#times)
      this.#times = larger
    }
    this.#times[item] = time
  }

  /** Event time of an item as its input has it, in milliseconds; -Infinity for one that has none. */
  timeOf(item: number): number {
    const { input, first, base } = this.#chunkOf(item)
    const index = first + item - base
    return input.inputOf(index).isTimed ? (this.#times[item] ?? Number.NEGATIVE_INFINITY) : input.timestamp(index)
  }

  /** The input that an item came from. */
  inputOf(item: number): TaskInput {
    const { input, first, base } = this.#chunkOf(item)
    return input.inputOf(first + item - base)
  }

  /** Where an item's record is. */
  locate(item: number): LocatedRecord {
    const { input, first, base } = this.#chunkOf(item)
    return input.locate(first + item - base)
  }

  #chunkOf(item: number): BatchChunk {
    let low = 0
    let high = this.chunks.length - 1
    while (low < high) {
      const middle = (low + high + 1) >> 1
      if ((this.chunks[middle] as BatchChunk).base <= item) low = middle
      else high = middle - 1
    }
    return this.chunks[low] as BatchChunk
  }

  /** Offsets of an owner's records: `17`, of a group `17,18,20`, of another input `1:17`. They name it beyond this batch too. */
  offsetsOf(owner: number): string {
    const offsets = this.owners.itemsOf(owner).map((item) => {
      const { records, index, input } = this.locate(item)
      const offset = records.offset(index)
      return input.index === 0 ? String(offset) : `${input.index}:${offset}`
    })
    return offsets.join(',')
  }

  /**
   * Where the rows of an owner stand in offset order; undefined when they must not be written. Of one item, those of
   * the streams that depend on its own come first, and those of triggered ones last.
   */
  position(owner: number): number | undefined {
    return this.#counts(owner) ? this.standing(owner) : undefined
  }

  /** Where an owner that goes on in a pass stands in offset order; undefined for others. */
  goingOn(owner: number): number | undefined {
    if (owner < 0) {
      if (this.falls.isSkipped(owner)) return undefined
      const last = this.owners.groupOf(owner).members.at(-1)
      return last === undefined ? this.standing(owner) : this.goingOn(last)
    }
    return this.limit.isBeyond(owner) || this.falls.isSkipped(owner) ? undefined : this.owners.placeOf(owner)
  }

  /** Where an owner stands in offset order; undefined when it was undone or is left to a later batch. */
  standing(owner: number): number | undefined {
    if (owner >= 0) {
      return this.limit.isBeyond(owner) || this.falls.isUndone(owner) ? undefined : this.owners.placeOf(owner)
    }
    const { members, derived } = this.owners.groupOf(owner)
    const last = members.at(-1)
    if (last !== undefined) return this.standing(last)
    if (this.falls.stray.has(owner) || this.limit.isBeyond(owner)) return undefined
    // What RxJS gave back has no item: it goes last.
    return derived === undefined ? this.size : derived.position
  }

  /** Whether all of its items stand, and commit with it: while they do, nobody needs to ask who. */
  get allStand(): boolean {
    return !this.falls.any && this.limit.at >= this.size
  }

  /**
   * Brings an owner into a stream that depends on its own or is triggered by it.
   *
   * @returns the owner there; undefined for one that has fallen there
   */
  enter(stream: number, owner: number): number | undefined {
    if (owner < 0) return this.#enterGroup(stream, this.owners.groupOf(owner))
    const there = ownerOf(stream, itemOf(owner))
    if (this.marks.isAbsent(there)) {
      const fall = this.falls.byOwner.get(there)
      this.marks.setRank(there, fall === undefined ? Outcome.filtered : rankOf(fall))
    }
    return this.falls.isSkipped(there) ? undefined : there
  }

  /** It was put together where all of its members stand, and comes as one: when a member has fallen here, so have all. */
  #enterGroup(stream: number, { members, trigger }: Group): number | undefined {
    for (const member of members) this.enter(stream, member)
    const there = members.map((member) => ownerOf(stream, itemOf(member)))
    const fallen = there.find((member) => this.falls.isUndone(member))
    const fall = fallen === undefined ? undefined : this.falls.byOwner.get(fallen)
    if (fall !== undefined) for (const member of there) this.falls.fall(member, fall)
    const group = this.owners.openGroup(there, trigger)
    this.marks.join(group)
    return this.falls.isSkipped(group) ? undefined : group
  }

  /** Ends the batch before an item; those behind are taken by a later one. */
  cutAt(item: number): void {
    this.limit.cutAt(item)
    this.falls.leaveBeyondLimit(this.size)
    this.interrupt = undefined
  }

  /** Takes a cut back: everything is run again, but for what had fallen before it. */
  uncut(falls: ReadonlyMap<number, Fall>): void {
    this.limit.uncut()
    this.falls.putBack(falls)
  }

  /** Of several breaks the first in offset order counts. */
  breakAt(broke: Broke): void {
    if (this.limit.breakAt(broke)) this.falls.leaveBeyondLimit(this.size)
  }

  interruptWith(interrupt: Interrupt): void {
    this.interrupt ??= interrupt
  }

  /** Grows with everything that callbacks write and do to shared scopes: tells whether one of them did anything. */
  get traces(): number {
    return this.writeSet.length + this.shared.touches
  }

  /** Forgets what fell and where the batch ended: everything is tried again. */
  startOver(): void {
    this.falls.clear()
    this.limit.clear()
  }

  /** Back to the state before the first item ran, but for the items that fell; those at or beyond the limit are forgotten. */
  reset(): void {
    // An item that fell may have been the reason for a break behind it.
    if (this.falls.leftTraces) this.limit.forgetBreak()
    this.writeSet.clear()
    this.scopes.clear()
    this.shared.clear()
    this.log.clear()
    this.#times.fill(Number.NEGATIVE_INFINITY)
    this.owners.clear()
    this.marks.reset()
    this.falls.reset()
    this.passed = 0
    this.interrupt = undefined
  }

  /** Items that commit: those before the limit. */
  get taken(): number {
    return Math.min(this.size, this.limit.at)
  }

  /** After the commit. A batch that was cut may be followed by smaller ones, so what it left outlasts the next of them. */
  committed(): void {
    this.left = Math.max(this.left, this.size) - this.taken
  }

  /** What became of the items that commit, in one of the streams. In the task's own they add up to `taken`. */
  countOutcomes(stream = 0): OutcomeCounts {
    return this.marks.count(stream, this.taken)
  }

  /** The items that commit as fallen, in all streams. */
  *fallen(): Iterable<FallenItem> {
    for (const [owner, fall] of this.falls.byOwner) {
      const [item, stream] = [itemOf(owner), streamOf(owner)]
      // In a stream that the last pass did not bring it to, it has no outcome.
      if (item >= this.taken || this.marks.isAbsent(owner) || !this.#counts(owner)) continue
      yield { owner, item, stream: (this.streams[stream] as TaskStream).name, fall }
    }
  }

  /**
   * Whether what becomes of an owner is to be committed. Of a waiting item only what it does where it fell, and in what is
   * triggered from there: the rest was committed when it fell. One that has only waited so far has done nothing anywhere.
   */
  #counts(owner: number): boolean {
    if (this.waiting === undefined) return true
    const last = this.owners.membersOf(owner).at(-1)
    const item = last === undefined ? undefined : this.waiting[itemOf(last)]
    if (item === undefined || item.attempts === 0) return true
    for (let stream = this.owners.streamIndexOf(owner); ; ) {
      const { name, relation, parent } = this.streams[stream] as TaskStream
      if (name === item.stream) return true
      if (relation !== 'triggers') return false
      stream = parent
    }
  }
}
