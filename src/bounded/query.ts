import { PlanError } from '../core/errors.ts'
import type { LookupQuery } from '../core/lookup.ts'
import { isCharacters, type OptionRules, shown, validateOptions } from '../core/options.ts'

export interface QueryOptions {
  /** What stands for `$1`, `$2` and so on. */
  readonly params?: readonly unknown[]
  /** What its rows are called in errors and progress. Default `query`. */
  readonly name?: string
}

/** For a query that is asked for the rows of keys. */
export interface LookupQueryOptions<Row> extends QueryOptions {
  /** The column that holds a row's key. */
  readonly by: keyof Row & string
}

/** An SQL query as a plan names it. Made by {@link query}. */
export interface Query<out Row> {
  readonly kind: 'query'
  readonly name: string
  readonly sql: string
  readonly params: readonly unknown[]
  /** Only for types: what a row looks like. */
  readonly row?: Row
}

const rules: OptionRules = {
  params: { type: 'object' },
  name: { type: 'string' },
  by: { type: 'string' },
}

/**
 * Names an SQL query: for `from()`, and with `by` for `lookup()`. Connects to nothing.
 *
 * @example
 * stream('recount')
 *   .from(query<{ id: string; amount: number }>('select id, amount::float8 as amount from payments where amount > $1 order by id', { params: [10] }))
 *   .to(table<{ id: string; amount: number }>('large_payments'))
 *
 * The rows are read with a cursor on a connection of its own to the Postgres that the run writes to, all as they were when the
 * query began (repeatable read): what the run writes meanwhile does not show. Give it an `order by` where the run has a
 * name or the order matters. Values come as pg reads them: numeric and bigint as texts; timestamps and dates without
 * a zone as Dates in UTC.
 *
 * With `by` it is asked for the rows of keys, in place of all: `$1` stands for the list of them, `by` names the column that holds a row's key.
 *
 * @example
 * const byCode = query<{ code: string; name: string }>('select code, name from airports where code = any($1)', { by: 'code' })
 *
 * @param sql one SELECT, VALUES or WITH … SELECT
 * @param options `params` for `$1` and so on, with `by` for `$2` and so on · `by` · `name` ('query')
 * @throws PlanError MR-PLAN-OPTION
 */
export function query<Row extends object>(sql: string, options: LookupQueryOptions<Row>): LookupQuery<Row>
export function query<Row extends object>(sql: string, options?: QueryOptions): Query<Row>
export function query<Row extends object>(
  sql: string,
  options: QueryOptions & { readonly by?: string } = {},
): Query<Row> | LookupQuery<Row> {
  if (typeof sql !== 'string' || sql.trim() === '' || !isCharacters(sql)) {
    throw new PlanError('MR-PLAN-OPTION', { what: `query() needs an SQL query, but was given ${shown(sql)}` })
  }
  validateOptions('query()', options, rules)
  const { params = [], name = 'query', by } = options
  if (!Array.isArray(params)) {
    throw new PlanError('MR-PLAN-OPTION', { what: `query(): "params" must be a list, but is ${shown(params)}` })
  }
  const named = { name, sql: sql.trim().replace(/;$/, ''), params: Object.freeze([...params]) }
  return by === undefined
    ? Object.freeze({ kind: 'query', ...named } as const)
    : Object.freeze({ kind: 'lookup', ...named, by } as const)
}
