import { PlanError } from '../core/errors.ts'
import { isCharacters, type OptionRules, shown, validateOptions } from '../core/options.ts'

export interface QueryOptions {
  /** What stands for `$1`, `$2` and so on. */
  readonly params?: readonly unknown[]
  /** What its rows are called in errors and progress. Default `query`. */
  readonly name?: string
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
  by: { type: 'string', later: 'looking rows up by a column is not in this release' },
}

/**
 * Names an SQL query, for `from()`. Connects to nothing.
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
 * @param sql one SELECT, VALUES or WITH … SELECT
 * @param options `params` for `$1` and so on · `name` ('query')
 * @throws PlanError MR-PLAN-OPTION
 */
export function query<Row extends object>(sql: string, options: QueryOptions = {}): Query<Row> {
  if (typeof sql !== 'string' || sql.trim() === '' || !isCharacters(sql)) {
    throw new PlanError('MR-PLAN-OPTION', { what: `query() needs an SQL query, but was given ${shown(sql)}` })
  }
  validateOptions('query()', options, rules)
  const { params = [], name = 'query' } = options
  if (!Array.isArray(params)) {
    throw new PlanError('MR-PLAN-OPTION', { what: `query(): "params" must be a list, but is ${shown(params)}` })
  }
  return Object.freeze({ kind: 'query', name, sql: sql.trim().replace(/;$/, ''), params: Object.freeze([...params]) })
}
