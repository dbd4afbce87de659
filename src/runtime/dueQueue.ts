/** Cells by when they are due. Entries are not taken out when a cell changes: whoever takes them looks whether they still hold. */
import TinyQueue from 'tinyqueue'

export class DueQueue<T> {
  readonly #times = new TinyQueue<number>()
  readonly #entries = new Map<number, T[]>()

  /** The earliest time at which anything may be due; Infinity for nothing. */
  get first(): number {
    return this.#times.peek() ?? Number.POSITIVE_INFINITY
  }

  add(due: number, entry: T): void {
    const entries = this.#entries.get(due)
    if (entries !== undefined) entries.push(entry)
    else {
      this.#entries.set(due, [entry])
      this.#times.push(due)
    }
  }

  /** Takes what is due first, all of it. */
  takeFirst(): { readonly due: number; readonly entries: readonly T[] } | undefined {
    const due = this.#times.pop()
    if (due === undefined) return undefined
    const entries = this.#entries.get(due) ?? []
    this.#entries.delete(due)
    return { due, entries }
  }

  clear(): void {
    this.#times.data.length = 0
    this.#times.length = 0
    this.#entries.clear()
  }
}
