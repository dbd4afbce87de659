/**
 * The open batch of a task: which items it has, what became of each in each of the task's streams, and what it will commit.
 *
 * Items are numbered from 0 in offset order; who owns what is in `owner.ts`. The batch also is the cursor that contexts
 * read: `item`, `step`.
 *
 * Life of a batch: chunks are added and passed through the graph; items fall (ignored, collected), break or interrupt it; it
 * is replayed as long as an item that fell, or that a break left out, had left a trace in others; then it commits. Only
 * items that fell survive `reset`.
 */
import type { GroupTrigger } from '../core/context.ts'
import { type Key, textOfKey } from '../core/key.ts'
import { isUndone, Outcome, type OutcomeCounts, type OutcomeName, type OutcomeRank } from '../core/outcome.ts'
import type { RowBuffer, Sink } from '../core/sink.ts'
import type { WaitingItem } from '../core/store.ts'
import { type Fall, type FallenItem, rankOf } from './fall.ts'
import type { Input, LocatedRecord, TaskInput } from './input.ts'
import { ItemMarks } from './itemMarks.ts'
import { itemOf, maxBatchItems, maxTaskStreams, noItem, ownerOf, streamOf } from './owner.ts'
import { OwnerLog } from './ownerLog.ts'
import { SharedScopes, type SlotValues } from './sharedScopes.ts'
import { placesOf, type TaskStream } from './taskStreams.ts'
import type { Savepoint, WriteSet } from './writeSet.ts'

/** Why a batch cannot go on as it is. */
export type Interrupt =
  /** `signal.error`: undo everything and try again. */
  | { readonly kind: 'error'; readonly cause: unknown; readonly step: string; readonly owner: number }
  /** No retry helps: the plan or the table is wrong. */
  | { readonly kind: 'fatal'; readonly cause: unknown; readonly step?: string; readonly owner?: number | undefined }

/** Where `signal.break` stopped the batch. */
export interface Broke {
  readonly item: number
  readonly reason: string | undefined
  readonly resumeAfterMs: number | undefined
}

export interface Group {
  /** Owners, in offset order; empty for values that RxJS gave back, and for derived ones. */
  readonly members: readonly number[]
  readonly trigger: GroupTrigger | undefined
  readonly derived?: DerivedOwner | undefined
}

/** To whom a value belongs that no single record made. */
export interface DerivedOwner {
  readonly stream: number
  readonly step: string
  readonly key: Key
  /** Tells it from others of its key: where a window begins, in milliseconds. */
  readonly at: number
  /** Which of several of that key and time it is. */
  readonly nth: number
  /** Event time of its value, in milliseconds. */
  readonly time: number
  /** The item that made it come: by moving the watermark, or by filling a window. */
  readonly item: number
  /** Where it stands in offset order: before its item, or behind it. */
  readonly position: number
}

/** Where the records of a chunk stand in the batch. */
export interface BatchChunk {
  readonly input: Input
  /** Index of the first record that belongs to the batch. */
  readonly first: number
  /** Item number of that record. */
  readonly base: number
  readonly size: number
}

function identityOf({ stream, step, key, at, nth }: DerivedOwner): string {
  return JSON.stringify([stream, step, textOfKey(key), at, nth])
}

export class Batch {
  readonly writeSet: WriteSet
  readonly streams: readonly TaskStream[]
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
  /** Items from here on are not part of the batch: the place of a break, or of a cut. */
  limit = Number.POSITIVE_INFINITY
  interrupt: Interrupt | undefined
  /** Whether nothing comes behind it: what is held anywhere has to be given now. */
  isLast = false
  /** Event time that has come without any item, in milliseconds. */
  timeAtLeast = Number.NEGATIVE_INFINITY
  /** Items that this batch, or a cut one before it, has run and left to the next ones. */
  left = 0
  /** Items that fell, by owner. */
  readonly falls = new Map<number, Fall>()
  /** Owners that fell when they had seen keyed state: another item that falls before them may have been the reason. */
  readonly #fellOnState = new Set<number>()
  /** Failed tries of items in this batch, by owner. */
  readonly tries = new Map<number, number>()
  /** Keys whose items have to wait: one of an earlier batch has not come to an end. */
  held: ReadonlySet<string> = new Set()
  /** Items of earlier batches that wait so. */
  parkedBefore = 0
  /** Where the items come from the collector and not from the log: what each of them is there. */
  waiting: readonly WaitingItem[] | undefined
  /** Values that fell and belong to no item, by their group's number: RxJS gave them back, or they are derived. */
  readonly strayFalls = new Map<number, Fall>()
  /** Derived values that fell and had left traces in others, or were refused by the database: by their identity. */
  readonly #fallenDerived = new Map<string, Fall>()
  /** Derived values on which others may depend. */
  readonly #joinedDerived = new Set<number>()

