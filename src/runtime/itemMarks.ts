import { noOutcomes, Outcome, type OutcomeCounts, type OutcomeName, outcomeNames } from '../core/outcome.ts'

/** The rank of an item that has not come to a stream which depends on the task's own, or is triggered by it. */
const absent = 0xff

/** What is known of the items of a batch in one stream: how far each came, and whether others may depend on it. */
export class ItemMarks {
  /** Ranks of outcomes, by item. An absent item's is above those of undone ones: it has nothing to commit either. */
  ranks = new Uint8Array(1024)
  /** 1 where another item's result may depend on the item. */
  joined = new Uint8Array(1024)
  /** 1 where an item has worked with keyed state; empty where no step keeps any. */
  #state = new Uint8Array(0)
  /** What items begin with: in the task's own stream each comes to an end. */
  readonly #initial: number

  constructor(isOwn: boolean) {
    this.#initial = isOwn ? Outcome.filtered : absent
    this.reset()
  }

  reset(): void {
    this.ranks.fill(this.#initial)
    this.joined.fill(0)
    this.#state.fill(0)
  }

  sawState(item: number): void {
    if (item >= this.#state.length) this.#state = grown(this.#state, this.ranks.length, 0)
    this.#state[item] = 1
  }

  hasSeenState(item: number): boolean {
    return this.#state[item] === 1
  }

  grow(size: number): void {
    const { length } = this.ranks
    if (size <= length) return
    const capacity = Math.max(size, length * 2)
    this.ranks = grown(this.ranks, capacity, this.#initial)
    this.joined = grown(this.joined, capacity, 0)
  }

  isAbsent(item: number): boolean {
    return this.ranks[item] === absent
  }

  leave(item: number): void {
    this.ranks[item] = absent
  }

  /** Undefined for an item that has not come here. */
  outcomeOf(item: number): OutcomeName | undefined {
    return this.isAbsent(item) ? undefined : outcomeNames[this.ranks[item] as number]
  }

  /** Of the first items. */
  count(items: number): OutcomeCounts {
    const counts = noOutcomes()
    for (let item = 0; item < items; item++) {
      const outcome = this.outcomeOf(item)
      if (outcome !== undefined) counts[outcome]++
    }
    return counts
  }

  /** Whether one of the items from `first` to `last`, excluding it, has joined. */
  hasJoinedBetween(first: number, last: number): boolean {
    return this.joined.subarray(0, last).indexOf(1, first) >= 0
  }
}

function grown(bytes: Uint8Array, capacity: number, fill: number): Uint8Array<ArrayBuffer> {
  const larger = new Uint8Array(capacity).fill(fill)
  larger.set(bytes)
  return larger
}
