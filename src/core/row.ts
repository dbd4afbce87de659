import { ItemError } from './errors.ts'
import { shown } from './options.ts'

/**
 * Types are gone at run time: where what was read is written as it is, a producer decides what arrives as a row.
 *
 * @throws ItemError MR-SINK-ROW for what is no plain set of properties
 */
export function requireRow(row: unknown, table: string): void {
  if (typeof row === 'object' && row !== null && !Array.isArray(row)) return
  throw new ItemError('MR-SINK-ROW', {
    what: `a row for table "${table}" must be an object, but is ${shown(row)}`,
    fix: "Drop such values in a filter(), or make a row of them: .to(table('t'), (value) => ({ … })).",
  })
}
