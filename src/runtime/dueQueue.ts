/**
 * Cells by when they are due.
 *
 * A cell is in the queue once, although its time changes with every value: it comes up when it was to be due first, and is put
 * back when that has become later. Cells that are gone are passed over, and swept out when they are many.
 */
import TinyQueue from 'tinyqueue'
import { type Cell, never } from './stateOfKey.ts'

/** Gone cells that are not worth a sweep. */
const maxGone = 1_024

export class DueQueue {
  readonly #times = new TinyQueue<number>()
  readonly #cells = new Map<number, Cell[]>()
  #size = 0
  #gone = 0

  /** The earliest time at which anything may be due; Infinity for nothing. */
  get first(): number {
    return this.#times.peek() ?? never
  }

  add(cell: Cell): void {
    const { due } = cell
    cell.queuedFor = due
    this.#size++
    const cells = this.#cells.get(due)
    if (cells !== undefined) cells.push(cell)
    else {
      this.#cells.set(due, [cell])
      this.#times.push(due)
    }
  }

  /** Takes all that is due by a time. */
  takeUpTo(time: number): Cell[] {
    const taken: Cell[] = []
    while (this.first <= time) {
      const queuedFor = this.#times.pop() as number
      const cells = this.#cells.get(queuedFor) ?? []
      this.#cells.delete(queuedFor)
      this.#size -= cells.length
      for (const cell of cells) {
        // One that became due earlier meanwhile is in the queue twice.
        if (cell.queuedFor !== queuedFor) continue
        cell.queuedFor = never
        if (cell.isGone) continue
        if (cell.due <= time) taken.push(cell)
        else if (cell.due !== never) this.add(cell)
      }
    }
    return taken
  }

  /** A cell that may be queued has left memory. */
  discard(cell: Cell): void {
    if (cell.queuedFor === never || ++this.#gone <= Math.max(maxGone, this.#size / 2)) return
    this.#gone = 0
    this.#size = 0
    for (const [due, cells] of this.#cells) {
      const kept = cells.filter(({ isGone, queuedFor }) => !isGone && queuedFor === due)
      // One that the open batch has deleted comes back when that is undone.
      for (const swept of cells) if (swept.isGone && swept.queuedFor === due) swept.queuedFor = never
      this.#cells.set(due, kept)
      this.#size += kept.length
    }
  }

  clear(): void {
    this.#times.data.length = 0
    this.#times.length = 0
    this.#cells.clear()
    this.#size = 0
    this.#gone = 0
  }
}
