/** The two columns by which the rows of a table without a key are found again: which task made them, and of which record. */
import { messageOf, StoreError } from '../core/errors.ts'
import { readTable, type TableInfo } from './catalog.ts'
import type { Link } from './connections.ts'
import { sqlstateOf } from './sqlstate.ts'

export const taskColumn = 'mr_task'
export const offsetColumn = 'mr_offset'

/** Any number, as long as it is ours alone: held while columns are added, since several processes start at once. */
const alterLock = 6_071_230_019

/** A start must not stand in the way of whoever uses the table: it waits for its lock no longer than this. */
const lockTimeout = '3s'

/** What makes a table without a key trackable. The index may be of any kind, as long as it begins with these columns. */
function trackingStatements({ bareName, quoted }: Pick<TableInfo, 'bareName' | 'quoted'>): readonly string[] {
  const index = `"${bareName.slice(0, 52).replaceAll('"', '""')}_mr_origin"`
  return [
    `alter table ${quoted} add column if not exists ${taskColumn} integer, add column if not exists ${offsetColumn} bigint`,
    `create index if not exists ${index} on ${quoted} (${taskColumn}, ${offsetColumn}) where ${taskColumn} is not null`,
  ]
}

/**
 * Adds the columns and the index where they are missing.
 *
 * @throws StoreError MR-SINK-TRACK with the statements, when that is not possible
 */
export async function ensureTrackedColumns(link: Link, name: string, table: TableInfo): Promise<TableInfo> {
  if (hasColumns(table) && (await hasIndex(link, table))) return table
  const statements = trackingStatements(table)
  await link.query(`select pg_advisory_lock(${alterLock})`)
  try {
    await link.begin(`begin; set local lock_timeout to '${lockTimeout}'`)
    await link.query(statements[0] ?? '')
    // Somebody may have made an index of another name or kind.
    if (!(await hasIndex(link, table))) await link.query(statements[1] ?? '')
    await link.commit()
  } catch (error) {
    await link.rollback()
    throw new StoreError('MR-SINK-TRACK', {
      what: `table "${name}" is tracked, and lacks the columns ${taskColumn} and ${offsetColumn} or their index`,
      why: sqlstateOf(error) === '55P03' ? `Somebody else uses the table: ${messageOf(error)}` : messageOf(error),
      fix: `Let its owner run:\n${statements.map((statement) => `    ${statement};`).join('\n')}`,
      cause: error,
    })
  } finally {
    await link.query(`select pg_advisory_unlock(${alterLock})`)
  }
  return (await readTable(link, table.quoted)) ?? table
}

function hasColumns({ columns }: TableInfo): boolean {
  return columns.get(taskColumn)?.castType === 'integer' && columns.get(offsetColumn)?.castType === 'bigint'
}

async function hasIndex(link: Link, { oid }: TableInfo): Promise<boolean> {
  const { rows } = await link.query<{ there: boolean }>(
    `select exists (
       select from pg_index i where i.indrelid = $1::int8::oid and i.indisvalid
         and (select array_agg(a.attname::text order by u.n) from unnest(i.indkey) with ordinality u (attnum, n)
           join pg_attribute a on a.attrelid = i.indrelid and a.attnum = u.attnum where u.n <= 2) = $2::text[]
     ) as there`,
    [oid, `{${taskColumn},${offsetColumn}}`],
  )
  return rows[0]?.there === true
}

/** The table as rows see it: nobody writes these columns by name. */
export function withoutTrackedColumns(table: TableInfo): TableInfo {
  const columns = new Map(table.columns)
  columns.delete(taskColumn)
  columns.delete(offsetColumn)
  return { ...table, columns }
}
