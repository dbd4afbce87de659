import type { Sink } from '../core/sink.ts'
import type { TableInfo } from './catalog.ts'

/** A sink with its table, before it is known how that is tracked. */
export interface PlainBoundSink {
  readonly sink: Sink<never>
  readonly name: string
  readonly table: TableInfo
}

/** A tracked table as the database knows it. */
export interface TrackedTable {
  /** Another one, once a table that was made anew has taken its place. */
  id: number
  /** Columns that have been written so far. */
  readonly columns: Set<string>
}

/** A sink with its table. */
export interface BoundSink extends PlainBoundSink {
  /** Set where it is remembered which rows each item made. */
  readonly tracked?: TrackedTable
}
