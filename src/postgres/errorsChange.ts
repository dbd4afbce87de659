/** Asking for replays, settling by hand, deleting: first a plan, then the same in portions. */
import type pg from 'pg'
import { type Clock, sleep } from '../core/clock.ts'
import { StoreError } from '../core/errors.ts'
import type { Link } from './connections.ts'
import { type ErrorFilter, filterSql, filterValues } from './errorFilter.ts'

/** `delete` takes everything that the filter means; the others leave out what they make no sense for. */
export type ErrorsAction = 'replay' | 'ignore' | 'delete' | 'prune'

/** Items of one kind that an action would change. */
export interface PlannedGroup {
  readonly stream: string
  readonly step: string
  readonly fingerprint: string
  readonly items: number
  readonly error: { readonly name: string; readonly message: string }
}

/** Why an item that the filter means is left as it is. */
export type LeftReason = 'cut' | 'without record' | 'parked' | 'replaying' | 'settled' | 'unsettled'

/** What an action would change. */
export interface ErrorsPlan {
  readonly action: ErrorsAction
  readonly filter: ErrorFilter
  readonly items: number
  readonly groups: readonly PlannedGroup[]
  /** When the oldest and the newest of them failed last; null without any. */
  readonly oldestAt: Date | null
  readonly newestAt: Date | null
  readonly left: Readonly<Partial<Record<LeftReason, number>>>
  /** Of a replay: for each stream that would run items, the steps where order matters; null where no plan was noted. */
  readonly orderSteps: readonly { readonly stream: string; readonly steps: readonly string[] | null }[]
  /** The database's clock: what has failed since then is not meant. */
  readonly plannedAt: string
}

/**
 * Why an action leaves an item alone; null when it does not. A cut value, and what RxJS gave back without a record, cannot be
 * run; a parked item follows the one that it waits for; what was ignored may be asked for, what is done may not.
 */
const leftSql: Readonly<Record<ErrorsAction, string>> = {
  replay: `case
      when e.state = 'done' then 'settled' when e.state = 'replaying' then 'replaying' when e.state = 'parked' then 'parked'
      when e.cut_from is not null then 'cut' when e.record_offset < 0 then 'without record'
    end`,
  ignore: `case when e.state in ('done', 'ignored') then 'settled' end`,
  delete: 'null::text',
  prune: `case when e.settled_at is null then 'unsettled' end`,
}

/** A portion is one short transaction. Rows that a task is settling just now are left to it, and looked at again: nobody deadlocks. */
const portion = 5_000
const lookAgainAfterMs = 200
const givesUpAfterMs = 30_000

/** What is done with the items of a portion, which are called `chosen`. */
const changeSql: Readonly<Record<ErrorsAction, string>> = {
  replay: `update millrace.errors e set state = 'replaying', retry_at = null, settled_at = null from chosen where e.id = chosen.id`,
  ignore: `update millrace.errors e set state = 'ignored', settled_at = clock_timestamp(), retry_at = null, remembered = null
    from chosen where e.id = chosen.id`,
  delete: 'delete from millrace.errors e using chosen where e.id = chosen.id',
  prune: 'delete from millrace.errors e using chosen where e.id = chosen.id',
}

/** Takes when it was planned as $12. A replayed item that fails again has a new time, and is not asked for again by the same plan. */
function meantSql(action: ErrorsAction): string {
  const planned =
    action === 'replay' || action === 'ignore' ? 'e.collected_at <= $12::timestamptz' : '$12::text is not null'
  return `${filterSql} and ${leftSql[action]} is null and ${planned}`
}

const portionSql = (action: ErrorsAction) => `
  with chosen as (
    select e.id from millrace.errors e where ${meantSql(action)} order by e.id limit ${portion} for update skip locked
  ), changed as (
    ${changeSql[action]} returning 1
  ), noted as (
    insert into millrace.audit (app, action, items, detail)
      select $1, 'errors ${action}', count(*), $13 from changed having count(*) > 0
  )
  select count(*)::int as count from changed`

/**
 * Asks for parked items that nothing is before any more: only a task that has settled an item itself looks for those behind
 * it. One that is locked belongs to a task that does so just now.
 */
const wakeSql = `
  with keys as (
    select distinct task_stream, partition, key from millrace.errors where app = $1 and state = 'parked'
  ), firsts as (
    select distinct on (e.task_stream, e.partition, e.key) e.id, e.state
    from millrace.errors e join keys using (task_stream, partition, key)
    where e.app = $1 and e.state in ('open', 'deferred', 'parked', 'replaying')
    order by e.task_stream, e.partition, e.key, e.record_offset, e.id
  ), chosen as (
    select id from millrace.errors
    where id in (select id from firsts where state = 'parked') and state = 'parked' for update skip locked
  )
  update millrace.errors e set state = 'replaying' from chosen where e.id = chosen.id`

