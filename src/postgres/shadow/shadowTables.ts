/**
 * Tables that are made anew beside the ones they are made for: the same in everything that rows and their readers can tell,
 * and empty. Which they are is noted, so that whoever goes on after a kill finds them again.
 */
import { textArray } from '../arrayLiteral.ts'
import { readTable } from '../catalog.ts'
import type { Link } from '../connections.ts'
import { checkShadowable, type Original, refusedShadow } from './blockers.ts'

/** A table and the one that is made in its place. Names are qualified and quoted for SQL. */
export interface Shadow {
  readonly name: string
  readonly shadow: string
  /** What the table is called when the other one has its name. */
  readonly before: string
}

/** Any number, as long as it is ours alone: tasks meet tables at the same time. */
const shadowLock = 6_071_230_020

export async function readShadows(link: Link, reparse: number): Promise<readonly Shadow[]> {
  const { rows } = await link.query<{ name: string; shadow: string }>(
    'select name, shadow from millrace.shadows where reparse = $1 order by name',
    [reparse],
  )
  return rows.map((row) => ({ ...row, before: row.shadow.replace(/_shadow("?)$/, '_before$1') }))
}

/** Tables by the names that a plan gives them, without those that are not there: opening the store tells of them. */
export async function originalsOf(link: Link, names: readonly string[]): Promise<readonly Original[]> {
  const found = new Map<number, Original>()
  for (const name of names) {
    const table = await readTable(link, name)
    if (table !== undefined) found.set(table.oid, table)
  }
  return [...found.values()]
}

/** @throws StoreError MR-REPARSE-SHADOW for a table that cannot be made anew */
export async function checkShadows(link: Link, app: string, originals: readonly Original[], own: readonly string[]) {
  const together = originals.map(({ oid }) => oid)
  for (const original of originals) {
    await checkShadowable(link, original, together)
    await checkOtherWriters(link, app, original, own)
  }
}

/** Rows that others have written would not be in the new table. What is tracked tells who they are. */
async function checkOtherWriters(link: Link, app: string, { quoted }: Original, streams: readonly string[]) {
  const { rows } = await link.query<{ who: string }>(
    `select distinct 'group ' || s.app as who from millrace.tracked_tables t
       join millrace.tracked_in i on i.table_id = t.id join millrace.tracked_tasks s on s.id = i.task
       join millrace.progress p on p.app = s.app
     where t.name = $1 and s.app <> $2
     union
     select 'stream ' || s.stream from millrace.tracked_tables t
       join millrace.tracked_in i on i.table_id = t.id join millrace.tracked_tasks s on s.id = i.task
       join millrace.progress p on p.app = s.app and p.stream = s.stream
     where t.name = $1 and s.app = $2 and s.stream <> all($3::text[])
     order by 1`,
    [quoted, app, textArray(streams)],
  )
  if (rows.length === 0) return
  throw refusedShadow(
    quoted,
    `It is written by ${rows.map(({ who }) => who).join(', ')} too, whose rows would not be in the new one.`,
    'Run all streams again that write it, without --stream; or track the table, and run ranges again without --shadow.',
  )
}

/** Makes what is missing of the tables, all in one transaction. */
export async function makeShadows(link: Link, reparse: number, originals: readonly Original[]): Promise<void> {
  await link.begin(`begin; select pg_advisory_xact_lock(${shadowLock}); set local search_path to pg_catalog`)
  try {
    const known = new Set((await readShadows(link, reparse)).map(({ name }) => name))
    const missing = originals.filter(({ quoted }) => !known.has(quoted))
    const others = await originalsOf(link, [...known])
    const together = [...others, ...missing].map(({ oid }) => oid)
    for (const original of missing) {
      await checkShadowable(link, original, together)
      await inTransactionMake(link, reparse, original)
    }
    for (const { oid } of missing) await runAll(link, foreignKeys, [oid, reparse])
    await link.commit()
  } catch (error) {
    await link.rollback()
    throw error
  }
}

/** The name of the table that is written in the place of another one; it is made when it is not there. */
export async function shadowOf(link: Link, reparse: number, name: string): Promise<string> {
  const [original] = await originalsOf(link, [name])
  // Opening it tells what is wrong with it.
  if (original === undefined) return name
  const known = async () => (await readShadows(link, reparse)).find((one) => one.name === original.quoted)?.shadow
  const there = await known()
  if (there !== undefined) return there
  await makeShadows(link, reparse, [original])
  return (await known()) ?? name
}

async function inTransactionMake(link: Link, reparse: number, { oid, quoted }: Original): Promise<void> {
  const { rows: taken } = await link.query<{ reparse: number }>(
    'select reparse from millrace.shadows where name = $1',
    [quoted],
  )
  if (taken[0] !== undefined) {
    throw refusedShadow(
      quoted,
      `Reparse ${taken[0].reparse} is about to do it.`,
      `Give its command again, to let it finish, or give it up: millrace reparse drop ${taken[0].reparse} --execute.`,
    )
  }
  await link.query(
    `insert into millrace.shadows (name, shadow, reparse)
     select $1, format('%I.%I', n.nspname, c.relname || '_shadow'), $3
     from pg_class c join pg_namespace n on n.oid = c.relnamespace where c.oid = $2::int8::oid`,
    [quoted, oid, reparse],
  )
  await runAll(link, likeness, [oid])
  await runAll(link, privileges, [oid])
}

/** Runs the statements that a query gives. */
async function runAll(link: Link, query: string, values: readonly unknown[]): Promise<void> {
  const { rows } = await link.query<{ statement: string | null }>(query, values)
  for (const { statement } of rows) if (statement !== null) await link.query(statement)
}

const both = `
  select c.*, format('%I.%I', n.nspname, c.relname) as name, format('%I.%I', n.nspname, c.relname || '_shadow') as shadow
  from pg_class c join pg_namespace n on n.oid = c.relnamespace where c.oid = $1::int8::oid`

/** LIKE copies columns, defaults, checks, indexes, identity and statistics; not how the table is stored, and what is said about it. */
const likeness = `
  with t as (${both})
  select s.statement from t cross join lateral (values
    (1, format('create %s table %s (like %s including all)%s%s',
      case t.relpersistence when 'u' then 'unlogged' else '' end, t.shadow, t.name,
      case when t.reloptions is not null then ' with (' || array_to_string(t.reloptions, ', ') || ')' end,
      (select format(' tablespace %I', spcname) from pg_tablespace where oid = t.reltablespace))),
    (2, format('comment on table %s is %L', t.shadow, obj_description(t.oid, 'pg_class'))),
    (3, case when t.relowner <> (select oid from pg_roles where rolname = current_user)
      then format('alter table %s owner to %I', t.shadow, pg_get_userbyid(t.relowner)) end)
  ) s (n, statement) order by s.n`

/** Who may do what: default privileges may have given the new table more, or less. */
const privileges = `
  with t as (${both}), grantee as (
    select 0 as n, t.shadow, a.grantee, a.privilege_type, false as is_grantable, null::name as of_column
      from t join pg_class b on b.oid = to_regclass(t.shadow) cross join lateral aclexplode(b.relacl) a where a.grantee <> t.relowner
    union all
    select 1, t.shadow, a.grantee, a.privilege_type, a.is_grantable, null
      from t cross join lateral aclexplode(t.relacl) a where a.grantee <> t.relowner
    union all
    select 1, t.shadow, a.grantee, a.privilege_type, a.is_grantable, c.attname
      from t join pg_attribute c on c.attrelid = t.oid and c.attnum > 0 and not c.attisdropped
        cross join lateral aclexplode(c.attacl) a where a.grantee <> t.relowner
  )
  select case n when 0 then format('revoke %s on %s from %s', privilege_type, shadow, whom)
    else format('grant %s%s on %s to %s%s', privilege_type, (select format(' (%I)', of_column) where of_column is not null),
      shadow, whom, case when is_grantable then ' with grant option' end) end as statement
  from (select *, case grantee when 0 then 'public' else quote_ident(pg_get_userbyid(grantee)) end as whom from grantee) g
  order by n`

/** Foreign keys point to the new table where that is made anew too. */
const foreignKeys = `
  with t as (${both})
  select format('alter table %s add constraint %I %s', t.shadow, k.conname,
    replace(pg_get_constraintdef(k.oid), format(' REFERENCES %s(', o.name),
      format(' REFERENCES %s(', coalesce(s.shadow, o.name)))) as statement
  from t join pg_constraint k on k.conrelid = t.oid and k.contype = 'f'
    cross join lateral (
      select format('%I.%I', n.nspname, r.relname) as name from pg_class r join pg_namespace n on n.oid = r.relnamespace
      where r.oid = k.confrelid
    ) o left join millrace.shadows s on s.name = o.name and s.reparse = $2
  order by k.conname`

/** Drops what was made of a reparse that is given up. */
export async function inTransactionDropShadows(link: Link, reparse: number): Promise<void> {
  for (const { shadow } of await readShadows(link, reparse)) {
    await link.query(
      'delete from millrace.contributions where table_id = (select id from millrace.tracked_tables where name = $1)',
      [shadow],
    )
    await link.query(
      'delete from millrace.tracked_in where table_id = (select id from millrace.tracked_tables where name = $1)',
      [shadow],
    )
    await link.query('delete from millrace.tracked_tables where name = $1', [shadow])
    await link.query(`drop table if exists ${shadow} cascade`)
  }
  await link.query('delete from millrace.shadows where reparse = $1', [reparse])
}
