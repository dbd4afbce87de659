/** Which rows of the error collector somebody means. */
import type { Link } from './connections.ts'

/** What can be the matter with an item in the collector; the last two are settled. */
export const errorStates = ['open', 'deferred', 'parked', 'replaying', 'done', 'ignored'] as const
export type ErrorState = (typeof errorStates)[number]

export const unsettledStates: readonly ErrorState[] = ['open', 'deferred', 'parked', 'replaying']

/** All of an application, or fewer. */
export interface ErrorFilter {
  readonly app: string
  /** The stream in which it fell. */
  readonly stream?: string | undefined
  readonly step?: string | undefined
  /** The first digits are enough. */
  readonly fingerprint?: string | undefined
  readonly states?: readonly ErrorState[] | undefined
  /** When it failed last: at this time or later. */
  readonly since?: Date | undefined
  /** Before this time. */
  readonly until?: Date | undefined
  readonly key?: Buffer | undefined
  readonly partition?: number | undefined
  readonly ids?: readonly string[] | undefined
  /** Only what was settled before this time. */
  readonly settledBefore?: Date | undefined
}

/** What a row has to be like, of `millrace.errors e`. Takes {@link filterValues} as $1 to $11. */
export const filterSql = `e.app = $1
  and ($2::text is null or e.stream = $2)
  and ($3::text is null or e.step = $3)
  and ($4::text is null or starts_with(e.fingerprint, $4))
  and ($5::text[] is null or e.state = any($5))
  and ($6::timestamptz is null or e.collected_at >= $6)
  and ($7::timestamptz is null or e.collected_at < $7)
  and ($8::bytea is null or e.key = $8)
  and ($9::integer is null or e.partition = $9)
  and ($10::bigint[] is null or e.id = any($10))
  and ($11::timestamptz is null or e.settled_at < $11)`

export function filterValues(filter: ErrorFilter): unknown[] {
  const { app, stream, step, fingerprint, states, since, until, key, partition, ids, settledBefore } = filter
  return [app, stream, step, fingerprint, states, since, until, key, partition, ids, settledBefore]
}

/** How many items are in each state; those that are 0 are left out. */
export type StateCounts = Readonly<Partial<Record<ErrorState, number>>>

/** One column for each state. Read with {@link stateCountsOf}. */
export const stateCountsSql = errorStates
  .map((state) => `count(*) filter (where e.state = '${state}')::float8 as ${state}`)
  .join(', ')

export function stateCountsOf(row: Readonly<Record<ErrorState, number>>): StateCounts {
  return Object.fromEntries(errorStates.filter((state) => row[state] > 0).map((state) => [state, row[state]]))
}

/** Whether the collector is there, in the shape that this version knows. */
export async function isCollectorThere(link: Link): Promise<boolean> {
  const { rows } = await link.query<{ there: boolean }>(
    `select exists (select from information_schema.columns
       where table_schema = 'millrace' and table_name = 'errors' and column_name = 'history') as there`,
  )
  return rows[0]?.there === true
}
