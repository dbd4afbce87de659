/**
 * What fell in the open batch, what falls with it, and who gets up again.
 *
 * An owner that falls takes back what it triggered and what it did last to scopes and state. Where others may show traces of
 * it all the same, the batch is stale and has to be replayed; what fell survives the replay.
 */
import { textOfKey } from '../core/key.ts'
import { isUndone, Outcome } from '../core/outcome.ts'
import { type Fall, rankOf } from './fall.ts'
import type { Limit } from './limit.ts'
import type { Marks } from './marks.ts'
import { itemOf, ownerOf, streamOf } from './owner.ts'
import type { OwnerLog } from './ownerLog.ts'
import type { DerivedOwner, Owners } from './owners.ts'
import { Staleness } from './staleness.ts'
import type { TaskStream } from './taskStreams.ts'

/** What falls have to do with. */
interface FallParts {
  readonly streams: readonly TaskStream[]
  readonly owners: Owners
  readonly marks: Marks
  readonly limit: Limit
  readonly log: OwnerLog
}

function identityOf({ stream, step, key, at, nth }: DerivedOwner): string {
  return JSON.stringify([stream, step, textOfKey(key), at, nth])
}

export class Falls {
  /** Items that fell. */
  readonly byOwner = new Map<number, Fall>()
  /** Values that fell and belong to no item, by their group's number: RxJS gave them back, or they are derived. */
  readonly stray = new Map<number, Fall>()
  /** Owners that fell when they had seen keyed state: another item that falls before them may have been the reason. */
  readonly #onState = new Set<number>()
  /** Derived values that fell and had left traces in others, or were refused by the database: by their identity. */
  readonly #derived = new Map<string, Fall>()
  readonly #staleness = new Staleness()
  readonly #streams: readonly TaskStream[]
  readonly #owners: Owners
  readonly #marks: Marks
  readonly #limit: Limit
  readonly #log: OwnerLog
  /** Streams that depend on one, by its index. */
  readonly #dependents: readonly (readonly number[])[]
  /** Streams that are triggered by one, by its index. */
  readonly #triggered: readonly (readonly number[])[]

  constructor({ streams, owners, marks, limit, log }: FallParts) {
    this.#streams = streams
    this.#owners = owners
    this.#marks = marks
    this.#limit = limit
    this.#log = log
    this.#dependents = tiedStreams(streams, 'depends')
    this.#triggered = tiedStreams(streams, 'triggers')
  }

  /** Whether anything has fallen: while not, nobody needs to ask who. */
  get any(): boolean {
    return this.byOwner.size > 0 || this.stray.size > 0
  }

