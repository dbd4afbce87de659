/** What commands print. */
import { inspect } from 'node:util'
import { MillraceError } from '../core/errors.ts'

/** Where a command writes; tests give their own. */
export interface Output {
  out(text: string): void
  err(text: string): void
}

/** An error as it is printed: ours by their message; others, and the causes of ours at level debug, with their stack. */
export function errorText(error: unknown, debug: boolean): string {
  if (!(error instanceof MillraceError))
    return `millrace: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`
  if (!debug || error.cause === undefined) return error.message
  return `${error.message}\n  cause: ${inspect(error.cause).replaceAll('\n', '\n  ')}`
}

/** Rows of texts as columns that line up; numbers to the right. */
export function columns(head: readonly string[], rows: readonly (readonly (string | number)[])[]): string {
  const widths = head.map((title, at) => Math.max(title.length, ...rows.map((row) => String(row[at]).length)))
  const line = (cells: readonly (string | number)[], right: (at: number) => boolean) =>
    cells
      .map((cell, at) => (right(at) ? String(cell).padStart(widths[at] ?? 0) : String(cell).padEnd(widths[at] ?? 0)))
      .join('  ')
      .trimEnd()
  const numeric = head.map((_title, at) => rows.length > 0 && rows.every((row) => typeof row[at] === 'number'))
  return [head, ...rows].map((cells) => line(cells, (at) => numeric[at] === true)).join('\n')
}
