/**
 * Looking at progress and changing it by hand: planned before done, fenced and audited.
 *
 * A change takes the ownership of its tasks away, so that whoever runs them now cannot commit over it. It is refused when
 * progress has moved since it was planned: stop the service, then plan again.
 */
import { randomUUID } from 'node:crypto'
import type pg from 'pg'
import { StoreError } from '../core/errors.ts'
import { Connections, type Link } from './connections.ts'
import { type PostgresSettings, postgresTarget } from './settings.ts'

/** Which progress rows: all of an application, or fewer. */
export interface ProgressFilter {
  readonly app: string
  readonly stream?: string | undefined
  readonly source?: string | undefined
  readonly partition?: number | undefined
}

/** Progress of one input of one task, as it stands. */
export interface ProgressEntry {
  readonly stream: string
  readonly source: string
  readonly partition: number
  readonly nextOffset: number
  readonly version: number
  readonly owner: string
  readonly updatedAt: Date
}

/** What would change. */
export interface ProgressPlan {
  readonly app: string
  readonly action: 'set' | 'reset'
  readonly changes: readonly {
    readonly entry: ProgressEntry
    /** Undefined when the row is removed, so that the next start decides. */
    readonly toOffset: number | undefined
  }[]
}

export interface ProgressAdmin {
  show(filter: ProgressFilter): Promise<readonly ProgressEntry[]>
  /** What setting progress to an offset would change. @throws StoreError when the filter matches nothing */
  planSet(filter: ProgressFilter, toOffset: number): Promise<ProgressPlan>
  /** What forgetting progress would change: the next start is then a first one. @throws StoreError when the filter matches nothing */
  planReset(filter: ProgressFilter): Promise<ProgressPlan>
  /** Does it, all or nothing, and notes it in `millrace.audit`. @throws StoreError when progress has moved since */
  execute(plan: ProgressPlan): Promise<void>
  close(): Promise<void>
}

/** Connects when it is first asked; close it. @throws SettingsError when a setting is out of range */
export function createProgressAdmin(settings: PostgresSettings): ProgressAdmin {
  const connections = new Connections(postgresTarget({ ...settings, poolSize: 1 }))
  const show = (filter: ProgressFilter) =>
    connections.use('reading progress', (link) => readEntries(link, filter, connections))
  const plan = async (filter: ProgressFilter, action: ProgressPlan['action'], toOffset: number | undefined) => {
    const entries = await show(filter)
    if (entries.length === 0) throw nothingMatches(filter)
    return { app: filter.app, action, changes: entries.map((entry) => ({ entry, toOffset })) }
  }
  return {
    show,
    planSet: async (filter, toOffset) => {
      if (Number.isSafeInteger(toOffset) && toOffset >= 0) return plan(filter, 'set', toOffset)
      throw new StoreError('MR-PROGRESS-OFFSET', {
        what: `progress cannot be set to ${toOffset}`,
        fix: 'Give a whole number from 0: the offset of the next record to read.',
      })
    },
    planReset: (filter) => plan(filter, 'reset', undefined),
    execute: (planned) => connections.use('changing progress', (link) => executePlan(link, planned)),
    close: () => connections.close(),
  }
}

interface EntryRow extends pg.QueryResultRow {
  stream: string
  source: string
  partition: number
  next_offset: string
  version: string
  owner: string
  updated_at: Date
}

async function readEntries(
  link: Link,
  filter: ProgressFilter,
  { target }: Connections,
): Promise<readonly ProgressEntry[]> {
  const there = await link.query<{ there: boolean }>("select to_regclass('millrace.progress') is not null as there")
  if (there.rows[0]?.there !== true) {
    throw new StoreError('MR-PROGRESS-NONE', {
      what: `there is no progress in ${target.name}`,
      why: 'No service has run on this database yet.',
      fix: 'Check the database in the settings.',
    })
  }
  const { rows } = await link.query<EntryRow>(
    `select stream, source, partition, next_offset, version, owner, updated_at from millrace.progress
     where app = $1 and ($2::text is null or stream = $2) and ($3::text is null or source = $3)
       and ($4::integer is null or partition = $4)
     order by stream, partition, source`,
    [filter.app, filter.stream, filter.source, filter.partition],
  )
  return rows.map((row) => ({
    stream: row.stream,
    source: row.source,
    partition: row.partition,
    nextOffset: Number(row.next_offset),
    version: Number(row.version),
    owner: row.owner,
    updatedAt: row.updated_at,
  }))
}

async function executePlan(link: Link, { app, action, changes }: ProgressPlan): Promise<void> {
  const owner = randomUUID()
  await link.begin('begin')
  try {
    for (const { entry } of changes) await inTransactionCompare(link, app, entry)
    for (const { entry, toOffset } of changes) {
      const key = [app, entry.stream, entry.source, entry.partition]
      if (toOffset === undefined) {
        await link.query(
          'delete from millrace.progress where app = $1 and stream = $2 and source = $3 and partition = $4',
          key,
        )
      } else {
        await link.query(
          `update millrace.progress set next_offset = $5, fingerprint = null, updated_at = clock_timestamp()
           where app = $1 and stream = $2 and source = $3 and partition = $4`,
          [...key, toOffset],
        )
      }
      // The version moves in every row of the task, also in those of inputs that stay where they are: they are one.
      await link.query(
        `update millrace.progress set version = $4, owner = $5 where app = $1 and stream = $2 and partition = $3`,
        [app, entry.stream, entry.partition, entry.version + 1, owner],
      )
      await link.query(
        `insert into millrace.audit (app, action, stream, source, partition, from_offset, to_offset)
         values ($1, $2, $3, $4, $5, $6, $7)`,
        [app, action, entry.stream, entry.source, entry.partition, entry.nextOffset, toOffset],
      )
    }
    await link.commit()
  } catch (error) {
    await link.rollback()
    throw error
  }
}

async function inTransactionCompare(link: Link, app: string, entry: ProgressEntry): Promise<void> {
  const { rows } = await link.query<{ version: string; owner: string }>(
    `select version, owner from millrace.progress
     where app = $1 and stream = $2 and source = $3 and partition = $4 for update`,
    [app, entry.stream, entry.source, entry.partition],
  )
  if (rows[0]?.owner === entry.owner && Number(rows[0].version) === entry.version) return
  throw new StoreError('MR-PROGRESS-MOVED', {
    what: `progress of stream "${entry.stream}", partition ${entry.partition} has moved since the change was planned`,
    why: 'A service is running on it, or somebody else has changed it.',
    fix: 'Stop the service, then plan the change again. Nothing was changed.',
  })
}

function nothingMatches({ app, stream, source, partition }: ProgressFilter): StoreError {
  const parts = [`app "${app}"`]
  if (stream !== undefined) parts.push(`stream "${stream}"`)
  if (source !== undefined) parts.push(`source "${source}"`)
  if (partition !== undefined) parts.push(`partition ${partition}`)
  return new StoreError('MR-PROGRESS-NONE', {
    what: `there is no progress of ${parts.join(', ')}`,
    fix: 'See what there is with "millrace progress show".',
  })
}
