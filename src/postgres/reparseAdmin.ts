/** What a reparse asks the database: how far the live service is, what items have made, and which reparses there are. */
import type pg from 'pg'
import { StoreError } from '../core/errors.ts'
import { textArray } from './arrayLiteral.ts'
import { readTable } from './catalog.ts'
import { Connections, type Link } from './connections.ts'
import { migrate } from './migrate.ts'
import { type PostgresSettings, postgresTarget } from './settings.ts'
import { offsetColumn, taskColumn } from './trackedColumns.ts'

/** Offsets of one partition that a reparse runs again: from `from`, without `to`. */
export interface ReparseRange {
  readonly stream: string
  /** The step that reads: `from:flights`. */
  readonly source: string
  readonly topic: string
  readonly partition: number
  readonly from: number
  readonly to: number
  /** Only these, where they are known. */
  readonly offsets?: readonly number[] | undefined
}

/** A reparse that was begun. */
export interface Reparse {
  readonly id: number
  readonly app: string
  readonly streams: readonly string[]
  /** What was asked for, as text: the same command means the same. */
  readonly selection: string
  /** Recognises the plan that runs. */
  readonly plan: string
  readonly ranges: readonly ReparseRange[]
  readonly state: 'running' | 'done' | 'dropped'
  readonly startedAt: Date
  readonly endedAt: Date | null
}

/** How far the service is with a partition. */
export interface LiveProgress {
  readonly stream: string
  readonly source: string
  readonly partition: number
  readonly nextOffset: number
}

/** Rows that items of a range have made in a table, or given something to. */
export interface OldRows {
  readonly table: string
  readonly rows: number
  /** Items that have made them. */
  readonly items: number
}

/** What is asked of the database for one reparse. */
export interface ReparseAdmin {
  progressOf(app: string): Promise<readonly LiveProgress[]>
  /** Offsets of items in the error collector whose errors have a fingerprint that begins so. */
  offsetsOfErrors(
    app: string,
    stream: string,
    fingerprint: string,
  ): Promise<readonly { partition: number; offset: number }[]>
  oldRows(app: string, ranges: readonly ReparseRange[]): Promise<readonly OldRows[]>
  /** Whether items of a range have made rows together with others. */
  hasGroups(app: string, range: ReparseRange): Promise<boolean>
  /** A range that holds all members of the groups that it holds some of. */
  wholeGroups(app: string, range: ReparseRange): Promise<ReparseRange>
  reparses(app: string): Promise<readonly Reparse[]>
  create(reparse: Pick<Reparse, 'app' | 'streams' | 'selection' | 'plan' | 'ranges'>): Promise<Reparse>
  /** Ends one, and forgets its progress. */
  end(reparse: Reparse, state: 'done' | 'dropped'): Promise<void>
  close(): Promise<void>
}

/** What the progress of a reparse is kept under, beside that of the stream. */
export function reparseStream(stream: string, id: number): string {
  return `${stream} reparse ${id}`
}

/** Connects when it is first asked; close it. @throws SettingsError when a setting is out of range */
export function createReparseAdmin(settings: PostgresSettings): ReparseAdmin {
  const connections = new Connections(postgresTarget({ ...settings, poolSize: 1 }))
  let isReady = false
  const use = <T>(doing: string, work: (link: Link) => Promise<T>) =>
    connections.use(doing, async (link) => {
      if (!isReady) await migrate(link, connections.target)
      isReady = true
      return work(link)
    })
  return {
    progressOf: (app) => use('reading progress', (link) => readProgress(link, app)),
    offsetsOfErrors: (app, stream, fingerprint) =>
      use('reading the error collector', (link) => readErrorOffsets(link, app, stream, fingerprint)),
    oldRows: (app, ranges) => use('counting rows', (link) => countOldRows(link, app, ranges)),
    hasGroups: (app, range) =>
      use('looking for groups', async (link) => (await metMembers(link, app, range)).length > 0),
    wholeGroups: (app, range) => use('looking for groups', (link) => widen(link, app, range)),
    reparses: (app) => use('reading reparses', (link) => readReparses(link, app)),
    create: (reparse) => use('beginning a reparse', (link) => insertReparse(link, reparse)),
    end: (reparse, state) => use('ending a reparse', (link) => endReparse(link, reparse, state)),
    close: () => connections.close(),
  }
}

async function readProgress(link: Link, app: string): Promise<readonly LiveProgress[]> {
  const { rows } = await link.query<{ stream: string; source: string; partition: number; next_offset: string }>(
    `select stream, source, partition, next_offset from millrace.progress where app = $1 order by stream, partition`,
    [app],
  )
  return rows.map(({ next_offset, ...rest }) => ({ ...rest, nextOffset: Number(next_offset) }))
}

async function readErrorOffsets(link: Link, app: string, stream: string, fingerprint: string) {
  const { rows } = await link.query<{ partition: number; record_offset: string }>(
    `select distinct partition, record_offset from millrace.errors
     where app = $1 and task_stream = $2 and starts_with(fingerprint, $3) and record_offset >= 0
       and state in ('open', 'deferred', 'parked', 'replaying')
     order by partition, record_offset`,
    [app, stream, fingerprint],
  )
  return rows.map(({ partition, record_offset }) => ({ partition, offset: Number(record_offset) }))
}

interface WrittenTable {
  readonly id: number
  readonly name: string
  readonly key: string[]
  readonly tasks: number[]
}

