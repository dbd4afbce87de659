/** What keeps the error collector readable and small: which plan made its items, and an end for those that are settled. */
import type { StartedPlan } from '../core/store.ts'
import { textArray } from './arrayLiteral.ts'
import { cleaned } from './collector.ts'
import type { Link } from './connections.ts'

/** More than any plan needs that somebody reads. */
const maxDescription = 100_000
const maxStep = 1_000

/** Notes what is started. One statement for each stream: a plan that two processes start at once is written twice. */
export async function notePlans(link: Link, app: string, plans: readonly StartedPlan[]): Promise<void> {
  const byName = [...plans].sort((a, b) => (a.stream < b.stream ? -1 : 1))
  for (const { stream, hash, description, orderSteps } of byName) {
    await link.query(
      `insert into millrace.plans (app, stream, hash, description, order_steps) values ($1, $2, $3, $4, $5)
       on conflict (app, stream) do update set hash = excluded.hash, description = excluded.description,
         order_steps = excluded.order_steps, started_at = clock_timestamp()`,
      [
        app,
        stream,
        hash,
        cleaned(description, maxDescription),
        textArray(orderSteps.map((step) => cleaned(step, maxStep))),
      ],
    )
  }
}

/** Deletes items that were settled longer ago, some at a time. Those that another process is deleting are left to it. */
export async function deleteSettled(link: Link, app: string, olderThanMs: number, limit: number): Promise<number> {
  const { rows } = await link.query(
    `delete from millrace.errors e using (
       select id from millrace.errors
       where app = $1 and settled_at < clock_timestamp() - $2::float8 * interval '1 millisecond'
       order by settled_at limit $3 for update skip locked
     ) old where e.id = old.id returning 1 as gone`,
    [app, olderThanMs, limit],
  )
  return rows.length
}
