import type { ConflictRule } from '../core/sink.ts'
import { textArray } from './arrayLiteral.ts'
import type { TableColumn, TableInfo } from './catalog.ts'
import type { Cell } from './merge.ts'
import type { WrittenColumn } from './rowLayout.ts'
import type { BoundSink } from './sinkChecks.ts'

/**
 * How rows that share a key reach the table.
 *
 * The outcome has to be that of one upsert after the other, refusals included: a value that a CHECK refuses must
 * not be hidden because a later row of its key replaces it.
 *
 * - `merge`: one row per key. Only where nothing but the row's own values could be refused, and those were looked at.
 * - `rounds`: the first row of each key, then the second of each, and so on; each goes past the table's checks.
 * - `inOrder`: statement after statement in offset order, cut where a key comes again. Where rows of different
 *   keys can clash too, by another unique index or an exclusion.
 */
export type UpsertMode = 'merge' | 'rounds' | 'inOrder'

/** What the table allows; the rows at hand may still ask for more care. */
export function upsertMode({ sink, table }: BoundSink): UpsertMode {
  const key = new Set(sink.key)
  const impliedByKey = (columns: readonly string[] | undefined) => {
    const named = new Set(columns)
    return columns !== undefined && sink.key.every((name) => named.has(name))
  }
  if (table.uniques.some(({ columns }) => !impliedByKey(columns))) return 'inOrder'
  if (table.constraints.some(({ kind }) => kind === 'exclusion')) return 'inOrder'
  // What only looks at the key gives the same answer for every row of that key.
  const looksBeyondKey = ({ columns }: TableInfo['constraints'][number]) =>
    columns === undefined || columns.some((name) => !key.has(name))
  const hasDomain = [...table.columns.values()].some(({ name, isDomain }) => isDomain && !key.has(name))
  return table.hasTriggers || hasDomain || table.constraints.some(looksBeyondKey) ? 'rounds' : 'merge'
}

/** The rule of a column: `key` for those that recognise the row. With `'nothing'`, every other column keeps what is there. */
export function ruleOf({ sink }: BoundSink, column: string): ConflictRule | 'key' {
  if (sink.key.includes(column)) return 'key'
  return sink.onConflict === 'nothing' ? 'keep' : (sink.onConflict[column] ?? 'replace')
}

/** The statement that upserts any number of rows of the same columns, given as one text array per column. */
export function upsertStatement(bound: BoundSink, columns: readonly WrittenColumn[]): string {
  const infos = columns.map(({ info }) => info)
  const key = bound.sink.key.map((name) => bound.table.columns.get(name)?.quoted ?? name)
  const names = infos.map(({ quoted }) => quoted).join(', ')
  const changes = infos.flatMap((info) => changeOf(info, ruleOf(bound, info.name)))
  const onConflict = changes.length === 0 ? 'do nothing' : `do update set ${changes.join(', ')}`
  return `insert into ${bound.table.quoted} as old (${names}) select ${casts(infos)} from ${unnested(infos)}
    on conflict (${key.join(', ')}) ${onConflict}`
}

function changeOf({ quoted }: TableColumn, rule: ConflictRule | 'key'): string[] {
  const pair = `old.${quoted}, excluded.${quoted}`
  switch (rule) {
    case 'key':
    case 'keep':
      return []
    case 'replace':
      return [`${quoted} = excluded.${quoted}`]
    case 'add':
      return [`${quoted} = coalesce(old.${quoted} + excluded.${quoted}, ${pair})`]
    case 'min':
      return [`${quoted} = least(${pair})`]
    case 'max':
      return [`${quoted} = greatest(${pair})`]
  }
}

/**
 * The query that tells which of some keys are the same to Postgres: '1.0' and '1' in a numeric, 'a' and 'A' in a
 * citext. For each key it answers with the index, from 1, of the first that is equal.
 */
export function sameKeyQuery({ sink, table }: BoundSink): string {
  const infos = sink.key.flatMap((name) => table.columns.get(name) ?? [])
  const named = infos.map(({ castType }, index) => `c${index}::${castType}`).join(', ')
  return `select (min(n) over (partition by ${named}))::float8 as first from ${unnested(infos, 'n')} order by n`
}

// Texts are cast one by one, which works for every type: arrays of arrays and types without an array type too.
function casts(infos: readonly TableColumn[]): string {
  return infos.map(({ castType }, index) => `c${index}::${castType}`).join(', ')
}

function unnested(infos: readonly TableColumn[], ordinal?: string): string {
  const parameters = infos.map((_, index) => `$${index + 1}::text[]`).join(', ')
  const names = infos.map((_, index) => `c${index}`).join(', ')
  return ordinal === undefined
    ? `unnest(${parameters}) as given (${names})`
    : `unnest(${parameters}) with ordinality as given (${names}, ${ordinal})`
}

/** One column's cells as a parameter. */
export function cellArray(cells: readonly Cell[]): string {
  return textArray(cells.map((cell) => (cell === null || cell === undefined ? null : String(cell))))
}
