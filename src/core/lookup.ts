/** What a lookup is made of: a query that is asked for the rows of keys, and a step that hands values on with the row of theirs. */
import type { ItemContext } from './context.ts'
import type { Key } from './key.ts'
import type { OperatorBase } from './step.ts'

/** An SQL query that is asked for the rows of some keys. Made by `query(sql, { by })`. */
export interface LookupQuery<out Row> {
  readonly kind: 'lookup'
  readonly name: string
  /** `$1` stands for the list of keys. */
  readonly sql: string
  /** What stands for `$2` and so on. */
  readonly params: readonly unknown[]
  /** The column that holds a row's key. */
  readonly by: string
  /** Only for types: what a row looks like. */
  readonly row?: Row
}

/** What a value is looked up by; null and undefined stand for nothing to look up. */
export type LookupKey = Key | null | undefined

/** An operator that takes all values of a batch, asks for the rows of their keys at once, and combines each value with its row. */
export interface LookupOperator<in In, out Out> extends OperatorBase {
  readonly mode: 'lookup'
  readonly query: LookupQuery<object>
  /** Milliseconds for which an answer is used again; also that there is no row. */
  readonly ttlMs: number
  /** Keys whose answers are kept at most, in each task. */
  readonly maxKeys: number
  key(value: In, ctx: ItemContext): LookupKey
  combine(value: In, row: object | undefined, ctx: ItemContext): Out
}
