/**
 * Who the owners of the open batch are: the groups that negative numbers stand for, whose members and items they are, which
 * stream they belong to, and in which order their rows come. What became of them is in `falls.ts`.
 */
import type { GroupTrigger } from '../core/context.ts'
import type { Key } from '../core/key.ts'
import { itemOf, maxBatchItems, maxTaskStreams, streamOf } from './owner.ts'
import { placesOf, type TaskStream } from './taskStreams.ts'

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

export class Owners {
  readonly #streams: readonly TaskStream[]
  /** Where the rows of one item come, by stream. */
  readonly #places: readonly number[]
  #groups: Group[] = []

  constructor(streams: readonly TaskStream[]) {
    this.#streams = streams
    this.#places = placesOf(streams)
  }

  openGroup(owners: readonly number[], trigger: GroupTrigger | undefined): number {
    // Of one item flatMap may have made several values: it is one member.
    const members = owners.every((owner, index) => owner > (owners[index - 1] ?? -1))
      ? owners
      : [...new Set(owners.flatMap((owner) => this.membersOf(owner)))].sort((a, b) => a - b)
    return this.#add({ members, trigger })
  }

  addDerived(derived: DerivedOwner): number {
    return this.#add({ members: [], trigger: undefined, derived })
  }

  /** Groups are made anew in a replay. */
  clear(): void {
    this.#groups = []
  }

  groupOf(owner: number): Group {
    return this.#groups[-1 - owner] as Group
  }

  /** The owners that an owner stands for: of an item, itself. */
  membersOf(owner: number): readonly number[] {
    return owner >= 0 ? [owner] : this.groupOf(owner).members
  }

  /** Numbers of an owner's items. */
  itemsOf(owner: number): readonly number[] {
    return this.membersOf(owner).map(itemOf)
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
    if (owner >= 0) return streamOf(owner)
    const { members, derived } = this.groupOf(owner)
    if (derived !== undefined) return derived.stream
    const [first] = members
    // Where RxJS gave it back, nothing is known of it.
    return first === undefined ? 0 : streamOf(first)
  }

  /** The name of the stream that an owner belongs to. */
  streamNameOf(owner: number): string {
    return (this.#streams[this.streamIndexOf(owner)] as TaskStream).name
  }

  /** Where an owner, which is no group, stands in offset order. */
  placeOf(owner: number): number {
    return itemOf(owner) + (this.#places[streamOf(owner)] as number)
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

  #add(group: Group): number {
    this.#groups.push(group)
    return -this.#groups.length
  }
}
