/** Follows a consumer by its progress in Postgres, which moves with every commit. */
import { setTimeout as delay } from 'node:timers/promises'
import { createProgress, type Progress } from './progress.ts'

/** How far a consumer is. */
export interface Position {
  /** Whether it has its partitions, so that what it does from now on is reading. */
  readonly claimed: boolean
  /** Records that are committed. */
  readonly read: number
}

const lookEveryMs = 50

/**
 * Shows how far a consumer is until it has caught up; rejects when it fails.
 *
 * @param caughtUp the consumer's own word
 * @param look asks for the position
 * @param total records that are to be read
 * @returns seconds from the claim of the partitions to the last commit, to within a look
 */
export async function watchProgress(
  caughtUp: Promise<unknown>,
  look: () => Promise<Position>,
  total: number,
): Promise<number> {
  const ended = caughtUp.then(() => true)
  let progress: Progress | undefined
  let startedAt = performance.now()
  let endedAt = startedAt
  let done = 0
  try {
    for (let last = false; !last; ) {
      last = await Promise.race([ended, delay(lookEveryMs, false)])
      const { claimed, read } = await look()
      if (!claimed) {
        startedAt = performance.now()
        continue
      }
      progress ??= createProgress('consuming', total)
      if (read > done) endedAt = performance.now()
      done = read
      progress.update(done)
    }
  } finally {
    progress?.stop()
  }
  return (endedAt - startedAt) / 1_000
}

/** What {@link readPosition} needs of a connection: pg's `query`. */
interface Queryable {
  query(sql: string, values: unknown[]): Promise<{ rows: Record<string, unknown>[] }>
}

/** The position of a group, whose topics have no gaps in their offsets. */
export async function readPosition(database: Queryable, group: string): Promise<Position> {
  try {
    const { rows } = await database.query(
      'select count(*) > 0 as claimed, coalesce(sum(next_offset), 0) as read from millrace.progress where app = $1',
      [group],
    )
    return { claimed: rows[0]?.claimed === true, read: Number(rows[0]?.read) }
  } catch (error) {
    // The service makes its tables at its first start; until then there are none.
    if (error instanceof Error && 'code' in error && (error.code === '42P01' || error.code === '3F000')) {
      return { claimed: false, read: 0 }
    }
    throw error
  }
}
