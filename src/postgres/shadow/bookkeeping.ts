/**
 * What is remembered of a group under the name of a reparse goes over to the group itself: progress, the error collector, and
 * which item has made which row. All in the transaction in which the tables are swapped.
 */
import { textArray } from '../arrayLiteral.ts'
import type { Link } from '../connections.ts'
import { nobody } from '../progress.ts'
import type { Reparse } from '../reparseAdmin.ts'
import type { Shadow } from './shadowTables.ts'

/** The name under which a reparse that makes tables anew keeps everything: as if it were a service of another group. */
export function shadowApp({ app, id }: Pick<Reparse, 'app' | 'id'>): string {
  return `${app} shadow ${id}`
}

const unsettled = `('open', 'deferred', 'parked', 'replaying')`

/** Tasks of the group lose their claims, and take them again: what they know of the tables is not so any more. */
export async function inTransactionMoveProgress(link: Link, reparse: Reparse): Promise<void> {
  const values = [reparse.app, shadowApp(reparse)]
  await link.query(
    `update millrace.progress l set version = l.version + 1, owner = $3, updated_at = clock_timestamp(),
       fingerprint = coalesce(s.fingerprint, l.fingerprint), watermarks = coalesce(s.watermarks, l.watermarks),
       halted = case when old.hash <> now.hash then $4 else l.halted end,
       halted_plan = case when old.hash <> now.hash then old.hash else l.halted_plan end
     from millrace.progress s left join millrace.plans now on now.app = s.app and now.stream = s.stream
       left join millrace.plans old on old.app = $1 and old.stream = s.stream
     where s.app = $2 and l.app = $1 and (l.stream, l.source, l.partition) = (s.stream, s.source, s.partition)`,
    [...values, nobody, `reparse ${reparse.id} has put tables in place that another plan has made`],
  )
  await inTransactionForget(link, reparse)
}

/** Forgets what only the reparse itself needs. */
export async function inTransactionForget(link: Link, reparse: Reparse): Promise<void> {
  await link.query('delete from millrace.progress where app = $1', [shadowApp(reparse)])
  await link.query('delete from millrace.plans where app = $1', [shadowApp(reparse)])
  await link.query(
    `with gone as (delete from millrace.state_steps where app = $1 returning id)
     delete from millrace.state where step in (select id from gone)`,
    [shadowApp(reparse)],
  )
}

const pairsOfSteps = `select l.id as old, s.id as new, s.shape, s.encoding
  from millrace.state_steps s join millrace.state_steps l using (stream, step) where s.app = $2 and l.app = $1`

/** State goes under the numbers of the group's own steps: whoever runs knows them. */
export async function inTransactionMoveState(link: Link, reparse: Reparse): Promise<void> {
  const values = [reparse.app, shadowApp(reparse)]
  await link.query(`delete from millrace.state where step in (select old from (${pairsOfSteps}) p)`, values)
  await link.query(`update millrace.state set step = p.old from (${pairsOfSteps}) p where step = p.new`, values)
  await link.query(
    `update millrace.state_steps l set shape = p.shape, encoding = p.encoding from (${pairsOfSteps}) p where l.id = p.old`,
    values,
  )
  await link.query(`delete from millrace.state_steps where id in (select new from (${pairsOfSteps}) p)`, values)
  await link.query('update millrace.state_steps set app = $1 where app = $2', values)
}

/** Items that failed again keep their history; those that stand now are settled. */
export async function inTransactionMoveErrors(link: Link, reparse: Reparse): Promise<void> {
  const { app, streams, ranges } = reparse
  const passed = JSON.stringify(ranges.map(({ topic, partition, from }) => ({ topic, partition, from })))
  await link.query(
    `with passed as (
       select * from jsonb_to_recordset($4::jsonb) as p (topic text, partition integer, "from" bigint)
     ), old as (
       select e.* from millrace.errors e join passed p using (topic, partition)
       where e.app = $1 and e.task_stream = any($3::text[]) and e.state in ${unsettled} and e.record_offset >= p."from"
     ), again as (
       update millrace.errors s set attempts = s.attempts + o.attempts, history = o.history || jsonb_build_object(
           'at', o.collected_at, 'step', o.step, 'name', o.error_name, 'message', o.error_message, 'code', o.error_code,
           'attempts', o.attempts) || s.history
       from old o where s.app = $2 and s.state in ${unsettled}
         and (s.stream, s.topic, s.partition, s.record_offset) = (o.stream, o.topic, o.partition, o.record_offset)
       returning o.id
     ), doubled as (
       delete from millrace.errors e using again where e.id = again.id
     )
     update millrace.errors e set state = 'done', settled_at = clock_timestamp(), remembered = null
     from old o where e.id = o.id and o.id not in (select id from again)`,
    [app, shadowApp(reparse), textArray(streams), passed],
  )
  await link.query('update millrace.errors set app = $1 where app = $2', [app, shadowApp(reparse)])
}

/**
 * The numbers of the old rows' tasks stay theirs, under another name: the old tables can still be traced to their records. What
 * was given to rows of the old tables is forgotten later, since it takes its time.
 */
export async function inTransactionMoveTracks(link: Link, reparse: Reparse, shadows: readonly Shadow[]): Promise<void> {
  const { app, id, ranges } = reparse
  const names = textArray(shadows.map(({ name }) => name))
  // Whoever claims a partition waits for this before it asks for the numbers of its tables.
  await link.query(
    `delete from millrace.tracked_in where table_id in (
       select id from millrace.tracked_tables where name = any($1::text[]) order by name for update)`,
    [names],
  )
  await link.query('delete from millrace.tracked_tables where name = any($1::text[])', [names])
  for (const { name, shadow } of shadows) {
    await link.query('update millrace.tracked_tables set name = $1 where name = $2', [name, shadow])
  }
  await link.query(`update millrace.tracked_tasks set app = $1 where app = $2 and topic = any($3::text[])`, [
    `${app} before ${id}`,
    app,
    textArray([...new Set(ranges.map(({ topic }) => topic))]),
  ])
  await link.query('update millrace.tracked_tasks set app = $1 where app = $2', [app, shadowApp(reparse)])
}

/** Rows that one statement forgets: it must not take long. */
const forgottenAtOnce = 50_000

/** Forgets what was given to rows of tables that are tracked no more. */
export async function forgetContributions(link: Link): Promise<void> {
  for (;;) {
    const { rowCount } = await link.query(
      `delete from millrace.contributions where ctid = any(array(
         select c.ctid from millrace.contributions c
         where not exists (select from millrace.tracked_tables t where t.id = c.table_id) limit ${forgottenAtOnce}))`,
    )
    if (rowCount === null || rowCount < forgottenAtOnce) return
  }
}
