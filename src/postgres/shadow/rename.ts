/** Puts a table that was made anew in the place of the old one: names go over, what stands under them stays what it is. */
import type { Link } from '../connections.ts'
import { refusedShadow } from './blockers.ts'
import type { Shadow } from './shadowTables.ts'

/** What is done when other transactions keep a table: nobody else gets at it while we wait. */
const lockTimeout = '3s'

/** Keeps everybody from the tables, in the order of their names. Held until the transaction ends. */
export async function inTransactionLockTables(link: Link, shadows: readonly Shadow[]): Promise<void> {
  await link.query(`set local lock_timeout to '${lockTimeout}'`)
  for (const { name, shadow } of shadows) await link.query(`lock table ${name}, ${shadow} in access exclusive mode`)
}

/** @throws StoreError MR-REPARSE-SHADOW when the table was altered since the other one was made */
export async function inTransactionCompareTables(link: Link, { name, shadow }: Shadow): Promise<void> {
  const { rows } = await link.query<{ differs: string }>(
    `with described as (
       select to_regclass($1) as of, a.attname || ' ' || format_type(a.atttypid, a.atttypmod)
           || case when a.attnotnull then ' not null' else '' end as text
         from pg_attribute a where a.attrelid = to_regclass($1) and a.attnum > 0 and not a.attisdropped
       union all
       select to_regclass($2), a.attname || ' ' || format_type(a.atttypid, a.atttypmod)
           || case when a.attnotnull then ' not null' else '' end
         from pg_attribute a where a.attrelid = to_regclass($2) and a.attnum > 0 and not a.attisdropped
       union all
       select i.indrelid, ${indexKind} from pg_index i where i.indrelid in (to_regclass($1), to_regclass($2)) and i.indisvalid
       union all
       select k.conrelid, k.conname || ' ' || coalesce(pg_get_expr(k.conbin, k.conrelid), '') from pg_constraint k
         where k.conrelid in (to_regclass($1), to_regclass($2)) and k.contype in ('c', 'f')
     )
     select min(text) as differs from described
     where split_part(text, ' ', 1) not in ('mr_task', 'mr_offset') and text not like '%(mr_task, mr_offset)%'
     group by text having count(distinct of) <> 2 order by 1 limit 1`,
    [name, shadow],
  )
  if (rows[0] === undefined) return
  throw refusedShadow(
    name,
    `It has changed since ${shadow} was made like it, or that one has: ${rows[0].differs}.`,
    'Give this one up with "millrace reparse drop", and begin again.',
  )
}

/** What an index is, whatever its name and its table's. */
const indexKind = `case when i.indisprimary then 'primary ' when i.indisunique then 'unique ' else '' end
  || substring(pg_get_indexdef(i.indexrelid) from ' USING .*$')`

export async function inTransactionRename(link: Link, { name, shadow }: Shadow): Promise<void> {
  // Before the tables have other names, by which everything is found.
  const { rows } = await link.query<{ statement: string }>(renames, [name, shadow])
  for (const { statement } of rows) await link.query(statement)
}

/** Indexes and sequences of the two tables are paired by what they are. */
const renames = `
  with pair as (
    select o.oid as old, n.oid as new, format('%I', o.relname) as bare, format('%I', o.relname || '_before') as kept,
      format('%I.', s.nspname) as schema
    from pg_class o join pg_namespace s on s.oid = o.relnamespace, pg_class n
    where o.oid = to_regclass($1) and n.oid = to_regclass($2)
  ), indexes as (
    select i.indrelid, c.relname, ${indexKind} as kind,
      row_number() over (partition by i.indrelid, ${indexKind} order by c.relname) as nth
    from pg_index i join pg_class c on c.oid = i.indexrelid, pair p where i.indrelid in (p.old, p.new)
  ), sequences as (
    select d.refobjid as indrelid, c.relname, a.attname::text as kind, d.deptype
    from pair p join pg_depend d on d.refobjid in (p.old, p.new) and d.refclassid = 'pg_class'::regclass
        and d.classid = 'pg_class'::regclass and d.deptype in ('a', 'i')
      join pg_class c on c.oid = d.objid and c.relkind = 'S'
      join pg_attribute a on a.attrelid = d.refobjid and a.attnum = d.refobjsubid
  ), named as (
    select 'index' as what, o.relname as old, n.relname as new
      from pair p join indexes o on o.indrelid = p.old join indexes n on n.indrelid = p.new and (n.kind, n.nth) = (o.kind, o.nth)
    union all
    select 'sequence', o.relname, n.relname
      from pair p join sequences o on o.indrelid = p.old and o.deptype = 'i'
        join sequences n on n.indrelid = p.new and n.deptype = 'i' and n.kind = o.kind
  )
  select statement from (
    -- A sequence of a serial column gives numbers to both tables; it must not go when the old one is dropped.
    select 1 as n, format('alter sequence %s%I owned by %s.%I', p.schema, s.relname, $2, s.kind) as statement
      from pair p join sequences s on s.indrelid = p.old and s.deptype = 'a'
    union all select 2, format('alter %s %s%I rename to %I', m.what, p.schema, m.old, left(m.old, 50) || '_before') from named m, pair p
    union all select 3, format('alter %s %s%I rename to %I', m.what, p.schema, m.new, m.old) from named m, pair p
    union all select 4, format('alter table %s rename to %s', $1, p.kept) from pair p
    union all select 5, format('alter table %s rename to %s', $2, p.bare) from pair p
  ) s order by n`