  isUndone(owner: number): boolean {
    if (owner >= 0) return isUndone(this.#marks.rankOf(owner))
    return this.stray.has(owner) || this.#owners.groupOf(owner).members.some((member) => this.isUndone(member))
  }

  /**
   * Whether an owner goes no further in a pass. One that was undone does where others depend on its stream: what they did
   * with it stays, so they have to be given it again in a replay. It leaves no trace on its way there.
   */
  isSkipped(owner: number): boolean {
    if (!this.isUndone(owner)) return false
    if (owner < 0)
      return this.stray.has(owner) || this.#owners.membersOf(owner).some((member) => this.isSkipped(member))
    if (this.#dependentsOf(owner).length === 0) return true
    return this.byOwner.get(owner)?.kind === 'parked' || !this.byOwner.has(owner)
  }

  /** Whether what stands may show traces of an item that does not: then the batch has to be replayed. */
  get needReplay(): boolean {
    return this.#staleness.isStale
  }

  /** Whether the batch is stale because of something that fell. */
  get leftTraces(): boolean {
    return this.#staleness.fallenFrom !== undefined
  }

  /**
   * The first item that has fallen and left traces in state, when others behind it have fallen that had seen state. They are
   * to be looked at again without it: what becomes of items is final in their order.
   */
  get doubtfulFrom(): number | undefined {
    const from = this.#staleness.fallenFrom
    if (from === undefined) return undefined
    for (const owner of this.#onState) if (itemOf(owner) > from) return from
    return undefined
  }

  /** Undoes an item in its stream, and in those that it triggered. */
  fall(owner: number, fall: Fall): void {
    if (owner < 0 || this.isUndone(owner)) return
    this.fallOtherwise(owner, fall)
    if (this.#marks.hasSeenState(owner)) this.#onState.add(owner)
    this.#undoTraces(owner)
  }

  /** Undoes all that an owner stands for. */
  fallAll(owner: number, fall: Fall): void {
    const members = this.#owners.membersOf(owner)
    const derived = this.#owners.derivedOf(owner)
    if (derived !== undefined) this.#fallDerived(owner, derived, fall, false)
    else if (members.length === 0) this.stray.set(owner, fall)
    for (const member of members) this.fall(member, fall)
  }

  /** An item that fell is committed as fallen for another reason. */
  fallOtherwise(owner: number, fall: Fall): void {
    this.byOwner.set(owner, fall)
    this.#marks.setRank(owner, rankOf(fall))
  }

  /** Lets an item wait, in all streams. It has done nothing, whatever it may have done. */
  park(item: number): void {
    for (const owner of this.byOwner.keys()) if (itemOf(owner) === item) this.byOwner.delete(owner)
    this.#marks.setRank(item, Outcome.filtered)
    this.fall(item, { kind: 'parked' })
    // What it has done in streams that depend on nothing here is undone by the replay, where it does not come to them.
    if (this.#streams.some(({ relation }) => relation === 'depends')) this.#staleness.by(item)
  }

  /** An item that fell is tried again, in the replay that has to follow. */
  standUp(owner: number): void {
    this.byOwner.delete(owner)
    this.#staleness.by(itemOf(owner))
  }

  /**
   * An item has fallen because of the database; those after it that fell because they clashed with other rows may fit
   * without it, so they get up again.
   */
  reviveClashesAfter(owner: number): boolean {
    let revived = false
    for (const [other, fall] of this.byOwner) {
      if (fall.kind === 'collected' && fall.clash && this.#owners.placeOf(other) > this.#owners.placeOf(owner)) {
        this.byOwner.delete(other)
        this.#marks.setRank(other, Outcome.done)
        if (this.#marks.hasJoined(other)) this.#staleness.by(itemOf(other))
        revived = true
      }
    }
    return revived
  }

  /** @returns the owner of a derived value; undefined for one that is not to come to anything */
  openDerived(derived: DerivedOwner): number | undefined {
    const owner = this.#owners.addDerived(derived)
    const fall = this.#derived.size === 0 ? undefined : this.#derived.get(identityOf(derived))
    if (fall !== undefined) this.stray.set(owner, fall)
    return fall === undefined ? owner : undefined
  }

  /** The database has refused rows of a derived value. */
  refuseDerived(owner: number, fall: Fall): void {
    const derived = this.#owners.derivedOf(owner)
    if (derived !== undefined) this.#fallDerived(owner, derived, fall, true)
  }

  /** The limit has moved: what is behind it, of the items taken so far, belongs to a later batch. */
  leaveBeyondLimit(size: number): void {
    const { at } = this.#limit
    for (const owner of this.byOwner.keys()) if (this.#limit.isBeyond(owner)) this.byOwner.delete(owner)
    if (this.#limit.isBeyond(this.#log.last)) this.#log.undo(this.#log.last)
    this.#staleness.leaveOut(at, this.#marks.hasJoinedBetween(at, size))
  }

  /** Nothing has fallen but what is said here; all is run again. */
  putBack(falls: ReadonlyMap<number, Fall>): void {
    this.byOwner.clear()
    for (const [owner, fall] of falls) this.byOwner.set(owner, fall)
    this.#staleness.by(0)
  }

  /** Everything is tried again. */
  clear(): void {
    this.byOwner.clear()
    this.#onState.clear()
    this.#derived.clear()
  }

  /** The batch is run again without what fell before the limit. Marks and owners have been made anew. */
  reset(): void {
    const from = this.#staleness.fallenFrom
    if (from !== undefined) this.#lookAgainBehind(from)
    this.#staleness.clear()
    this.stray.clear()
    for (const [owner, fall] of this.byOwner) {
      if (this.#limit.isBeyond(owner)) this.byOwner.delete(owner)
      else if (streamOf(owner) === 0) this.#marks.setRank(owner, rankOf(fall))
    }
  }

  #lookAgainBehind(item: number): void {
    for (const owner of this.#onState) {
      if (itemOf(owner) <= item) continue
      this.byOwner.delete(owner)
      this.#onState.delete(owner)
    }
  }

  /** A derived value falls, and no item for it. It comes again in a replay, and has to fall again there. */
  #fallDerived(owner: number, derived: DerivedOwner, fall: Fall, isRefused: boolean): void {
    this.stray.set(owner, fall)
    this.#log.undo(owner)
    if (!isRefused && !this.#marks.hasJoined(owner)) return
    this.#derived.set(identityOf(derived), fall)
    this.#staleness.by(derived.item)
  }

  #undoTraces(owner: number): void {
    for (const stream of this.#triggeredBy(owner)) this.#withdraw(ownerOf(stream, itemOf(owner)))
    this.#log.undo(owner)
    if (this.#marks.hasJoined(owner)) this.#staleness.by(itemOf(owner))
  }

  /** The result that brought an item into a triggered stream is gone: it was never there. */
  #withdraw(owner: number): void {
    this.byOwner.delete(owner)
    if (this.#marks.isAbsent(owner)) return
    this.#marks.leave(owner)
    this.#undoTraces(owner)
    // Nor did it come to the streams that this one depends on.
    for (const stream of this.#dependentsOf(owner)) this.#withdraw(ownerOf(stream, itemOf(owner)))
  }

  #dependentsOf(owner: number): readonly number[] {
    return this.#dependents[streamOf(owner)] as readonly number[]
  }

  #triggeredBy(owner: number): readonly number[] {
    return this.#triggered[streamOf(owner)] as readonly number[]
  }
}

/** By the index of a stream, those tied to it. The last one comes first, as it ran last and is undone first. */
function tiedStreams(streams: readonly TaskStream[], tie: TaskStream['relation']): readonly (readonly number[])[] {
  return streams.map((_, index) =>
    [...streams.keys()].filter((at) => streams[at]?.relation === tie && streams[at]?.parent === index).reverse(),
  )
}
