/** Looks up the rows that tables of the database have for values, for a whole batch at once. */
import type { ItemContext } from '../src/core/context.ts'
import { type Duration, durationMs, durationText } from '../src/core/duration.ts'
import { PlanError } from '../src/core/errors.ts'
import type { LookupKey, LookupOperator, LookupQuery } from '../src/core/lookup.ts'
import { isOptions, type OptionRules, shown, validateOptions } from '../src/core/options.ts'

export interface LookupOptions {
  /** How long what was found is used again; also that nothing was. Default: a minute. */
  readonly ttl?: Duration
  /** Keys whose answers are kept in memory at most, in each task; the least recently used go first. Default 10,000. */
  readonly maxKeys?: number
}

const rules: OptionRules = { ttl: { type: 'object' }, maxKeys: { type: 'number', min: 1 } }

/** One value for each value, combined with the row of its key. */
export function lookup<In, Row extends object, Out>(
  query: LookupQuery<Row>,
  key: (value: In, ctx: ItemContext) => LookupKey,
  combine: (value: In, row: Readonly<Row> | undefined, ctx: ItemContext) => Out,
  options: LookupOptions = {},
): LookupOperator<In, Out> {
  requireLookup(query)
  validateOptions('lookup()', options, rules)
  const { ttl = { minutes: 1 }, maxKeys = 10_000 } = options
  const ttlMs = durationMs('lookup(): "ttl"', ttl, 1)
  return Object.freeze({
    mode: 'lookup',
    kind: 'lookup',
    detail: `${query.name} by ${query.by}, kept for ${durationText(ttlMs)}, ${maxKeys} keys at most`,
    // Another query makes another plan, as another callback does.
    callbacks: [key, combine, query.sql],
    query,
    ttlMs,
    maxKeys,
    key,
    combine: combine as LookupOperator<In, Out>['combine'],
  } satisfies LookupOperator<In, Out>)
}

function requireLookup(query: unknown): void {
  const kind = isOptions(query) && 'kind' in query ? query.kind : undefined
  if (kind === 'lookup') return
  throw new PlanError('MR-PLAN-LOOKUP', {
    what: `lookup() needs a query with a key column, but was given ${kind === 'query' ? 'a query() without one' : shown(query)}`,
    fix: "Write it as query('select code, name from airports where code = any($1)', { by: 'code' }): $1 stands for the keys, by names the column that holds them.",
  })
}
