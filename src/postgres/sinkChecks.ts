/** Whether a sink and its table fit: found out at start, before the first record is read. */
import { StoreError } from '../core/errors.ts'
import type { Sink } from '../core/sink.ts'
import type { BoundSink, PlainBoundSink } from './boundSink.ts'
import { readTable, type TableColumn, type TableInfo, tablesCalled } from './catalog.ts'
import type { Link } from './connections.ts'
import { sqlstateOf } from './sqlstate.ts'
import { trackTable } from './trackedTables.ts'

export type { BoundSink } from './boundSink.ts'

/** Finds the sink's table, makes it when it is missing and the sink says how, and compares the two. @throws StoreError */
export async function bindSink(link: Link, sink: Sink<never>): Promise<BoundSink> {
  const table = (await findTable(link, sink)) ?? (await createTable(link, sink))
  const bound = { sink, name: sink.name, table }
  checkTable(bound)
  return sink.track ? trackTable(link, bound) : bound
}

/** What some versions of Postgres answer for a name that cannot be one; others say that there is no such table. */
const noName = ['42602', '42601', '0A000']

async function findTable(link: Link, sink: Sink<never>): Promise<TableInfo | undefined> {
  try {
    return await readTable(link, sink.name)
  } catch (error) {
    if (noName.includes(sqlstateOf(error) ?? '')) return undefined
    throw error
  }
}

/** Any number, as long as it is ours alone: held while a table is made, since several processes start at once. */
const createLock = 6_071_230_018

async function createTable(link: Link, sink: Sink<never>): Promise<TableInfo> {
  if (sink.create === undefined) throw await missingTable(link, sink)
  await link.query(`select pg_advisory_lock(${createLock})`)
  try {
    const made = await findTable(link, sink)
    if (made !== undefined) return made
    await link.query(sink.create)
    const table = await findTable(link, sink)
    if (table !== undefined) return table
  } catch (error) {
    throw new StoreError('MR-SINK-CREATE', {
      what: `table "${sink.name}" is missing, and its create statement was refused`,
      why: error instanceof Error ? error.message : undefined,
      fix: 'Correct the statement in table(…, { create }), or create the table by hand.',
      cause: error,
    })
  } finally {
    await link.query(`select pg_advisory_unlock(${createLock})`)
  }
  throw new StoreError('MR-SINK-CREATE', {
    what: `table "${sink.name}" is missing, and its create statement made none of that name`,
    fix: 'Name the same table, with its schema, in table() and in its create statement.',
  })
}

async function missingTable(link: Link, sink: Sink<never>): Promise<StoreError> {
  const { rows } = await link.query<{ path: string }>('select array_to_string(current_schemas(false), $1) as path', [
    ', ',
  ])
  const others = await tablesCalled(link, sink.name)
  return new StoreError('MR-SINK-TABLE', {
    what: `table "${sink.name}" does not exist`,
    why: `Looked for in the schemas ${rows[0]?.path ?? ''}${others.length === 0 ? '' : `; there is ${others.join(', ')}`}.`,
    fix: `Create it, name its schema, or let millrace create it: table('${sink.name}', { create: 'create table ${sink.name} (…)' }).`,
  })
}

function checkTable(bound: PlainBoundSink): void {
  const { sink, table } = bound
  if (table.kind !== 'table') {
    throw new StoreError('MR-SINK-TABLE', {
      what: `"${sink.name}" is ${table.kind === 'view' ? 'a view' : 'no table'}, and rows go into tables`,
      fix: 'Name the table itself.',
    })
  }
  checkPrivileges(bound)
  const named = [
    ...(sink.columns ?? []),
    ...sink.key,
    ...(sink.onConflict === 'nothing' ? [] : Object.keys(sink.onConflict)),
  ]
  const unknown = [...new Set(named)].filter((name) => !table.columns.has(name))
  if (unknown.length > 0) throw unknownColumns(bound, unknown, sink.columns ?? [...new Set(named)])
  for (const name of named) {
    const column = table.columns.get(name)
    if (column?.generated) throw generatedColumn(bound, column)
  }
  checkRequired(bound)
  if (sink.key.length > 0) checkKey(bound)
}

