/** Whether what stands in the open batch may show traces of an item that does not: then it has to be replayed. */
export class Staleness {
  #because: 'no' | 'beyond the limit' | 'fallen' = 'no'
  /** The first item of which traces are to go. */
  #from = Number.POSITIVE_INFINITY

  get isStale(): boolean {
    return this.#because !== 'no'
  }

  /** The first item of which traces are to go; undefined where that is because of nothing that fell. */
  get fallenFrom(): number | undefined {
    return this.#because === 'fallen' ? this.#from : undefined
  }

  /** What stands may show traces of an item that fell. */
  by(item: number): void {
    this.#because = 'fallen'
    this.#from = Math.min(this.#from, item)
  }

  /**
   * Items from a limit on are left to a later batch.
   *
   * @param haveJoined whether what stands may show traces of them
   */
  leaveOut(limit: number, haveJoined: boolean): void {
    // Else the break would be forgotten for an item that is left out with it, and both would come again for ever.
    if (this.#because === 'fallen' && this.#from >= limit) this.#because = 'beyond the limit'
    if (this.#because === 'no' && haveJoined) this.#because = 'beyond the limit'
  }

  clear(): void {
    this.#because = 'no'
    this.#from = Number.POSITIVE_INFINITY
  }
}
