/** Looking into the error collector. */
import type pg from 'pg'
import { StoreError } from '../core/errors.ts'
import type { Link } from './connections.ts'
import {
  type ErrorFilter,
  type ErrorState,
  filterSql,
  filterValues,
  type StateCounts,
  stateCountsOf,
  stateCountsSql,
} from './errorFilter.ts'

/** Items that failed in one stream in the same way. */
export interface ErrorGroup {
  readonly stream: string
  readonly step: string
  readonly fingerprint: string
  readonly items: number
  readonly states: StateCounts
  readonly firstAt: Date
  readonly lastAt: Date
  /** Of the newest item. */
  readonly id: string
  readonly error: { readonly name: string; readonly message: string }
}

/** An item, as lists show it. */
export interface ErrorEntry {
  readonly id: string
  readonly state: ErrorState
  readonly stream: string
  readonly step: string
  readonly fingerprint: string
  readonly topic: string
  readonly partition: number
  readonly offset: number
  readonly key: Buffer | null
  readonly attempts: number
  readonly collectedAt: Date
  /** When a deferred item is tried again. */
  readonly retryAt: Date | null
  readonly error: { readonly name: string; readonly message: string }
}

/** A former failure of an item. */
export interface FormerFailure {
  readonly at: string
  readonly step: string
  readonly name: string
  readonly message: string
  readonly code: string | null
  readonly attempts: number
}

/** All that is kept of an item. */
export interface ErrorDetail extends ErrorEntry {
  /** The stream of the task that owns it. */
  readonly taskStream: string
  readonly timestamp: Date | null
  readonly value: Buffer | null
  /** Bytes that the value had, where it is kept cut. */
  readonly cutFrom: number | null
  readonly headers: readonly { readonly key: string; readonly value: Buffer | null }[]
  readonly error: ErrorEntry['error'] & { readonly code: string | null; readonly stack: string | null }
  /** The first place of the stack in the user's own code. */
  readonly atLine: string | null
  /** The oldest first. */
  readonly history: readonly FormerFailure[]
  readonly settledAt: Date | null
  /** Whether answers of outside calls are kept for its next try. */
  readonly remembers: boolean
}

/** What the collector holds of one stream. */
export interface StreamErrors {
  readonly stream: string
  readonly states: StateCounts
  /** Kinds of errors among the items that are not settled. */
  readonly groups: number
  /** Items that failed within the last hour. */
  readonly lastHour: number
  /** When the oldest item failed that is not settled. */
  readonly oldestAt: Date | null
  /** Bytes of values. */
  readonly bytes: number
}

type GroupRow = pg.QueryResultRow &
  Readonly<Record<ErrorState, number>> & {
    readonly stream: string
    readonly step: string
    readonly fingerprint: string
    readonly items: number
    readonly first_at: Date
    readonly last_at: Date
    readonly newest: string
    readonly error_name: string
    readonly error_message: string
  }

export async function readGroups(link: Link, filter: ErrorFilter, limit: number): Promise<ErrorGroup[]> {
  const { rows } = await link.query<GroupRow>(
    `select g.*, newest.error_message from (
       select e.stream, e.step, e.fingerprint, e.error_name, count(*)::float8 as items, ${stateCountsSql},
         min(e.collected_at) as first_at, max(e.collected_at) as last_at, max(e.id) as newest
       from millrace.errors e where ${filterSql}
       group by e.stream, e.step, e.fingerprint, e.error_name
       order by items desc, newest desc limit $12
     ) g join millrace.errors newest on newest.id = g.newest
     order by g.items desc, g.newest desc`,
    [...filterValues(filter), limit],
  )
  return rows.map((row) => ({
    stream: row.stream,
    step: row.step,
    fingerprint: row.fingerprint,
    items: row.items,
    states: stateCountsOf(row),
    firstAt: row.first_at,
    lastAt: row.last_at,
    id: row.newest,
    error: { name: row.error_name, message: row.error_message },
  }))
}

