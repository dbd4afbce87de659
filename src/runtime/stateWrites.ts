/** From the cells that a batch has changed to what the store is told. */
import { encodeState } from '../core/stateCodec.ts'
import type { EndedCells, StateChanges } from '../core/stateStore.ts'
import { type Cell, never } from './stateOfKey.ts'

type Columns = { -readonly [Name in 'keys' | 'ats' | 'values' | 'dues' | 'versions']: StateChanges[Name][number][] }
type Ended = { -readonly [Name in keyof EndedCells]: EndedCells[Name] }

/**
 * What is to be stored of changed cells; undefined for nothing.
 *
 * @param workedOffTo no cell is stored and unchanged that is due by then: those that are gone go together
 */
export function writesOf(cells: readonly Cell[], workedOffTo: number): Omit<StateChanges, 'step'> | undefined {
  const columns: Columns = { keys: [], ats: [], values: [], dues: [], versions: [] }
  const ended: Ended = { upTo: Number.NEGATIVE_INFINITY, cells: 0, versions: 0 }
  const endsBefore = firstDueThatStays(cells)
  for (const cell of cells) {
    cell.pending = undefined
    if (!cell.isGone) addCell(columns, cell)
    else if (cell.text === undefined) continue
    else if (cell.storedDue <= workedOffTo && cell.storedDue < endsBefore) addEnded(ended, cell)
    else push(columns, cell, null)
  }
  if (columns.keys.length === 0 && ended.cells === 0) return undefined
  return { ...columns, ended: ended.cells === 0 ? undefined : ended }
}

/** When the first of them is due, as it is stored, that goes on being there. */
function firstDueThatStays(cells: readonly Cell[]): number {
  let first = never
  for (const { isGone, storedDue } of cells) if (!isGone && storedDue < first) first = storedDue
  return first
}

function addCell(columns: Columns, cell: Cell): void {
  const text = encodeState(cell.current)
  if (text === cell.text && cell.due === cell.storedDue) return
  push(columns, cell, text)
  cell.pending = { text, due: cell.due }
}

function push(columns: Columns, cell: Cell, text: string | null): void {
  columns.keys.push(cell.state.text)
  columns.ats.push(cell.at)
  columns.values.push(text)
  columns.dues.push(text === null || cell.due === never ? null : cell.due)
  columns.versions.push(cell.version)
}

function addEnded(ended: Ended, { storedDue, version }: Cell): void {
  ended.upTo = Math.max(ended.upTo, storedDue)
  ended.cells++
  ended.versions += version
}

/** What was made of a changed cell has been committed. */
export function settled(cell: Cell): void {
  cell.isChanged = false
  if (cell.pending === undefined) return
  cell.text = cell.pending.text
  cell.storedDue = cell.pending.due
  cell.version++
  cell.pending = undefined
}
