/** Which tables are tracked, and what of the plan has to be known to undo what items have given to their rows. */
import { messageOf, StoreError } from '../core/errors.ts'
import type { Sink } from '../core/sink.ts'
import { textArray } from './arrayLiteral.ts'
import type { BoundSink, PlainBoundSink, TrackedTable } from './boundSink.ts'
import type { TableColumn, TableInfo } from './catalog.ts'
import type { Link } from './connections.ts'

import { ensureTrackedColumns, withoutTrackedColumns } from './trackedColumns.ts'

/** The task of what was in a table before it was tracked. */
export const taskBefore = 0

/** Makes a sink's table ready to be tracked, and finds its number. @throws StoreError MR-SINK-TRACK when it cannot be tracked */
export async function trackTable(link: Link, bound: PlainBoundSink): Promise<BoundSink> {
  const { sink, name } = bound
  if (sink.key.length === 0) {
    const table = withoutTrackedColumns(await ensureTrackedColumns(link, name, bound.table))
    return { ...bound, table, tracked: await register(link, sink, table) }
  }
  checkKeyColumns(bound)
  return { ...bound, tracked: await register(link, sink, bound.table) }
}

interface TrackedRow {
  readonly id: number
  readonly columns: string[]
  readonly same: boolean
}

async function register(link: Link, sink: Sink<never>, table: TableInfo): Promise<TrackedTable> {
  const values = [table.quoted, textArray(sink.key), JSON.stringify(sink.onConflict)]
  const { rows } = await link.query<TrackedRow>(
    `select id, columns, key = $2::text[] and on_conflict = $3::jsonb as same from millrace.tracked_tables where name = $1`,
    values,
  )
  const [known] = rows
  if (known?.same === true) return { id: known.id, columns: new Set(known.columns) }
  try {
    return await begin(link, sink, table, values)
  } catch (error) {
    await link.rollback()
    throw new StoreError('MR-SINK-TRACK', {
      what: `table "${sink.name}" could not be noted as tracked`,
      why: messageOf(error),
      fix: 'What it holds is copied into millrace.contributions at the first start with track. For a large table, raise postgres.statementTimeoutMs for that start.',
      cause: error,
    })
  }
}

/** Notes a table, or that its plan has changed. */
async function begin(
  link: Link,
  sink: Sink<never>,
  table: TableInfo,
  values: readonly unknown[],
): Promise<TrackedTable> {
  await link.begin('begin')
  // Whoever writes the table at the same time would be counted twice, or not at all.
  if (sink.key.length > 0) await link.query(`lock table ${table.quoted} in share row exclusive mode`)
  const before = await link.query<{ key: string[] }>(
    'select key from millrace.tracked_tables where name = $1 for update',
    [table.quoted],
  )
  const { rows } = await link.query<TrackedRow>(
    `insert into millrace.tracked_tables as t (name, key, on_conflict, columns) values ($1, $2::text[], $3::jsonb, '{}')
     on conflict (name) do update set key = excluded.key, on_conflict = excluded.on_conflict
     returning id, columns`,
    [...values],
  )
  const [{ id, columns } = { id: 0, columns: [] }] = rows
  const keptKey = before.rows[0]?.key.join('\0')
  if (sink.key.length > 0 && keptKey !== sink.key.join('\0')) await keepWhatIsThere(link, sink, table, id)
  await link.commit()
  return { id, columns: new Set(columns) }
}

/** What stands in the table counts as the first that was given to its rows. */
async function keepWhatIsThere(link: Link, sink: Sink<never>, table: TableInfo, id: number): Promise<void> {
  const columns = [...table.columns.values()].filter(({ generated }) => !generated)
  const isKey = ({ name }: TableColumn) => sink.key.includes(name)
  const keys = sink.key.flatMap((name) => table.columns.get(name) ?? [])
  const others = columns.filter((column) => !isKey(column))
  await link.query('delete from millrace.contributions where table_id = $1', [id])
  await link.query(
    `insert into millrace.contributions (table_id, task, record_offset, arrival, ordinal, key, cells)
     select $1, ${taskBefore}, 0, -1, 0, array[${keys.map(({ quoted }) => `${quoted}::text`).join(', ')}],
       jsonb_object($2::text[], array[${others.map(({ quoted }) => `${quoted}::text`).join(', ')}]::text[])
     from ${table.quoted}`,
    [id, textArray(others.map(({ name }) => name))],
  )
}

/** Kinds of which two equal values have the same text. */
const exactKinds = ['int2', 'int4', 'int8', 'bool', 'text', 'timestamptz', 'timestamp', 'date', 'bytea', 'uuid']

function checkKeyColumns({ sink, name, table }: PlainBoundSink): void {
  for (const column of sink.key) {
    const info = table.columns.get(column)
    if (info === undefined) continue
    if (!info.notNull) {
      throw new StoreError('MR-SINK-TRACK', {
        what: `table "${name}" is tracked, and column "${column}" of its key may be null`,
        why: 'Rows whose key is null are never the same row: nothing could be taken back from them.',
        fix: `alter table ${table.quoted} alter column ${info.quoted} set not null;`,
      })
    }
    if (exactKinds.includes(info.type.kind) && info.castType !== 'bpchar') continue
    throw new StoreError('MR-SINK-TRACK', {
      what: `table "${name}" is tracked, and column "${column}" of its key is ${info.shownType}`,
      why: 'Two texts may mean the same value of this type, so what items gave to a row could not be found by its key.',
      fix: 'Use integers, text, dates, times, uuid, bytea or booleans in the key, or leave out track.',
    })
  }
}