interface EntryRow extends pg.QueryResultRow {
  readonly id: string
  readonly state: ErrorState
  readonly stream: string
  readonly step: string
  readonly fingerprint: string
  readonly topic: string
  readonly partition: number
  readonly record_offset: string
  readonly key: Buffer | null
  readonly attempts: number
  readonly collected_at: Date
  readonly retry_at: Date | null
  readonly error_name: string
  readonly error_message: string
}

const entryColumns = `e.id, e.state, e.stream, e.step, e.fingerprint, e.topic, e.partition, e.record_offset, e.key, e.attempts,
  e.collected_at, e.retry_at, e.error_name, e.error_message`

function entryOf(row: EntryRow): ErrorEntry {
  return {
    id: row.id,
    state: row.state,
    stream: row.stream,
    step: row.step,
    fingerprint: row.fingerprint,
    topic: row.topic,
    partition: row.partition,
    offset: Number(row.record_offset),
    key: row.key,
    attempts: row.attempts,
    collectedAt: row.collected_at,
    retryAt: row.retry_at,
    error: { name: row.error_name, message: row.error_message },
  }
}

export async function readItems(link: Link, filter: ErrorFilter, limit: number): Promise<ErrorEntry[]> {
  const { rows } = await link.query<EntryRow>(
    `select ${entryColumns} from millrace.errors e where ${filterSql} order by e.id desc limit $12`,
    [...filterValues(filter), limit],
  )
  return rows.map(entryOf)
}

interface DetailRow extends EntryRow {
  readonly task_stream: string
  readonly record_timestamp: Date | null
  readonly value: Buffer | null
  readonly cut_from: string | null
  readonly header_keys: readonly string[]
  readonly header_values: readonly (Buffer | null)[]
  readonly error_code: string | null
  readonly error_stack: string | null
  readonly at_line: string | null
  readonly history: readonly FormerFailure[]
  readonly settled_at: Date | null
  readonly remembers: boolean
}

export async function readItem(link: Link, app: string, id: string): Promise<ErrorDetail> {
  const { rows } = await link.query<DetailRow>(
    `select ${entryColumns}, e.task_stream, e.record_timestamp, e.value, e.cut_from, e.header_keys, e.header_values,
       e.error_code, e.error_stack, e.at_line, e.history, e.settled_at, e.remembered is not null as remembers
     from millrace.errors e where e.app = $1 and e.id = $2`,
    [app, id],
  )
  const [row] = rows
  if (row === undefined) {
    throw new StoreError('MR-ERRORS-NONE', {
      what: `there is no item ${id} in the error collector of app "${app}"`,
      fix: 'See what there is with "millrace errors list --items --state all".',
    })
  }
  const entry = entryOf(row)
  return {
    ...entry,
    taskStream: row.task_stream,
    timestamp: row.record_timestamp,
    value: row.value,
    cutFrom: row.cut_from === null ? null : Number(row.cut_from),
    headers: row.header_keys.map((key, index) => ({ key, value: row.header_values[index] ?? null })),
    error: { ...entry.error, code: row.error_code, stack: row.error_stack },
    atLine: row.at_line,
    history: row.history,
    settledAt: row.settled_at,
    remembers: row.remembers,
  }
}

type StatsRow = pg.QueryResultRow &
  Readonly<Record<ErrorState, number>> & {
    readonly stream: string
    readonly groups: number
    readonly last_hour: number
    readonly oldest_at: Date | null
    readonly bytes: number
  }

export async function readStats(link: Link, filter: ErrorFilter): Promise<StreamErrors[]> {
  const { rows } = await link.query<StatsRow>(
    `select e.stream, ${stateCountsSql},
       (count(distinct e.fingerprint) filter (where e.settled_at is null))::float8 as groups,
       (count(*) filter (where e.collected_at > clock_timestamp() - interval '1 hour'))::float8 as last_hour,
       min(e.collected_at) filter (where e.settled_at is null) as oldest_at,
       coalesce(sum(octet_length(e.value)), 0)::float8 as bytes
     from millrace.errors e where ${filterSql} group by e.stream order by e.stream`,
    filterValues(filter),
  )
  return rows.map((row) => ({
    stream: row.stream,
    states: stateCountsOf(row),
    groups: row.groups,
    lastHour: row.last_hour,
    oldestAt: row.oldest_at,
    bytes: row.bytes,
  }))
}
