import type { Change } from './ownerLog.ts'
import type { Cell } from './stateOfKey.ts'

/** What cells were before the owner in hand changed them, in columns that are used again and again. */
export class CellChanges implements Change {
  #count = 0
  readonly #cells: Cell[] = []
  readonly #values: unknown[] = []
  readonly #dues: number[] = []
  readonly #gone: boolean[] = []

  get isEmpty(): boolean {
    return this.#count === 0
  }

  /** @param value what the cell held */
  add(cell: Cell, value: unknown): void {
    const index = this.#count++
    this.#cells[index] = cell
    this.#values[index] = value
    this.#dues[index] = cell.due
    this.#gone[index] = cell.isGone
  }

  undo(): void {
    for (let index = this.#count - 1; index >= 0; index--) {
      const cell = this.#cells[index] as Cell
      cell.value = this.#values[index]
      cell.due = this.#dues[index] as number
      cell.isGone = this.#gone[index] as boolean
      cell.state.queue(cell)
    }
    this.#count = 0
  }

  seen(): void {
    this.#count = 0
  }
}
