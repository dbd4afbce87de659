import { randomUUID } from 'node:crypto'
import pg from 'pg'
import type { Claim, CommitRequest, SourceProgress, TaskId } from '../core/store.ts'
import { textArray } from './arrayLiteral.ts'
import type { Link } from './connections.ts'

interface ProgressRow extends pg.QueryResultRow {
  readonly source: string
  readonly next_offset: string
  readonly fingerprint: string | null
  readonly version: string
  readonly budget: string | null
  readonly halted: string | null
  readonly halted_plan: string | null
  readonly watermarks: string | null
}

/** The owner of progress that was taken away from whoever had it, for anybody to claim. */
export const nobody = '00000000-0000-0000-0000-000000000000'

/** Takes a task over. One statement, so it is there or it is not; a claim whose answer was lost is made again. */
export async function claimTask(link: Link, task: TaskId, starts: readonly SourceProgress[]): Promise<Claim> {
  const owner = randomUUID()
  const { rows } = await link.query<ProgressRow>(
    'select * from millrace.claim($1, $2, $3, $4, $5::text[], $6::bigint[], $7::text[])',
    [task.app, task.stream, task.partition, owner, ...progressArrays(starts)],
  )
  const wanted = new Set(starts.map(({ source }) => source))
  const [first] = rows
  const { halted = null, halted_plan: plan = null } = first ?? {}
  return {
    task,
    owner,
    version: Number(first?.version),
    budget: first?.budget ?? null,
    halted: halted === null ? null : { reason: halted, plan: plan ?? '' },
    watermarks: first?.watermarks ?? null,
    progress: rows
      .filter(({ source }) => wanted.has(source))
      .map((row) => ({ source: row.source, nextOffset: Number(row.next_offset), fingerprint: row.fingerprint })),
  }
}

/** What the fence moves on. */
export type FencedMove = Pick<CommitRequest, 'claim' | 'progress' | 'budget' | 'halted' | 'watermarks'>

/**
 * What every transaction of a task begins with, in one round trip. The fence locks the task's progress rows, compares
 * (version, owner), moves them on, and raises when they differ: also a COMMIT that was sent behind it cannot go through.
 */
export function beginFenced({ claim, progress, budget, halted, watermarks }: FencedMove): string {
  const { app, stream, partition } = claim.task
  const task = [app, stream, String(partition), claim.owner, String(claim.version)]
  const running = [budget, halted?.reason ?? null, halted?.plan ?? null, watermarks ?? null]
  const values = [...task, ...progressArrays(progress), ...running]
  const literals = values.map((value) => (value === null ? 'null' : pg.escapeLiteral(value)))
  return `begin; select millrace.fence(${literals.join(', ')})`
}

/** What became of a transaction whose COMMIT was not answered. */
export type InDoubt = 'committed' | 'rolled back' | 'taken over'

/**
 * Looks into a COMMIT that was not answered, on another connection. Locking the progress rows waits for the old
 * transaction, which holds them from its first statement on; what they hold then is final.
 */
export async function lookInDoubt(link: Link, claim: Claim): Promise<InDoubt> {
  const { app, stream, partition } = claim.task
  const { rows } = await link.query<{ owner: string; version: string }>(
    `select owner, version from millrace.progress
     where app = $1 and stream = $2 and partition = $3 order by source for update`,
    [app, stream, partition],
  )
  const [row] = rows
  if (row === undefined || row.owner !== claim.owner) return 'taken over'
  if (Number(row.version) === claim.version + 1) return 'committed'
  return Number(row.version) === claim.version ? 'rolled back' : 'taken over'
}

/** Whether a claim that is lost was taken away, and nobody has claimed since. */
export async function isReleased(link: Link, { task: { app, stream, partition } }: Claim): Promise<boolean> {
  const { rows } = await link.query(
    'select from millrace.progress where app = $1 and stream = $2 and partition = $3 and owner = $4 limit 1',
    [app, stream, partition, nobody],
  )
  return rows.length > 0
}

/** Progress of every task of an application. */
export async function readProgress(
  link: Link,
  app: string,
): Promise<readonly (SourceProgress & { readonly stream: string; readonly partition: number })[]> {
  const { rows } = await link.query<ProgressRow & { stream: string; partition: number }>(
    `select stream, source, partition, next_offset, fingerprint from millrace.progress
     where app = $1 order by stream, source, partition`,
    [app],
  )
  return rows.map(({ stream, source, partition, next_offset, fingerprint }) => ({
    stream,
    source,
    partition,
    nextOffset: Number(next_offset),
    fingerprint,
  }))
}

function progressArrays(progress: readonly SourceProgress[]): [sources: string, offsets: string, fingerprints: string] {
  return [
    textArray(progress.map(({ source }) => source)),
    textArray(progress.map(({ nextOffset }) => String(nextOffset))),
    textArray(progress.map(({ fingerprint }) => fingerprint)),
  ]
}
