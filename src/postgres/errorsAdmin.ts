/**
 * Looking into the error collector, and changing what is in it by hand: planned before done, and audited.
 *
 * Nothing here runs an item: who asks for a replay marks it, and the task that owns its partition runs it between two batches.
 */
import { StoreError } from '../core/errors.ts'
import { Connections, type Link } from './connections.ts'
import { type ErrorFilter, isCollectorThere } from './errorFilter.ts'
import { type ErrorsAction, type ErrorsPlan, executeChange, planChange } from './errorsChange.ts'
import {
  type ErrorDetail,
  type ErrorEntry,
  type ErrorGroup,
  readGroups,
  readItem,
  readItems,
  readStats,
  type StreamErrors,
} from './errorsRead.ts'
import { type PostgresSettings, postgresTarget } from './settings.ts'

/** A task that does not run until somebody says so, or another plan is started. */
export interface HaltedTask {
  readonly stream: string
  readonly partition: number
  readonly reason: string
  readonly at: Date
}

export interface ErrorsAdmin {
  /** The groups with the most items first. */
  groups(filter: ErrorFilter, limit: number): Promise<readonly ErrorGroup[]>
  /** The newest first. */
  items(filter: ErrorFilter, limit: number): Promise<readonly ErrorEntry[]>
  /** @throws StoreError when there is no such item */
  item(app: string, id: string): Promise<ErrorDetail>
  stats(filter: ErrorFilter): Promise<readonly StreamErrors[]>
  halted(app: string, stream?: string): Promise<readonly HaltedTask[]>
  /** What an action would change. Changes nothing. */
  plan(action: ErrorsAction, filter: ErrorFilter): Promise<ErrorsPlan>
  /** Does it, and notes it in `millrace.audit`. Says how many items were changed. @throws StoreError when some could not be */
  execute(plan: ErrorsPlan): Promise<number>
  /** Lets halted tasks run again, with their error counters at 0, and notes it. Says how many there were. */
  resume(app: string, stream?: string): Promise<number>
  close(): Promise<void>
}

/** Connects when it is first asked; close it. @throws SettingsError when a setting is out of range */
export function createErrorsAdmin(settings: PostgresSettings): ErrorsAdmin {
  const connections = new Connections(postgresTarget({ ...settings, poolSize: 1 }))
  const use = <T>(doing: string, work: (link: Link) => Promise<T>) =>
    connections.use(doing, async (link) => {
      if (!(await isCollectorThere(link))) throw noCollector(connections.target.name)
      return work(link)
    })
  const reading = 'reading the error collector'
  const changing = 'changing the error collector'
  return {
    groups: (filter, limit) => use(reading, (link) => readGroups(link, filter, limit)),
    items: (filter, limit) => use(reading, (link) => readItems(link, filter, limit)),
    item: (app, id) => use(reading, (link) => readItem(link, app, id)),
    stats: (filter) => use(reading, (link) => readStats(link, filter)),
    halted: (app, stream) => use('reading progress', (link) => readHalted(link, app, stream)),
    plan: (action, filter) => use(reading, (link) => planChange(link, action, filter)),
    execute: (plan) => use(changing, (link) => executeChange(link, plan, connections.clock)),
    resume: (app, stream) => use('changing progress', (link) => resumeHalted(link, app, stream)),
    close: () => connections.close(),
  }
}

async function readHalted(link: Link, app: string, stream: string | undefined): Promise<HaltedTask[]> {
  const { rows } = await link.query<{ stream: string; partition: number; reason: string; at: Date }>(
    `select stream, partition, min(halted) as reason, max(updated_at) as at from millrace.progress
     where app = $1 and ($2::text is null or stream = $2) and halted is not null
     group by stream, partition order by stream, partition`,
    [app, stream],
  )
  return rows.map(({ stream, partition, reason, at }) => ({ stream, partition, reason, at }))
}

/** A halted task has stopped, so nothing is taken from anybody: (version, owner) stays. */
async function resumeHalted(link: Link, app: string, stream: string | undefined): Promise<number> {
  const { rows } = await link.query<{ count: number }>(
    `with resumed as (
       update millrace.progress set halted = null, halted_plan = null, budget = null, updated_at = clock_timestamp()
       where app = $1 and ($2::text is null or stream = $2) and halted is not null
       returning stream, partition
     ), tasks as (
       select distinct stream, partition from resumed
     ), noted as (
       insert into millrace.audit (app, action, stream, partition) select $1, 'resume', stream, partition from tasks
     )
     select count(*)::int as count from tasks`,
    [app, stream],
  )
  return rows[0]?.count ?? 0
}

function noCollector(target: string): StoreError {
  return new StoreError('MR-ERRORS-NONE', {
    what: `there is no error collector in ${target}, or one of an older millrace`,
    why: 'It is made when a service starts on the database for the first time with this version.',
    fix: 'Check the database in the settings, or start the service.',
  })
}