function checkPrivileges({ sink, table }: PlainBoundSink): void {
  if (table.mayInsert && (sink.key.length === 0 || table.mayUpsert)) return
  const rights = sink.key.length === 0 ? 'insert' : 'select, insert, update'
  throw new StoreError('MR-SINK-PRIVILEGE', {
    what: `the user of this connection may not write table "${sink.name}"`,
    fix: `grant ${rights} on ${table.quoted} to the user of the connection.`,
  })
}

// A trigger may fill in what the row lacks, so only a table without any is judged.
function checkRequired({ sink, table }: PlainBoundSink): void {
  if (sink.columns === undefined || table.hasTriggers) return
  const missing = [...table.columns.values()].filter(
    ({ name, notNull, hasDefault }) => notNull && !hasDefault && !sink.columns?.includes(name),
  )
  if (missing.length === 0) return
  throw new StoreError('MR-SINK-REQUIRED', {
    what: `table "${sink.name}" needs ${missing.map(({ name }) => `"${name}"`).join(', ')}, and the plan does not write it`,
    why: 'The column must not be null and has no default.',
    fix: 'Add it to columns and to the rows, or give the column a default.',
  })
}

function checkKey({ sink, table }: PlainBoundSink): void {
  const onKey = table.uniques.some(
    ({ arbiter, columns }) =>
      arbiter && columns?.length === sink.key.length && sink.key.every((name) => columns.includes(name)),
  )
  const key = sink.key.join(', ')
  if (!onKey) {
    const there = table.uniques.flatMap(({ columns }) => (columns === undefined ? [] : [`(${columns.join(', ')})`]))
    throw new StoreError('MR-SINK-KEY', {
      what: `table "${sink.name}" has no unique index on (${key}), so it cannot be upserted by this key`,
      why: there.length === 0 ? 'The table has no unique index on columns.' : `Unique are ${there.join(' and ')}.`,
      fix: `create unique index on ${table.quoted} (${key}); partial, deferrable and expression indexes do not count.`,
    })
  }
  if (sink.onConflict === 'nothing') return
  for (const [name, rule] of Object.entries(sink.onConflict)) {
    const column = table.columns.get(name)
    if (rule !== 'add' || column === undefined || isAddable(column)) continue
    throw new StoreError('MR-SINK-RULE', {
      what: `column "${name}" of table "${sink.name}" is ${column.shownType}, which cannot be added up`,
      fix: `Choose another rule for it in onConflict, or make it a number.`,
    })
  }
}

function isAddable({ type, shownType }: TableColumn): boolean {
  return (
    ['int2', 'int4', 'int8', 'float4', 'float8', 'numeric'].includes(type.kind) || /^(interval|money)/.test(shownType)
  )
}

/** A row or a plan names columns that the table does not have. */
export function unknownColumns(
  { sink, table }: BoundSink,
  unknown: readonly string[],
  written: readonly string[],
): StoreError {
  const names = unknown.map((name) => `"${name}"`).join(', ')
  return new StoreError('MR-SINK-COLUMN', {
    what: `table "${sink.name}" has no column ${names}`,
    why: `The plan writes ${written.join(', ')}; the table has ${[...table.columns.keys()].join(', ')}.`,
    fix: `Add the column, or choose what is written: .to(table('${sink.name}'), ${firstLetter(sink.name)} => ({ … })).`,
  })
}

/** A row or a plan writes a column whose value Postgres makes by itself. */
export function generatedColumn({ sink }: BoundSink, { name }: TableColumn): StoreError {
  return new StoreError('MR-SINK-GENERATED', {
    what: `column "${name}" of table "${sink.name}" is generated always and cannot be written`,
    fix: 'Leave it out of the rows, or make it generated by default.',
  })
}

function firstLetter(name: string): string {
  return /[a-z]/.exec(name)?.[0] ?? 'row'
}
