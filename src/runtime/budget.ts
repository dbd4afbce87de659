/** Memory that all tasks of a service may hold in records together: back-pressure from the commit to the fetch. */
export class Budget {
  readonly #maxBytes: number
  readonly #maxItems: number
  #bytes = 0
  #items = 0
  #waiting: (() => void)[] = []

  constructor(maxBytes: number, maxItems: number) {
    this.#maxBytes = maxBytes
    this.#maxItems = maxItems
  }

  take(bytes: number, items: number): void {
    this.#bytes += bytes
    this.#items += items
  }

  give(bytes: number, items: number): void {
    this.#bytes -= bytes
    this.#items -= items
    if (this.full) return
    const waiting = this.#waiting
    this.#waiting = []
    for (const resolve of waiting) resolve()
  }

  /** Resolves when something was given back and there is room, at once when there is some, or when the signal aborts. */
  async room(signal: AbortSignal): Promise<void> {
    while (this.full && !signal.aborted) {
      await new Promise<void>((resolve) => {
        const done = () => {
          signal.removeEventListener('abort', done)
          // A wait that was aborted while there is no room is still in the list.
          if (signal.aborted) this.#waiting = this.#waiting.filter((one) => one !== done)
          resolve()
        }
        this.#waiting.push(done)
        signal.addEventListener('abort', done, { once: true })
      })
    }
  }

  get full(): boolean {
    return this.#bytes >= this.#maxBytes || this.#items >= this.#maxItems
  }
}
