/**
 * What stands in the way of making a table anew beside itself: everything that belongs to the table itself, and not to its name,
 * stays with the old one when both are renamed. What can be made the same for the new one is; the rest is refused, by name.
 */
import { StoreError } from '../../core/errors.ts'
import { textArray } from '../arrayLiteral.ts'
import type { Link } from '../connections.ts'

interface Blocker {
  /** One text for each thing found. `$1` is the table's oid, `$2` are the oids of all tables that are made anew together. */
  readonly sql: string
  readonly why: (found: string) => string
  readonly fix: string
}

const rename = 'Run the plan under another group into tables of other names, and rename them yourself.'
const afterwards = 'Drop it, run this again, and make it anew after the swap.'

/** Objects of a kind that name the table, or its type of rows. */
const dependents = (catalog: string, text: string) => `
  select distinct ${text} from pg_depend d
  where d.classid = '${catalog}'::regclass and d.deptype = 'n' and (
    d.refclassid = 'pg_class'::regclass and d.refobjid = $1::int8::oid
    or d.refclassid = 'pg_type'::regclass and d.refobjid in (
      select t.oid from pg_type r join pg_type t on t.oid in (r.oid, r.typarray) where r.typrelid = $1::int8::oid))`

const blockers: readonly Blocker[] = [
  {
    sql: `select 'it' from pg_class c where c.oid = $1::int8::oid and (c.relkind <> 'r' or c.relispartition
      or exists (select from pg_inherits i where c.oid in (i.inhparent, i.inhrelid)))`,
    why: () => 'It is partitioned, a partition, or inherits.',
    fix: rename,
  },
  {
    sql: `select pg_get_userbyid(c.relowner) from pg_class c
      where c.oid = $1::int8::oid and not pg_has_role(c.relowner, 'usage')`,
    why: (owner) => `It belongs to ${owner}, and only its owner may rename it.`,
    fix: 'Run this as its owner.',
  },
  {
    sql: `select tgname::text from pg_trigger where tgrelid = $1::int8::oid and not tgisinternal`,
    why: (name) =>
      `Trigger ${name} has run for the rows that are there, and would run again for those that are made anew.`,
    fix: afterwards,
  },
  {
    sql: `select rulename::text from pg_rewrite where ev_class = $1::int8::oid`,
    why: (name) => `Rule ${name} would stay with the old table.`,
    fix: afterwards,
  },
  {
    sql: dependents(
      'pg_rewrite',
      `(select r.ev_class::regclass::text from pg_rewrite r where r.oid = d.objid and r.ev_class <> $1::int8::oid)`,
    ),
    why: (name) => `View ${name} would go on showing the old table.`,
    fix: afterwards,
  },
  {
    sql: dependents('pg_proc', 'd.objid::regprocedure::text'),
    why: (name) => `Function ${name} would go on using the old table.`,
    fix: afterwards,
  },
  {
    sql: `${dependents('pg_class', 'd.objid::regclass::text')} and d.refclassid = 'pg_type'::regclass`,
    why: (name) => `Columns of ${name} have its rows as their type.`,
    fix: rename,
  },
  {
    sql: `select distinct k.conname || ' of ' || k.conrelid::regclass from pg_constraint k
      where k.contype = 'f' and k.confrelid = $1::int8::oid and k.conrelid <> all($2::int8[]::oid[])`,
    why: (name) => `Foreign key ${name} would go on pointing to the old table.`,
    fix: 'Let a step of the plan write that table too, so that it is made anew with this one; or drop the foreign key, and add it again after the swap.',
  },
  {
    sql: `select 'row security' from pg_class where oid = $1::int8::oid and relrowsecurity
      union all select polname::text from pg_policy where polrelid = $1::int8::oid`,
    why: (name) => `Its policies (${name}) would stay with the old table, and the new one would be open.`,
    fix: afterwards,
  },
  {
    sql: `select p.pubname::text from pg_publication_rel r join pg_publication p on p.oid = r.prpubid
      where r.prrelid = $1::int8::oid`,
    why: (name) => `Publication ${name} would go on publishing the old table.`,
    fix: 'Take it out of the publication, run this again, and add it after the swap.',
  },
  {
    sql: `select 'it' from pg_class where oid = $1::int8::oid and relreplident <> 'd'`,
    why: () => 'It has a replica identity of its own, which would stay with the old table.',
    fix: 'alter table … replica identity default, run this again, and set it after the swap.',
  },
  {
    sql: `select relname::text from pg_class where oid = $1::int8::oid and octet_length(relname) > 56`,
    why: () => 'Its name is too long for another one behind which "_shadow" or "_before" stands.',
    fix: rename,
  },
  {
    sql: `select format('%I.%I', n.nspname, b.relname) from pg_class c join pg_namespace n on n.oid = c.relnamespace
      join pg_class b on b.relnamespace = c.relnamespace and b.relname = c.relname || '_before' where c.oid = $1::int8::oid`,
    why: (name) => `${name} is there, under which name the old table would be kept.`,
    fix: 'It may be what an earlier swap has left. Drop it when nobody needs it any more.',
  },
]

/** A table that is made anew. */
export interface Original {
  readonly oid: number
  readonly quoted: string
}

/**
 * @param together oids of all tables that are made anew with it
 * @throws StoreError MR-REPARSE-SHADOW for what stands in the way first, with the way out
 */
export async function checkShadowable(
  link: Link,
  { oid, quoted }: Original,
  together: readonly number[],
): Promise<void> {
  for (const { sql, why, fix } of blockers) {
    const parameters = sql.includes('$2') ? [oid, textArray(together.map(String))] : [oid]
    const { rows } = await link.query<{ found: string | null }>(
      `select f.found from (${sql}) as f (found) order by 1`,
      parameters,
    )
    const found = rows.flatMap((row) => row.found ?? [])
    if (found.length > 0) throw refusedShadow(quoted, why(found.join(', ')), fix)
  }
}

export function refusedShadow(name: string, why: string, fix: string): StoreError {
  return new StoreError('MR-REPARSE-SHADOW', { what: `table ${name} cannot be made anew beside itself`, why, fix })
}
