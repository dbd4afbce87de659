/** Which keys' state stays in memory: those of all tasks and steps that were used last, up to a number. */

/** State of one key that is as the store has it. */
export interface Evictable {
  /** It is to be dropped from memory. */
  evicted(): void
}

export class StateCache {
  readonly #maxKeys: number
  /** The one used longest ago comes first. */
  readonly #kept = new Set<Evictable>()

  constructor(maxKeys: number) {
    this.#maxKeys = maxKeys
  }

  get size(): number {
    return this.#kept.size
  }

  /** Nothing of it is open any more: it may go when there are too many. */
  keep(state: Evictable): void {
    this.#kept.delete(state)
    this.#kept.add(state)
    if (this.#kept.size <= this.#maxKeys) return
    for (const oldest of this.#kept) {
      this.#kept.delete(oldest)
      oldest.evicted()
      break
    }
  }

  /** It is in use, or gone: it is not to be dropped by the cache. */
  release(state: Evictable): void {
    this.#kept.delete(state)
  }
}
