/** A table of the modelled Postgres: rows as they were committed, and what one transaction at a time makes of each. */
import pg from 'pg'
import type { Transaction } from './modelTransaction.ts'

/** Values as Postgres prints them. */
export type Values = Readonly<Record<string, string | null>>

export type ColumnKind = 'integer' | 'bigint' | 'text'

export interface TableModel {
  readonly name: string
  readonly columns: Readonly<Record<string, ColumnKind>>
  readonly notNull?: readonly string[]
  /** The first is the primary key. */
  readonly uniques?: readonly (readonly string[])[]
  readonly checks?: readonly { readonly name: string; readonly holds: (row: Values) => boolean }[]
  /** Looked at when COMMIT is sent. */
  readonly reference?: { readonly column: string; readonly table: string; readonly otherColumn: string }
}

/** A row. Whoever changes or locks it holds it until its transaction ends. */
export interface ModelRow {
  committed: Values | undefined
  pending: Values | undefined
  by: Transaction | undefined
}

export class ModelTable {
  readonly model: TableModel
  readonly rows: ModelRow[] = []

  constructor(model: TableModel) {
    this.model = model
  }

  /** What somebody sees who is in no transaction. */
  get committed(): readonly Values[] {
    return this.rows.map(({ committed }) => committed).filter((values) => values !== undefined)
  }

  /** What a transaction sees: what others committed, and its own. */
  visible(row: ModelRow, transaction: Transaction): Values | undefined {
    return row.by === transaction ? row.pending : row.committed
  }

  /** The row that has, or may come to have, the same values in some columns; a null is like nothing else. */
  sameKey(columns: readonly string[], values: Values): ModelRow | undefined {
    if (columns.some((column) => values[column] === null || values[column] === undefined)) return undefined
    const is = (other: Values | undefined) =>
      other !== undefined && columns.every((column) => other[column] === values[column])
    return this.rows.find((row) => is(row.committed) || (row.by !== undefined && is(row.pending)))
  }

  /**
   * Texts as values of the columns' types, checked as far as a row can be by itself.
   *
   * @throws DatabaseError 22P02, 22003, 23502, 23514
   */
  checked(given: Values): Values {
    const { name, columns, notNull = [], checks = [] } = this.model
    const row: Values = Object.fromEntries(
      Object.entries(columns).map(([column, kind]) => [column, readAs(kind, given[column] ?? null)]),
    )
    for (const column of notNull) {
      if (row[column] === null) throw refusal('23502', `null value in column "${column}" of relation "${name}"`, name)
    }
    for (const check of checks) {
      if (!check.holds(row))
        throw refusal('23514', `new row for relation "${name}" violates check "${check.name}"`, name)
    }
    return row
  }
}

const limits = { integer: 2n ** 31n, bigint: 2n ** 63n } as const

function readAs(kind: ColumnKind, text: string | null): string | null {
  if (text === null || kind === 'text') return text
  if (!/^\s*[+-]?\d+\s*$/.test(text)) throw refusal('22P02', `invalid input syntax for type ${kind}: "${text}"`)
  const value = BigInt(text.trim())
  if (value >= limits[kind] || value < -limits[kind])
    throw refusal('22003', `value "${text}" is out of range for type ${kind}`)
  return String(value)
}

/** An error as the server sends it. */
export function refusal(code: string, message: string, table?: string, severity = 'ERROR'): pg.DatabaseError {
  return Object.assign(new pg.DatabaseError(message, message.length, 'error'), { severity, code, table })
}
