/** Items in the error collector that their tasks have to run. */
import type pg from 'pg'
import type { HeldItems, TaskId, WaitingItem } from '../core/store.ts'
import type { Link } from './connections.ts'

const unsettled = `state in ('open', 'deferred', 'parked', 'replaying')`

/** Bytes of values that are read at once, so that many large ones do not fill the memory. A single one may be larger. */
const maxBytes = 16 * 2 ** 20

/**
 * Tasks that have items waiting for them: asked for, or put off until now. It is asked all the time, so it looks into the
 * index once for each task. Parked items are not looked for: whoever settles the item before them sees to it that they come.
 */
export async function readWaitingTasks(link: Link, app: string): Promise<{ stream: string; partition: number }[]> {
  const { rows } = await link.query<{ stream: string; partition: number }>(
    `select task.stream, task.partition
     from (select distinct stream, partition from millrace.progress where app = $1) task
     where exists (
       select from millrace.errors e
       where e.app = $1 and e.task_stream = task.stream and e.partition = task.partition and e.state = 'replaying'
     ) or exists (
       select from millrace.errors e
       where e.app = $1 and e.task_stream = task.stream and e.partition = task.partition
         and e.state = 'deferred' and e.retry_at <= clock_timestamp()
     )`,
    [app],
  )
  return rows
}

interface WaitingRow extends pg.QueryResultRow {
  readonly id: string
  readonly state: 'replaying' | 'deferred' | 'parked'
  readonly stream: string
  readonly topic: string
  readonly partition: number
  readonly record_offset: string
  readonly timestamp_ms: number | null
  readonly key: Buffer | null
  readonly value: Buffer | null
  readonly header_keys: readonly string[]
  readonly header_values: readonly (Buffer | null)[]
  readonly attempts: number
  readonly remembered: string | null
}

const kinds = { replaying: 'replay', deferred: 'deferred', parked: 'parked' } as const

const ofTask = 'e.app = $1 and e.task_stream = $2 and e.partition = $3'

/**
 * The items that a task is to run now. A parked one goes with those that it waits for, unless one of them has to go on
 * waiting. The parts are kept apart, so that each finds its rows in an index, however many others there are.
 */
export async function readWaitingItems(
  link: Link,
  { app, stream, partition }: TaskId,
  limit: number,
): Promise<WaitingItem[]> {
  const { rows } = await link.query<WaitingRow>(
    `with blocking as materialized (
       select distinct on (e.key) e.key, e.record_offset, e.id from millrace.errors e
       where ${ofTask} and e.${unsettled} and e.key is not null
         and (e.state = 'open' or e.state = 'deferred' and e.retry_at > clock_timestamp())
         and exists (select from millrace.errors e where ${ofTask} and e.state = 'parked')
       order by e.key, e.record_offset, e.id
     ), due as (
       select e.id, e.record_offset from millrace.errors e where ${ofTask} and e.state = 'replaying'
       union all
       select e.id, e.record_offset from millrace.errors e
         where ${ofTask} and e.state = 'deferred' and e.retry_at <= clock_timestamp()
       union all
       select e.id, e.record_offset from millrace.errors e left join blocking b on b.key = e.key
         where ${ofTask} and e.state = 'parked' and (b.id is null or (e.record_offset, e.id) < (b.record_offset, b.id))
       order by record_offset, id limit $4
     ), sized as (
       select due.id, sum(octet_length(e.value)) over (order by e.record_offset, e.id) - octet_length(e.value) as bytes_before
       from due join millrace.errors e on e.id = due.id
     )
     select e.id, e.state, e.stream, e.topic, e.partition, e.record_offset,
       (extract(epoch from e.record_timestamp) * 1000)::float8 as timestamp_ms,
       e.key, e.value, e.header_keys, e.header_values, e.attempts, e.remembered
     from sized join millrace.errors e on e.id = sized.id
     where coalesce(sized.bytes_before, 0) < ${maxBytes}
     order by e.record_offset, e.id`,
    [app, stream, partition, limit],
  )
  return rows.map((row) => ({
    id: row.id,
    kind: kinds[row.state],
    stream: row.stream,
    topic: row.topic,
    partition: row.partition,
    offset: Number(row.record_offset),
    timestamp: row.timestamp_ms === null ? null : new Date(row.timestamp_ms),
    key: row.key,
    value: row.value,
    headers: row.header_keys.map((key, index) => ({ key, value: row.header_values[index] ?? null })),
    attempts: row.attempts,
    remembered: row.remembered,
  }))
}

/** Keys of a task's items that are not settled, and how many of these are parked. */
export async function readHeld(link: Link, { app, stream, partition }: TaskId): Promise<HeldItems> {
  const { rows } = await link.query<{ key: Buffer; parked: number }>(
    `select key, (count(*) filter (where state = 'parked'))::int as parked from millrace.errors
     where app = $1 and task_stream = $2 and partition = $3 and ${unsettled} and key is not null group by key`,
    [app, stream, partition],
  )
  return {
    keys: rows.map(({ key }) => key.toString('latin1')),
    parked: rows.reduce((sum, { parked }) => sum + parked, 0),
  }
}
