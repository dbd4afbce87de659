/** A table as plain loops over its rows: what sinks are compared with. */
import { inspect } from 'node:util'
import type { Sink } from '../core/sink.ts'

export type ModelRow = Readonly<Record<string, unknown>>

/** Whether a table refuses a row while it holds `present`. */
export type Refuses = (row: ModelRow, present: readonly ModelRow[]) => boolean

/** The table after the rows were written one by one, and which of them it refused. */
export function tableAfter(
  { key, columns, onConflict }: Sink<never>,
  rows: readonly ModelRow[],
  refuses: Refuses,
): { rows: readonly ModelRow[]; fallen: ReadonlySet<number> } {
  const table = new Map<string, ModelRow>()
  const fallen = new Set<number>()
  for (const [index, row] of rows.entries()) {
    if (refuses(row, [...table.values()])) {
      fallen.add(index)
      continue
    }
    const written = Object.fromEntries(Object.entries(row).filter(([name]) => columns?.includes(name) ?? true))
    const id = inspect(key.length === 0 ? index : key.map((column) => row[column]))
    const known = table.get(id)
    if (known === undefined) table.set(id, written)
    else if (onConflict !== 'nothing') table.set(id, combined(known, written, key, onConflict))
  }
  return { rows: [...table.values()], fallen }
}

function combined(
  known: ModelRow,
  row: ModelRow,
  key: readonly string[],
  rules: Readonly<Record<string, string>>,
): ModelRow {
  const result: Record<string, unknown> = { ...known }
  for (const [column, after] of Object.entries(row)) {
    if (key.includes(column)) continue
    const before = known[column]
    const rule = rules[column] ?? 'replace'
    if (rule === 'replace') result[column] = after
    else if (rule === 'keep') result[column] = before
    // As in SQL: a null counts as absent.
    else if (before == null || after == null) result[column] = before ?? after
    else if (rule === 'add') result[column] = (before as number) + (after as number)
    else result[column] = (rule === 'min') === after < before ? after : before
  }
  return result
}
