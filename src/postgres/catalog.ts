/** What Postgres's own catalog says about the tables that a plan writes. */
import type pg from 'pg'
import { type ColumnType, scalarType } from './columnType.ts'
import type { Link } from './connections.ts'

export interface TableColumn {
  readonly name: string
  /** Quoted for SQL. */
  readonly quoted: string
  readonly type: ColumnType
  /** As Postgres prints it, with length and precision. */
  readonly shownType: string
  /** What a text is cast to; without length, since a cast would cut what an assignment refuses. */
  readonly castType: string
  readonly notNull: boolean
  readonly hasDefault: boolean
  /** Values that nobody may write: `generated always`. */
  readonly generated: boolean
  readonly isDomain: boolean
}

/** A CHECK, a foreign key or an exclusion, with the columns that it looks at; undefined where it does not say. */
export interface TableConstraint {
  readonly kind: 'check' | 'foreign' | 'exclusion'
  readonly columns: readonly string[] | undefined
  readonly deferrable: boolean
}

export interface ForeignKey {
  readonly columns: readonly string[]
  /** The other table, which may be the same. */
  readonly refersTo: number
  /** Columns there, one for each of `columns`. */
  readonly otherColumns: readonly string[]
}

export interface UniqueIndex {
  /** Undefined for an index on expressions. */
  readonly columns: readonly string[] | undefined
  /** Whether ON CONFLICT can name it: whole, valid, not deferrable, on plain columns. */
  readonly arbiter: boolean
  readonly deferrable: boolean
  /** Whether two nulls count as the same. */
  readonly nullsEqual: boolean
}

export interface TableInfo {
  readonly oid: number
  /** Without its schema, as errors of Postgres name it. */
  readonly bareName: string
  /** Qualified and quoted for SQL. */
  readonly quoted: string
  readonly columns: ReadonlyMap<string, TableColumn>
  readonly uniques: readonly UniqueIndex[]
  readonly constraints: readonly TableConstraint[]
  readonly foreignKeys: readonly ForeignKey[]
  /** Triggers or rules of the user's, which may do anything with a row. */
  readonly hasTriggers: boolean
  readonly mayInsert: boolean
  readonly mayUpsert: boolean
  readonly kind: 'table' | 'view' | 'other'
}

interface TableRow extends pg.QueryResultRow {
  oid: number
  bare_name: string
  quoted: string
  relkind: string
  has_triggers: boolean
  may_insert: boolean
  may_upsert: boolean
}

const tableQuery = `
  select c.oid::int8::float8 as oid, c.relname as bare_name, format('%I.%I', n.nspname, c.relname) as quoted, c.relkind,
    c.relhasrules or exists (
      select from pg_trigger t where t.tgrelid = c.oid and not t.tgisinternal and t.tgenabled <> 'D') as has_triggers,
    has_table_privilege(c.oid, 'insert') as may_insert,
    has_table_privilege(c.oid, 'select') and has_table_privilege(c.oid, 'update') as may_upsert
  from pg_class c join pg_namespace n on n.oid = c.relnamespace
  where c.oid = to_regclass($1)`

interface ColumnRow extends pg.QueryResultRow {
  name: string
  quoted: string
  shown_type: string
  cast_type: string
  type_name: string
  type_mod: number
  element_name: string | null
  not_null: boolean
  has_default: boolean
  generated: boolean
  is_domain: boolean
}

// A domain is followed down to the type it is made of. format_type with -1 names a type without length, and
// tells bpchar from char, which alone would mean char(1).
const columnQuery = `
  with recursive base as (
    select a.attnum, a.atttypid as type, a.atttypmod as mod, t.typtype, t.typnotnull
    from pg_attribute a join pg_type t on t.oid = a.atttypid
    where a.attrelid = $1::int8::oid and a.attnum > 0 and not a.attisdropped
    union all
    select b.attnum, t.typbasetype, t.typtypmod, u.typtype, b.typnotnull or u.typnotnull
    from base b join pg_type t on t.oid = b.type join pg_type u on u.oid = t.typbasetype
    where b.typtype = 'd'
  )
  select a.attname as name, quote_ident(a.attname) as quoted,
    format_type(a.atttypid, a.atttypmod) as shown_type, format_type(a.atttypid, -1) as cast_type,
    t.typname as type_name, b.mod as type_mod, case when t.typcategory = 'A' then e.typname end as element_name,
    a.attnotnull or b.typnotnull as not_null,
    a.atthasdef or a.attidentity <> '' or d.typdefault is not null as has_default,
    a.attgenerated <> '' or a.attidentity = 'a' as generated, d.typtype = 'd' as is_domain
  from base b
    join pg_attribute a on a.attrelid = $1::int8::oid and a.attnum = b.attnum
    join pg_type t on t.oid = b.type
    join pg_type d on d.oid = a.atttypid
    left join pg_type e on e.oid = t.typelem
  where b.typtype <> 'd'
  order by a.attnum`

interface ConstraintRow extends pg.QueryResultRow {
  contype: 'c' | 'f' | 'x'
  columns: string[] | null
  condeferrable: boolean
  refers_to: number
  paired: string[] | null
  other_columns: string[] | null
}

