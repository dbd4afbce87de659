/** From the rows of a batch to statements that hold no key twice. Pure functions of cells and keys. */
import type { Cell, MergeCells } from './merge.ts'

/** Rows of one statement at most: enough that its cost is in the rows, little enough that parameters stay small. */
export const maxRowsPerStatement = 10_000

/** A column's cells by row, and what becomes of two that meet. */
export interface MergedColumn {
  readonly cells: readonly Cell[]
  /** Undefined where only the database can tell. */
  readonly merge: MergeCells | undefined
}

/** A statement with one list of cells for each of its columns. */
export interface Statement {
  readonly text: string
  readonly cells: readonly (readonly Cell[])[]
}

export function* chunked(text: string, cells: readonly (readonly Cell[])[]): Iterable<Statement> {
  const count = cells[0]?.length ?? 0
  for (let start = 0; start < count; start += maxRowsPerStatement) {
    yield { text, cells: cells.map((column) => column.slice(start, start + maxRowsPerStatement)) }
  }
}

/**
 * One row per key, sorted by key.
 *
 * @param rows indexes into the columns' cells, in offset order; `keys` has the key of each
 * @returns undefined when a column cannot be merged here
 */
export function mergedCells(
  columns: readonly MergedColumn[],
  rows: Int32Array,
  keys: readonly string[],
): Cell[][] | undefined {
  if (columns.some(({ merge }) => merge === undefined)) return undefined
  const groupOf = new Map<string, number>()
  const groups = Int32Array.from(rows, (_, index) => {
    const key = keys[index] ?? ''
    const known = groupOf.get(key)
    if (known !== undefined) return known
    groupOf.set(key, groupOf.size)
    return groupOf.size - 1
  })
  const order = sortedKeys(groupOf)
  return columns.map(({ cells, merge }) => {
    const merged: Cell[] = []
    groups.forEach((group, index) => {
      const cell = cells[rows[index] ?? 0]
      if (group === merged.length) merged.push(cell)
      else merged[group] = merge?.(merged[group], cell)
    })
    return order.map((group) => merged[group])
  })
}

// Every process sorts the same way, so that two of them never wait for each other's rows.
function sortedKeys(groupOf: ReadonlyMap<string, number>): number[] {
  return [...groupOf].sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0)).map(([, group]) => group)
}

/**
 * Parts rows into waves in which no key comes twice. In rounds, each key's first row is in the first wave, which is
 * sorted, so that all locks are taken in one order; in offset order, a wave ends where a key or another shape comes.
 *
 * @returns indexes into `keys`
 */
export function inWaves(keys: readonly string[], shapes: readonly number[], inOrder: boolean): number[][] {
  const waves: number[][] = []
  const lastWave = new Map<string, number>()
  keys.forEach((key, index) => {
    const last = lastWave.get(key) ?? -1
    let wave = last + 1
    if (inOrder) {
      const current = waves.length - 1
      const cut = current < 0 || last === current || shapes[index] !== shapes[index - 1]
      wave = cut ? current + 1 : current
    }
    lastWave.set(key, wave)
    const members = waves[wave]
    if (members === undefined) waves[wave] = [index]
    else members.push(index)
  })
  if (inOrder) return waves
  const byKey = (a: number, b: number) => {
    const [left = '', right = ''] = [keys[a], keys[b]]
    return left < right ? -1 : left > right ? 1 : 0
  }
  return waves.map((wave) => wave.sort(byKey))
}