type PlanRow = pg.QueryResultRow & {
  readonly stream: string
  readonly task_stream: string
  readonly step: string
  readonly fingerprint: string
  readonly error_name: string
  readonly left_for: LeftReason | null
  readonly items: number
  readonly oldest_at: Date
  readonly newest_at: Date
  readonly message: string
}

/** What an action would change. */
export async function planChange(link: Link, action: ErrorsAction, filter: ErrorFilter): Promise<ErrorsPlan> {
  const clock = await link.query<{ now: string }>('select clock_timestamp()::text as now')
  const { rows } = await link.query<PlanRow>(
    `select g.*, newest.error_message as message from (
       select e.stream, e.task_stream, e.step, e.fingerprint, e.error_name, ${leftSql[action]} as left_for,
         count(*)::float8 as items, min(e.collected_at) as oldest_at, max(e.collected_at) as newest_at, max(e.id) as newest
       from millrace.errors e where ${filterSql} group by 1, 2, 3, 4, 5, 6
     ) g join millrace.errors newest on newest.id = g.newest
     order by g.items desc, g.newest desc`,
    filterValues(filter),
  )
  const meant = rows.filter(({ left_for }) => left_for === null)
  const left: Partial<Record<LeftReason, number>> = {}
  for (const { left_for: reason, items } of rows) if (reason !== null) left[reason] = (left[reason] ?? 0) + items
  const times = meant.flatMap(({ oldest_at, newest_at }) => [oldest_at.getTime(), newest_at.getTime()])
  return {
    action,
    filter,
    items: meant.reduce((sum, { items }) => sum + items, 0),
    groups: meant.map(({ stream, step, fingerprint, items, error_name: name, message }) => {
      return { stream, step, fingerprint, items, error: { name, message } }
    }),
    oldestAt: times.length === 0 ? null : new Date(Math.min(...times)),
    newestAt: times.length === 0 ? null : new Date(Math.max(...times)),
    left,
    orderSteps: action === 'replay' ? await readOrderSteps(link, filter.app, meant) : [],
    plannedAt: clock.rows[0]?.now ?? '',
  }
}

async function readOrderSteps(link: Link, app: string, meant: readonly PlanRow[]): Promise<ErrorsPlan['orderSteps']> {
  const streams = [...new Set(meant.map(({ task_stream }) => task_stream))].sort()
  const { rows } = await link.query<{ stream: string; order_steps: string[] }>(
    'select stream, order_steps from millrace.plans where app = $1 and stream = any($2)',
    [app, streams],
  )
  return streams.map((stream) => ({ stream, steps: rows.find((row) => row.stream === stream)?.order_steps ?? null }))
}

/** Does what was planned. Says how many items were changed. */
export async function executeChange(
  link: Link,
  { action, filter, plannedAt }: ErrorsPlan,
  clock: Clock,
): Promise<number> {
  const values = [...filterValues(filter), plannedAt]
  let changed = 0
  let lastChange = clock.now()
  for (;;) {
    const { rows } = await link.query<{ count: number }>(portionSql(action), [...values, auditDetail(filter)])
    const count = rows[0]?.count ?? 0
    changed += count
    if (count > 0) {
      lastChange = clock.now()
      continue
    }
    const left = await leftToDo(link, action, values)
    if (left === 0) {
      if (action !== 'replay') await link.query(wakeSql, [filter.app])
      return changed
    }
    if (clock.now() - lastChange > givesUpAfterMs) throw stillHeld(left, changed)
    await sleep(clock, lookAgainAfterMs)
  }
}

/** Which items were meant. A key may be what nobody is to know any more. */
function auditDetail({ app: _app, key, ...rest }: ErrorFilter): string {
  return JSON.stringify({ ...rest, ...(key === undefined ? {} : { key: 'one key' }) })
}

async function leftToDo(link: Link, action: ErrorsAction, values: readonly unknown[]): Promise<number> {
  const { rows } = await link.query<{ count: number }>(
    `select count(*)::float8 as count from millrace.errors e where ${meantSql(action)}`,
    values,
  )
  return rows[0]?.count ?? 0
}

function stillHeld(items: number, changed: number): StoreError {
  return new StoreError('MR-ERRORS-HELD', {
    what: `${items} items are held by a transaction that does not end`,
    why: `A task may be about to settle them. ${changed} items were changed.`,
    fix: 'Do the same again later.',
  })
}