  /** The owner that is being worked on. */
  item = noItem
  /** The step whose code runs. */
  step = ''

  readonly #places: readonly number[]
  /** Whether other streams depend on one, by its index. */
  readonly #hasDependents: readonly boolean[]
  readonly #marks: readonly ItemMarks[]
  /** The marks of the task's own stream: each item comes to an end there. */
  readonly #own: ItemMarks
  #groups: Group[] = []
  /** Event times that were read from values, by item. */
  #times = new Float64Array(0)
  /** Items from here on are left to a later batch, because rows were refused. */
  #cut = Number.POSITIVE_INFINITY
  #broke: Broke | undefined
  #stale: 'no' | 'beyond the limit' | 'fallen' = 'no'
  /** The first item of which traces are to go. */
  #staleFrom = Number.POSITIVE_INFINITY

  constructor(writeSet: WriteSet, streams: readonly TaskStream[]) {
    this.writeSet = writeSet
    this.streams = streams
    this.log = new OwnerLog((owner) => this.join(owner))
    this.shared = new SharedScopes(streams.length, this.log)
    this.#places = placesOf(streams)
    this.#hasDependents = streams.map((_, index) =>
      streams.some((other) => other.relation === 'depends' && other.parent === index),
    )
    this.#marks = streams.map((_, index) => new ItemMarks(index === 0))
    this.#own = this.#marks[0] as ItemMarks
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
    for (const marks of this.#marks) marks.grow(this.size)
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

  /** The owners that an owner stands for: of an item, itself. */
  membersOf(owner: number): readonly number[] {
    return owner >= 0 ? [owner] : this.groupOf(owner).members
  }

  /** Numbers of an owner's items. */
  itemsOf(owner: number): readonly number[] {
    return this.membersOf(owner).map(itemOf)
  }

  /** Offsets of an owner's records: `17`, of a group `17,18,20`, of another input `1:17`. They name it beyond this batch too. */
  offsetsOf(owner: number): string {
    const offsets = this.itemsOf(owner).map((item) => {
      const { records, index, input } = this.locate(item)
      const offset = records.offset(index)
      return input.index === 0 ? String(offset) : `${input.index}:${offset}`
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

  /** @returns the owner of a derived value; undefined for one that is not to come to anything */
  openDerived(derived: DerivedOwner): number | undefined {
    this.#groups.push({ members: [], trigger: undefined, derived })
    const owner = -this.#groups.length
    const fall = this.#fallenDerived.size === 0 ? undefined : this.#fallenDerived.get(identityOf(derived))
    if (fall !== undefined) this.strayFalls.set(owner, fall)
    return fall === undefined ? owner : undefined
  }

  /** A derived value falls, and no item for it. It comes again in a replay, and has to fall again there. */
  #fallDerived(owner: number, derived: DerivedOwner, fall: Fall, isRefused: boolean): void {
    this.strayFalls.set(owner, fall)
    this.log.undo(owner)
    if (!isRefused && !this.#joinedDerived.has(owner)) return
    this.#fallenDerived.set(identityOf(derived), fall)
    this.#staleBy(derived.item)
  }

  /** The database has refused rows of a derived value. */
  refuseDerived(owner: number, fall: Fall): void {
    const { derived } = this.groupOf(owner)
    if (derived !== undefined) this.#fallDerived(owner, derived, fall, true)
  }

  /** What is known of the owner of a derived value; undefined for others. */
  derivedOf(owner: number): DerivedOwner | undefined {
    return owner < 0 ? this.groupOf(owner).derived : undefined
  }

  /** The item at which an owner stands in offset order: of a group, its first one. */
  firstItemOf(owner: number): number {
    if (owner >= 0) return itemOf(owner)
    const { members, derived } = this.groupOf(owner)
    return derived?.item ?? itemOf(members[0] ?? 0)
  }

  /** The index of the stream that an owner belongs to. */
  streamIndexOf(owner: number): number {
    if (owner < 0) {
      const { derived } = this.groupOf(owner)
      if (derived !== undefined) return derived.stream
    }
    const first = owner >= 0 ? owner : this.groupOf(owner).members[0]
    // Where RxJS gave it back, nothing is known of it.
    return first === undefined ? 0 : streamOf(first)
  }

  /** The name of the stream that an owner belongs to. */
  streamNameOf(owner: number): string {
    return (this.streams[this.streamIndexOf(owner)] as TaskStream).name
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
      if (this.isSkipped(owner)) return undefined
      const last = this.groupOf(owner).members.at(-1)
      return last === undefined ? this.standing(owner) : this.goingOn(last)
    }
    return this.isBeyond(owner) || this.isSkipped(owner) ? undefined : this.#placeOf(owner)
  }

  /** Where an owner stands in offset order; undefined when it was undone or is left to a later batch. */
  standing(owner: number): number | undefined {
    if (owner >= 0) return this.isBeyond(owner) || this.isUndone(owner) ? undefined : this.#placeOf(owner)
    const { members, derived } = this.groupOf(owner)
    const last = members.at(-1)
    if (last !== undefined) return this.standing(last)
    if (this.strayFalls.has(owner) || this.isBeyond(owner)) return undefined
    // What RxJS gave back has no item: it goes last.
    return derived === undefined ? this.size : derived.position
  }

  /** Where the rows of an owner are added: those of one stream, of all items, before those of the next. */
  order(owner: number): number {
    const group = owner >= 0 ? undefined : this.groupOf(owner)
    const last = group === undefined ? owner : group.members.at(-1)
    if (last !== undefined) return this.#orderOf(streamOf(last), itemOf(last))
    const derived = group?.derived
    return derived === undefined ? Number.POSITIVE_INFINITY : this.#orderOf(derived.stream, derived.item)
  }

  #orderOf(stream: number, item: number): number {
    return (this.#places[stream] as number) * maxBatchItems * maxTaskStreams + item
  }

  #placeOf(owner: number): number {
    return itemOf(owner) + (this.#places[streamOf(owner)] as number)
  }

  isUndone(owner: number): boolean {
    if (owner >= 0) return isUndone(this.#rankOf(owner))
    return this.strayFalls.has(owner) || this.groupOf(owner).members.some((member) => this.isUndone(member))
  }

  /**
   * Whether an owner goes no further in a pass. One that was undone does where others depend on its stream: what they did
   * with it stays, so they have to be given it again in a replay. It leaves no trace on its way there.
   */
  isSkipped(owner: number): boolean {
    if (!this.isUndone(owner)) return false
    if (owner < 0) return this.strayFalls.has(owner) || this.membersOf(owner).some((member) => this.isSkipped(member))
    if (!this.#hasDependents[streamOf(owner)]) return true
    return this.falls.get(owner)?.kind === 'parked' || !this.falls.has(owner)
  }

  /** Whether an item is left to a later batch. */
  isBeyond(owner: number): boolean {
    if (owner >= 0) return itemOf(owner) >= this.limit
    return owner !== noItem && (this.groupOf(owner).derived?.item ?? -1) >= this.limit
  }

  /** Whether anything has fallen: while not, nobody needs to ask who. */
  get hasFallen(): boolean {
    return this.falls.size > 0 || this.strayFalls.size > 0
  }

  /** Some path of the owner came this far; of several the highest rank counts. */
  reach(owner: number, rank: OutcomeRank): void {
    if (owner >= 0) {
      const { ranks } = this.#marksOf(owner)
      const item = itemOf(owner)
      if ((ranks[item] as number) < rank) ranks[item] = rank
    } else for (const member of this.groupOf(owner).members) this.reach(member, rank)
  }

  /**
   * Brings an owner into a stream that depends on its own or is triggered by it.
   *
   * @returns the owner there; undefined for one that has fallen there
   */
  enter(stream: number, owner: number): number | undefined {
    if (owner < 0) return this.#enterGroup(stream, this.groupOf(owner))
    const item = itemOf(owner)
    const there = ownerOf(stream, item)
    const marks = this.#marks[stream] as ItemMarks
    if (marks.isAbsent(item)) {
      const fall = this.falls.get(there)
      marks.ranks[item] = fall === undefined ? Outcome.filtered : rankOf(fall)
    }
    return this.isSkipped(there) ? undefined : there
  }

  /** It was put together where all of its members stand, and comes as one: when a member has fallen here, so have all. */
  #enterGroup(stream: number, { members, trigger }: Group): number | undefined {
    for (const member of members) this.enter(stream, member)
    const there = members.map((member) => ownerOf(stream, itemOf(member)))
    const fallen = there.find((member) => this.isUndone(member))
    const fall = fallen === undefined ? undefined : this.falls.get(fallen)
    if (fall !== undefined) for (const member of there) this.fall(member, fall)
    const group = this.openGroup(there, trigger)
    this.join(group)
    return this.isSkipped(group) ? undefined : group
  }

  /** Another item's result may depend on this owner from now on. */
  join(owner: number): void {
    if (owner >= 0) this.#marksOf(owner).joined[itemOf(owner)] = 1
    else if (owner !== noItem) {
      const { members, derived } = this.groupOf(owner)
      for (const member of members) this.join(member)
      if (derived !== undefined) this.#joinedDerived.add(owner)
    }
  }

  /** The owner works with keyed state from now on. */
  sawState(owner: number): void {
    if (owner >= 0) this.#marksOf(owner).sawState(itemOf(owner))
    else for (const member of this.groupOf(owner).members) this.sawState(member)
  }

  /**
   * The first item that has fallen and left traces in state, when others behind it have fallen that had seen state. They are
   * to be looked at again without it: what becomes of items is final in their order.
   */
  get doubtfulFrom(): number | undefined {
    if (this.#stale !== 'fallen') return undefined
    for (const owner of this.#fellOnState) if (itemOf(owner) > this.#staleFrom) return this.#staleFrom
    return undefined
  }

  /** What has become of an item so far. */
  outcomeOf(item: number): OutcomeName {
    return this.#own.outcomeOf(item) as OutcomeName
  }

  /** What has become of an item in one of the streams so far; undefined where it has not come to it. */
  outcomeIn(stream: number, item: number): OutcomeName | undefined {
    return (this.#marks[stream] as ItemMarks).outcomeOf(item)
  }

  /** Undoes an item in its stream, and in those that it triggered. */
  fall(owner: number, fall: Fall): void {
    if (owner < 0 || this.isUndone(owner)) return
    this.falls.set(owner, fall)
    const marks = this.#marksOf(owner)
    marks.ranks[itemOf(owner)] = rankOf(fall)
    if (marks.hasSeenState(itemOf(owner))) this.#fellOnState.add(owner)
    this.#undoTraces(owner)
  }

  /** An item that fell is tried again, in the replay that has to follow. */
  standUp(owner: number): void {
    this.falls.delete(owner)
    this.#staleBy(owner)
  }

  /** An item that fell is committed as fallen for another reason. */
  fallOtherwise(owner: number, fall: Fall): void {
    this.falls.set(owner, fall)
    this.#marksOf(owner).ranks[itemOf(owner)] = rankOf(fall)
  }

  /** Lets an item wait, in all streams. It has done nothing, whatever it may have done. */
  park(item: number): void {
    for (const owner of this.falls.keys()) if (itemOf(owner) === item) this.falls.delete(owner)
    this.#own.ranks[item] = Outcome.filtered
    this.fall(item, { kind: 'parked' })
    // What it has done in streams that depend on nothing here is undone by the replay, where it does not come to them.
    if (this.streams.some(({ relation }) => relation === 'depends')) this.#staleBy(item)
  }

  /** Undoes all that an owner stands for. */
  fallAll(owner: number, fall: Fall): void {
    const members = this.membersOf(owner)
    const derived = owner < 0 ? this.groupOf(owner).derived : undefined
    if (derived !== undefined) this.#fallDerived(owner, derived, fall, false)
    else if (members.length === 0) this.strayFalls.set(owner, fall)
    for (const member of members) this.fall(member, fall)
  }

  /**
   * An item has fallen because of the database; those after it that fell because they clashed with other rows may fit
   * without it, so they get up again.
   */
  reviveClashesAfter(owner: number): boolean {
    let revived = false
    for (const [other, fall] of this.falls) {
      if (fall.kind === 'collected' && fall.clash && this.#placeOf(other) > this.#placeOf(owner)) {
        this.falls.delete(other)
        this.#marksOf(other).ranks[itemOf(other)] = Outcome.done
        if (this.#hasJoined(other)) this.#staleBy(other)
        revived = true
      }
    }
    return revived
  }

  /** Ends the batch before an item; those behind are taken by a later one. */
  cutAt(item: number): void {
    this.#cut = Math.min(this.#cut, item)
    this.#moveLimit()
    this.interrupt = undefined
  }

  /** Whether it ends before its last item. */
  get isCut(): boolean {
    return this.#cut !== Number.POSITIVE_INFINITY
  }

  /** Takes a cut back: everything is run again, but for what had fallen before it. */
  uncut(falls: ReadonlyMap<number, Fall>): void {
    this.#cut = Number.POSITIVE_INFINITY
    this.falls.clear()
    for (const [owner, fall] of falls) this.falls.set(owner, fall)
    this.#staleBy(0)
  }

  /** Of several breaks the first in offset order counts. */
  breakAt(broke: Broke): void {
    if (broke.item >= this.limit) return
    this.#broke = broke
    this.#moveLimit()
  }

  /** Where a break ends the batch, unless it ends before. */
  get broke(): Broke | undefined {
    return this.#broke !== undefined && this.#broke.item <= this.#cut ? this.#broke : undefined
  }

  /** Whether what stands may show traces of an item that does not: then the batch has to be replayed. */
  get stale(): boolean {
    return this.#stale !== 'no'
  }

  /** Grows with everything that callbacks write and do to shared scopes: tells whether one of them did anything. */
  get traces(): number {
    return this.writeSet.length + this.shared.touches
  }

  interruptWith(interrupt: Interrupt): void {
    this.interrupt ??= interrupt
  }

  /** The rows of a sink. */
  bufferFor(sink: Sink<never>): RowBuffer {
    return this.writeSet.bufferFor(sink)
  }

  mark(): Savepoint {
    return this.writeSet.mark()
  }

  rollbackTo(savepoint: Savepoint): void {
    this.writeSet.rollbackTo(savepoint)
  }

  /** Forgets what fell and where the batch ended: everything is tried again. */
  startOver(): void {
    this.falls.clear()
    this.#fellOnState.clear()
    this.#fallenDerived.clear()
    this.#cut = Number.POSITIVE_INFINITY
    this.#broke = undefined
    this.limit = this.#cut
  }

  /** Back to the state before the first item ran, but for the items that fell; those at or beyond the limit are forgotten. */
  reset(): void {
    // An item that fell may have been the reason for a break behind it.
    if (this.#stale === 'fallen') {
      this.#broke = undefined
      this.limit = this.#cut
      for (const owner of this.#fellOnState) {
        if (itemOf(owner) <= this.#staleFrom) continue
        this.falls.delete(owner)
        this.#fellOnState.delete(owner)
      }
    }
    this.#stale = 'no'
    this.#staleFrom = Number.POSITIVE_INFINITY
    this.writeSet.clear()
    this.scopes.clear()
    this.shared.clear()
    this.log.clear()
    this.#times.fill(Number.NEGATIVE_INFINITY)
    this.strayFalls.clear()
    this.#joinedDerived.clear()
    this.#groups = []
    for (const marks of this.#marks) marks.reset()
    for (const [owner, fall] of this.falls) {
      if (this.isBeyond(owner)) this.falls.delete(owner)
      else if (streamOf(owner) === 0) this.#own.ranks[owner] = rankOf(fall)
    }
    this.passed = 0
    this.interrupt = undefined
  }

  /** Items that commit: those before the limit. */
  get taken(): number {
    return Math.min(this.size, this.limit)
  }

  /** After the commit. A batch that was cut may be followed by smaller ones, so what it left outlasts the next of them. */
  committed(): void {
    this.left = Math.max(this.left, this.size) - this.taken
  }

  /** What became of the items that commit, in one of the streams. In the task's own they add up to `taken`. */
  countOutcomes(stream = 0): OutcomeCounts {
    return (this.#marks[stream] as ItemMarks).count(this.taken)
  }

  /** The items that commit as fallen, in all streams. */
  *fallen(): Iterable<FallenItem> {
    for (const [owner, fall] of this.falls) {
      const [item, stream] = [itemOf(owner), streamOf(owner)]
      // In a stream that the last pass did not bring it to, it has no outcome.
      if (item >= this.taken || this.#marksOf(owner).isAbsent(item) || !this.#counts(owner)) continue
      yield { owner, item, stream: (this.streams[stream] as TaskStream).name, fall }
    }
  }

  /**
   * Whether what becomes of an owner is to be committed. Of a waiting item only what it does where it fell, and in what is
   * triggered from there: the rest was committed when it fell. One that has only waited so far has done nothing anywhere.
   */
  #counts(owner: number): boolean {
    if (this.waiting === undefined) return true
    const last = this.membersOf(owner).at(-1)
    const item = last === undefined ? undefined : this.waiting[itemOf(last)]
    if (item === undefined || item.attempts === 0) return true
    for (let stream = this.streamIndexOf(owner); ; ) {
      const { name, relation, parent } = this.streams[stream] as TaskStream
      if (name === item.stream) return true
      if (relation !== 'triggers') return false
      stream = parent
    }
  }

  #marksOf(owner: number): ItemMarks {
    const stream = streamOf(owner)
    return stream === 0 ? this.#own : (this.#marks[stream] as ItemMarks)
  }

  #rankOf(owner: number): number {
    return this.#marksOf(owner).ranks[itemOf(owner)] as number
  }

  #hasJoined(owner: number): boolean {
    return this.#marksOf(owner).joined[itemOf(owner)] === 1
  }

  #undoTraces(owner: number): void {
    // Backwards: what it triggered came last.
    for (let stream = this.streams.length - 1; stream > 0; stream--) {
      const { relation, parent } = this.streams[stream] as TaskStream
      if (relation === 'triggers' && parent === streamOf(owner)) this.#withdraw(ownerOf(stream, itemOf(owner)))
    }
    this.log.undo(owner)
    if (this.#hasJoined(owner)) this.#staleBy(owner)
  }

  /** The result that brought an item into a triggered stream is gone: it was never there. */
  #withdraw(owner: number): void {
    this.falls.delete(owner)
    const marks = this.#marksOf(owner)
    if (marks.isAbsent(itemOf(owner))) return
    marks.leave(itemOf(owner))
    this.#undoTraces(owner)
    // Nor did it come to the streams that this one depends on.
    for (let stream = this.streams.length - 1; stream > 0; stream--) {
      const { relation, parent } = this.streams[stream] as TaskStream
      if (relation === 'depends' && parent === streamOf(owner)) this.#withdraw(ownerOf(stream, itemOf(owner)))
    }
  }

  /** What stands may show traces of an owner that does not. */
  #staleBy(owner: number): void {
    this.#stale = 'fallen'
    this.#staleFrom = Math.min(this.#staleFrom, itemOf(owner))
  }

  /** What is behind the limit belongs to a later batch. */
  #moveLimit(): void {
    const limit = Math.min(this.#cut, this.#broke?.item ?? this.#cut)
    this.limit = limit
    for (const owner of this.falls.keys()) if (this.isBeyond(owner)) this.falls.delete(owner)
    if (this.isBeyond(this.log.last)) this.log.undo(this.log.last)
    // Else the break would be forgotten for an item that is left out with it, and both would come again for ever.
    if (this.#stale === 'fallen' && this.#staleFrom >= limit) this.#stale = 'beyond the limit'
    if (this.#stale === 'no' && this.#marks.some((marks) => marks.hasJoinedBetween(limit, this.size))) {
      this.#stale = 'beyond the limit'
    }
  }
}
