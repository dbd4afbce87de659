/**
 * Sinks: where rows go. A {@link Sink} is a description that plans hold; a {@link RowBuffer} holds the
 * rows that one open batch has for it; the {@link Store} writes them.
 */

/** What an upsert does with a column when the key exists already. */
export type ConflictRule = 'replace' | 'add' | 'keep' | 'min' | 'max'

export type OnConflict<Row> = 'nothing' | { readonly [Column in keyof Row]?: ConflictRule }

/** A table as a plan names it. Made by `table()`. */
export interface Sink<in Row> {
  readonly kind: 'table'
  /** `flights` or `reporting.flights`, as Postgres would be told it. */
  readonly name: string
  /** Columns of the key; empty when rows are only added. */
  readonly key: readonly string[]
  /** The columns that are written, when stated; else those of the first row. */
  readonly columns: readonly string[] | undefined
  readonly onConflict: 'nothing' | Readonly<Record<string, ConflictRule>>
  /** The `create table` statement to run when the table is missing. */
  readonly create: string | undefined
  /** Whether it is remembered which rows each item made. */
  readonly track: boolean
  /** Only for types: what a row looks like. */
  readonly row?: (row: Row) => void
}

/** Part of the write set of one open batch, with the owner of each entry: an item's index, or a group's number below 0. */
export interface OwnedEntries {
  readonly length: number
  /** Bytes kept in memory, for back-pressure. */
  readonly byteSize: number
  /** Drops every entry from `length` on: the way back to a savepoint. */
  truncate(length: number): void
  /** Calls back for the owner of every entry. */
  eachOwner(callback: (owner: number) => void): void
}

/** The rows of one sink. A row is converted when it is appended, so a value that does not fit blames its own item. */
export interface RowBuffer extends OwnedEntries {
  readonly sink: Sink<never>
  /** @throws ItemError when a value cannot be written at all; StoreError when the row has a column that the table lacks. */
  append(row: object, owner: number): void
}