const constraintQuery = `
  select k.contype, k.condeferrable, k.confrelid::int8::float8 as refers_to,
    (select array_agg(a.attname::text order by array_position(k.conkey, a.attnum)) from pg_attribute a
      where a.attrelid = k.conrelid and a.attnum = any(k.conkey)) as columns,
    (select array_agg(a.attname::text order by u.n) from unnest(k.conkey) with ordinality u (attnum, n)
      join pg_attribute a on a.attrelid = k.conrelid and a.attnum = u.attnum) as paired,
    (select array_agg(a.attname::text order by u.n) from unnest(k.confkey) with ordinality u (attnum, n)
      join pg_attribute a on a.attrelid = k.confrelid and a.attnum = u.attnum) as other_columns
  from pg_constraint k
  where k.conrelid = $1::int8::oid and k.contype in ('c', 'f', 'x')`

interface UniqueRow extends pg.QueryResultRow {
  columns: string[] | null
  on_expressions: boolean
  arbiter: boolean
  deferrable: boolean
  nulls_equal: boolean
}

const uniqueQuery = `
  select i.indexprs is not null as on_expressions, not i.indimmediate as deferrable,
    i.indisvalid and i.indimmediate and i.indpred is null and i.indexprs is null as arbiter,
    coalesce((to_jsonb(i) ->> 'indnullsnotdistinct')::boolean, false) as nulls_equal,
    (select array_agg(a.attname::text order by array_position(i.indkey::int2[], a.attnum)) from pg_attribute a
      where a.attrelid = i.indrelid and a.attnum = any((i.indkey::int2[])[0:i.indnkeyatts - 1])) as columns
  from pg_index i
  where i.indrelid = $1::int8::oid and i.indisunique`

/**
 * Reads one table.
 *
 * @param name as the user would write it in SQL; it is looked up in the session's search path
 * @returns undefined when there is no such table
 */
export async function readTable(link: Link, name: string): Promise<TableInfo | undefined> {
  const { rows } = await link.query<TableRow>(tableQuery, [name])
  const [table] = rows
  if (table === undefined) return undefined
  const columns = await link.query<ColumnRow>(columnQuery, [table.oid])
  const constraints = await link.query<ConstraintRow>(constraintQuery, [table.oid])
  const uniques = await link.query<UniqueRow>(uniqueQuery, [table.oid])
  return {
    oid: table.oid,
    bareName: table.bare_name,
    quoted: table.quoted,
    columns: new Map(columns.rows.map((row) => [row.name, toColumn(row)])),
    uniques: uniques.rows.map((row) => ({
      columns: row.on_expressions ? undefined : (row.columns ?? []),
      arbiter: row.arbiter,
      deferrable: row.deferrable,
      nullsEqual: row.nulls_equal,
    })),
    constraints: constraints.rows.map((row) => ({
      kind: row.contype === 'c' ? 'check' : row.contype === 'f' ? 'foreign' : 'exclusion',
      columns: row.columns ?? undefined,
      deferrable: row.condeferrable,
    })),
    foreignKeys: constraints.rows
      .filter(({ contype }) => contype === 'f')
      .map((row) => ({ columns: row.paired ?? [], refersTo: row.refers_to, otherColumns: row.other_columns ?? [] })),
    hasTriggers: table.has_triggers,
    mayInsert: table.may_insert,
    mayUpsert: table.may_upsert,
    kind: 'rpf'.includes(table.relkind) ? 'table' : 'vm'.includes(table.relkind) ? 'view' : 'other',
  }
}

function toColumn(row: ColumnRow): TableColumn {
  const type: ColumnType =
    row.element_name === null
      ? scalarType(row.type_name, row.type_mod)
      : { kind: 'array', element: scalarType(row.element_name, row.type_mod) }
  return {
    name: row.name,
    quoted: row.quoted,
    type,
    shownType: row.shown_type,
    castType: row.cast_type,
    notNull: row.not_null,
    hasDefault: row.has_default,
    generated: row.generated,
    isDomain: row.is_domain,
  }
}

/** Names of tables that are called the same in other schemas, for the error about a missing one. */
export async function tablesCalled(link: Link, name: string): Promise<readonly string[]> {
  const last = name.split('.').at(-1)?.replaceAll('"', '') ?? name
  const { rows } = await link.query<{ found: string }>(
    `select format('%I.%I', n.nspname, c.relname) as found from pg_class c join pg_namespace n on n.oid = c.relnamespace
     where lower(c.relname) = lower($1) and c.relkind in ('r', 'p', 'f') order by 1 limit 5`,
    [last],
  )
  return rows.map(({ found }) => found)
}

/**
 * Tables in the order in which they are written: what a foreign key points to comes first, else by name.
 * In a cycle the first by name goes first.
 */
export function inForeignKeyOrder<T extends { readonly name: string; readonly table: TableInfo }>(
  sinks: readonly T[],
): T[] {
  const left = [...sinks].sort((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0))
  const ordered: T[] = []
  while (left.length > 0) {
    const waitsFor = ({ table }: T) =>
      left.some(({ table: { oid } }) => oid !== table.oid && table.foreignKeys.some(({ refersTo }) => refersTo === oid))
    const next = left.findIndex((sink) => !waitsFor(sink))
    ordered.push(...left.splice(Math.max(next, 0), 1))
  }
  return ordered
}