/** Streams of a range are those of its task: its own, and those that depend on it or are triggered by it. */
async function writtenTables(link: Link, app: string, range: ReparseRange): Promise<readonly WrittenTable[]> {
  const { rows } = await link.query<WrittenTable>(
    `select t.id, t.name, t.key, array_agg(i.task order by i.task) as tasks
     from millrace.tracked_tasks s join millrace.tracked_in i on i.task = s.id
       join millrace.tracked_tables t on t.id = i.table_id
     where s.app = $1 and s.topic = $2 and s.partition = $3 group by t.id, t.name, t.key order by t.name`,
    [app, range.topic, range.partition],
  )
  return rows
}

async function countOldRows(link: Link, app: string, ranges: readonly ReparseRange[]): Promise<readonly OldRows[]> {
  const found = new Map<string, { rows: number; items: number }>()
  for (const range of ranges) {
    for (const { id, name, key, tasks } of await writtenTables(link, app, range)) {
      const isKeyed = key.length > 0
      if (!isKeyed && (await readTable(link, name)) === undefined) continue
      const [table, task, offset] = isKeyed
        ? [`millrace.contributions`, 'task', 'record_offset']
        : [name, taskColumn, offsetColumn]
      const only = range.offsets === undefined ? '' : ` and ${offset} = any($4::bigint[])`
      const { rows } = await link.query<{ rows: number; items: number }>(
        `select count(*)::float8 as rows, count(distinct ${offset})::float8 as items from ${table}
         where ${isKeyed ? `table_id = ${id} and ` : ''}${task} = any($1::integer[]) and ${offset} >= $2 and ${offset} < $3${only}`,
        [
          textArray(tasks.map(String)),
          range.from,
          range.to,
          ...(range.offsets === undefined ? [] : [textArray(range.offsets.map(String))]),
        ],
      )
      const before = found.get(name) ?? { rows: 0, items: 0 }
      const [{ rows: more, items } = { rows: 0, items: 0 }] = rows
      found.set(name, { rows: before.rows + more, items: before.items + items })
    }
  }
  return Array.from(found, ([table, counts]) => ({ table, ...counts }))
}

/** Offsets of all members of groups of which a range holds some. */
async function metMembers(link: Link, app: string, range: ReparseRange): Promise<readonly number[]> {
  const { rows } = await link.query<{ record_offset: string }>(
    `with tasks as (
       select id from millrace.tracked_tasks where app = $1 and topic = $2 and partition = $3 and grouped
     ), met as (
       select distinct m.task, m.last_offset from millrace.tracked_members m
       where m.task in (select id from tasks) and m.record_offset >= $4 and m.record_offset < $5
         and ($6::bigint[] is null or m.record_offset = any($6))
     )
     select distinct m.record_offset from millrace.tracked_members m join met using (task, last_offset) order by 1`,
    [app, range.topic, range.partition, range.from, range.to, range.offsets && textArray(range.offsets.map(String))],
  )
  return rows.map(({ record_offset }) => Number(record_offset))
}

async function widen(link: Link, app: string, given: ReparseRange): Promise<ReparseRange> {
  let range = given
  for (;;) {
    const members = await metMembers(link, app, range)
    const from = Math.min(range.from, members[0] ?? range.from)
    const to = Math.max(range.to, (members.at(-1) ?? -1) + 1)
    const offsets = range.offsets && [...new Set([...range.offsets, ...members])].sort((a, b) => a - b)
    if (from === range.from && to === range.to && offsets?.length === range.offsets?.length) return range
    range = { ...range, from, to, offsets }
  }
}

interface ReparseRow extends pg.QueryResultRow {
  id: number
  app: string
  streams: string[]
  selection: string
  plan: string
  ranges: ReparseRange[]
  state: Reparse['state']
  started_at: Date
  ended_at: Date | null
}

function toReparse({ started_at, ended_at, ...rest }: ReparseRow): Reparse {
  return { ...rest, startedAt: started_at, endedAt: ended_at }
}

async function readReparses(link: Link, app: string): Promise<readonly Reparse[]> {
  const { rows } = await link.query<ReparseRow>('select * from millrace.reparses where app = $1 order by id', [app])
  return rows.map(toReparse)
}

async function insertReparse(
  link: Link,
  { app, streams, selection, plan, ranges }: Parameters<ReparseAdmin['create']>[0],
): Promise<Reparse> {
  const { rows } = await link.query<ReparseRow>(
    `with begun as (
       insert into millrace.reparses (app, streams, selection, plan, ranges, state)
       values ($1, $2::text[], $3, $4, $5::jsonb, 'running') returning *
     ), noted as (
       insert into millrace.audit (app, action, stream, source, partition, from_offset, to_offset)
       select $1, 'reparse', r.stream, r.source, r.partition, r."from", r."to"
       from jsonb_to_recordset($5::jsonb) as r (stream text, source text, partition integer, "from" bigint, "to" bigint)
     )
     select * from begun`,
    [app, textArray(streams), selection, plan, JSON.stringify(ranges)],
  )
  const [row] = rows
  if (row === undefined) throw new StoreError('MR-REPARSE-NONE', { what: 'the reparse could not be noted' })
  return toReparse(row)
}

async function endReparse(link: Link, { id, app, streams }: Reparse, state: 'done' | 'dropped'): Promise<void> {
  await link.query(
    `with ended as (
       update millrace.reparses set state = $2, ended_at = clock_timestamp() where id = $1
     )
     delete from millrace.progress where app = $3 and stream = any($4::text[])`,
    [id, state, app, textArray(streams.map((stream) => reparseStream(stream, id)))],
  )
}
