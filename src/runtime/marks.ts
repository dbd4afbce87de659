/** How far the owners of the open batch came in each of the task's streams, and whether others may depend on them. */
import type { OutcomeCounts, OutcomeName, OutcomeRank } from '../core/outcome.ts'
import { ItemMarks } from './itemMarks.ts'
import { itemOf, noItem, streamOf } from './owner.ts'
import type { Owners } from './owners.ts'

export class Marks {
  readonly #owners: Owners
  readonly #streams: readonly ItemMarks[]
  /** Those of the task's own stream: each item comes to an end there. */
  readonly #own: ItemMarks
  /** Derived values on which others may depend. */
  readonly #joinedDerived = new Set<number>()

  constructor(owners: Owners, streams: number) {
    this.#owners = owners
    this.#own = new ItemMarks(true)
    this.#streams = [this.#own, ...Array.from({ length: streams - 1 }, () => new ItemMarks(false))]
  }

  grow(size: number): void {
    for (const marks of this.#streams) marks.grow(size)
  }

  reset(): void {
    this.#joinedDerived.clear()
    for (const marks of this.#streams) marks.reset()
  }

  /** Some path of the owner came this far; of several the highest rank counts. */
  reach(owner: number, rank: OutcomeRank): void {
    if (owner >= 0) {
      const { ranks } = this.#of(owner)
      const item = itemOf(owner)
      if ((ranks[item] as number) < rank) ranks[item] = rank
    } else for (const member of this.#owners.groupOf(owner).members) this.reach(member, rank)
  }

  /** Another item's result may depend on this owner from now on. */
  join(owner: number): void {
    if (owner >= 0) this.#of(owner).joined[itemOf(owner)] = 1
    else if (owner !== noItem) {
      const { members, derived } = this.#owners.groupOf(owner)
      for (const member of members) this.join(member)
      if (derived !== undefined) this.#joinedDerived.add(owner)
    }
  }

  /** Of an item, or of a derived value. */
  hasJoined(owner: number): boolean {
    return owner >= 0 ? this.#of(owner).joined[itemOf(owner)] === 1 : this.#joinedDerived.has(owner)
  }

  /** Whether an item from `first` to `last`, excluding it, has joined in any stream. */
  hasJoinedBetween(first: number, last: number): boolean {
    return this.#streams.some((marks) => marks.hasJoinedBetween(first, last))
  }

  /** The owner works with keyed state from now on. */
  sawState(owner: number): void {
    if (owner >= 0) this.#of(owner).sawState(itemOf(owner))
    else for (const member of this.#owners.groupOf(owner).members) this.sawState(member)
  }

  hasSeenState(owner: number): boolean {
    return this.#of(owner).hasSeenState(itemOf(owner))
  }

  rankOf(owner: number): number {
    return this.#of(owner).ranks[itemOf(owner)] as number
  }

  setRank(owner: number, rank: OutcomeRank): void {
    this.#of(owner).ranks[itemOf(owner)] = rank
  }

  /** Whether an item has not come to the stream. */
  isAbsent(owner: number): boolean {
    return this.#of(owner).isAbsent(itemOf(owner))
  }

  /** The item was never in the stream. */
  leave(owner: number): void {
    this.#of(owner).leave(itemOf(owner))
  }

  /** What has become of an item so far. */
  outcomeOf(item: number): OutcomeName {
    return this.#own.outcomeOf(item) as OutcomeName
  }

  /** What has become of an item in one of the streams so far; undefined where it has not come to it. */
  outcomeIn(stream: number, item: number): OutcomeName | undefined {
    return (this.#streams[stream] as ItemMarks).outcomeOf(item)
  }

  /** What became of the first items, in one of the streams. */
  count(stream: number, items: number): OutcomeCounts {
    return (this.#streams[stream] as ItemMarks).count(items)
  }

  #of(owner: number): ItemMarks {
    const stream = streamOf(owner)
    return stream === 0 ? this.#own : (this.#streams[stream] as ItemMarks)
  }
}
