/** Items in the error collector that their tasks have to run. */
import type pg from 'pg'
import type { TaskId, WaitingItem } from '../core/store.ts'
import type { Link } from './connections.ts'

const unsettled = `state in ('open', 'deferred', 'parked', 'replaying')`

/** Whether an item's turn has come. A parked one waits for whatever of its key is before it. */
const isDue = `(
  e.state = 'replaying'
  or e.state = 'deferred' and e.retry_at <= clock_timestamp()
  or e.state = 'parked' and not exists (
    select from millrace.errors before
    where before.app = e.app and before.task_stream = e.task_stream and before.partition = e.partition
      and before.key = e.key and before.${unsettled}
      and (before.record_offset, before.id) < (e.record_offset, e.id)
  )
)`

/** Tasks that have items waiting for them. */
export async function readWaitingTasks(link: Link, app: string): Promise<{ stream: string; partition: number }[]> {
  const { rows } = await link.query<{ stream: string; partition: number }>(
    `select distinct e.task_stream as stream, e.partition from millrace.errors e
     where e.app = $1 and e.${unsettled} and ${isDue}`,
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

/** The items that a task is to run now. */
export async function readWaitingItems(
  link: Link,
  { app, stream, partition }: TaskId,
  limit: number,
): Promise<WaitingItem[]> {
  const { rows } = await link.query<WaitingRow>(
    `select e.id, e.state, e.stream, e.topic, e.partition, e.record_offset,
       (extract(epoch from e.record_timestamp) * 1000)::float8 as timestamp_ms,
       e.key, e.value, e.header_keys, e.header_values, e.attempts, e.remembered
     from millrace.errors e
     where e.app = $1 and e.task_stream = $2 and e.partition = $3 and e.${unsettled} and ${isDue}
     order by e.record_offset, e.id limit $4`,
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

/** Keys of a task's items that are not settled. */
export async function readHeldKeys(link: Link, { app, stream, partition }: TaskId): Promise<string[]> {
  const { rows } = await link.query<{ key: Buffer }>(
    `select distinct key from millrace.errors
     where app = $1 and task_stream = $2 and partition = $3 and ${unsettled} and key is not null`,
    [app, stream, partition],
  )
  return rows.map(({ key }) => key.toString('latin1'))
}
