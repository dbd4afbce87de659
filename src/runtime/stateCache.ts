/**
 * Which keys' state stays in memory: those of all tasks and steps that were used last, up to a number.
 *
 * A ring of links in the states themselves: a Set has to step over all that was deleted before its first element, which was
 * most of the work where keys come and go.
 */

/** A place in the ring. */
interface Link {
  /** Used right after this one; undefined while it is in no ring. */
  newer: Link | undefined
  older: Link | undefined
}

/** State of one key that is as the store has it. */
export interface Evictable extends Link {
  /** It is to be dropped from memory. */
  evicted(): void
}

export class StateCache {
  readonly #maxKeys: number
  /** Between the newest and the oldest. */
  readonly #ends: Link = { newer: undefined, older: undefined }
  #size = 0

  constructor(maxKeys: number) {
    this.#maxKeys = maxKeys
    this.#ends.newer = this.#ends
    this.#ends.older = this.#ends
  }

  get size(): number {
    return this.#size
  }

  /** Nothing of it is open any more: it may go when there are too many. */
  keep(state: Evictable): void {
    this.release(state)
    const newest = this.#ends.older as Link
    join(newest, state)
    join(state, this.#ends)
    this.#size++
    if (this.#size <= this.#maxKeys) return
    const oldest = this.#ends.newer as Evictable
    this.release(oldest)
    oldest.evicted()
  }

  /** It is in use, or gone: it is not to be dropped by the cache. */
  release(state: Evictable): void {
    const { older, newer } = state
    if (older === undefined || newer === undefined) return
    join(older, newer)
    state.older = undefined
    state.newer = undefined
    this.#size--
  }
}

function join(older: Link, newer: Link): void {
  older.newer = newer
  newer.older = older
}
