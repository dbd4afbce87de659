/**
 * The text of a key, the same where the keys are: made once, and then looked up column by column. Rows of windows have each key
 * over and over, and a text that is made for each row costs more than all else that is done to it.
 */
import type { Cell } from './merge.ts'

type Branch = Map<Cell, Branch | string>

export class KeyTexts {
  readonly #columns: readonly (readonly Cell[])[]
  readonly #root: Branch = new Map()

  /** @param columns the cells of the key's columns, by row */
  constructor(columns: readonly (readonly Cell[])[]) {
    this.#columns = columns
  }

  of(row: number): string {
    let found: Branch | string | undefined = this.#root
    for (const cells of this.#columns) found = (found as Branch | undefined)?.get(cells[row])
    return typeof found === 'string' ? found : this.#add(row)
  }

  // A text holds no NUL, so it parts columns, and marks what is no text.
  #add(row: number): string {
    let text = ''
    let branch = this.#root
    for (const [index, cells] of this.#columns.entries()) {
      const cell = cells[row]
      text += cell === null || cell === undefined ? '\0-' : `\0${cell}`
      if (index === this.#columns.length - 1) branch.set(cell, text)
      else branch = branchOf(branch, cell)
    }
    return text
  }
}

function branchOf(branch: Branch, cell: Cell): Branch {
  const known = branch.get(cell)
  if (known instanceof Map) return known
  const made: Branch = new Map()
  branch.set(cell, made)
  return made
}
