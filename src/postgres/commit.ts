/**
 * The one commit. Its order is a law: fence and progress; state; tables, what a foreign key points to first; collector;
 * outbox; COMMIT.
 *
 * - The fence is the first statement and raises in the database.
 * - COMMIT counts as done when the server says COMMIT: after an error that went unnoticed it says ROLLBACK, without one.
 * - A COMMIT that was not answered is never sent again: another connection locks progress and compares.
 */
import { sleep } from '../core/clock.ts'
import {
  FenceLostError,
  FenceReleasedError,
  InternalError,
  messageOf,
  StoreError,
  UnavailableError,
} from '../core/errors.ts'
import { type Claim, type CommitRequest, RowsRefused } from '../core/store.ts'
import { inTransactionMatchCollected } from './collectedBefore.ts'
import { inTransactionCollect, inTransactionSettle } from './collector.ts'
import type { Connections, Link } from './connections.ts'
import { causeOf, inTransactionFindGuilty, isRefusal, surelyGuilty } from './guilt.ts'
import { inTransactionEmit } from './outbox.ts'
import { beginFenced, type InDoubt, isReleased, lookInDoubt } from './progress.ts'
import { inPlaceBuffer, inTransactionCopy, savepointRows } from './refuseInPlace.ts'
import type { PostgresTarget } from './settings.ts'
import { fenceLostState, isConnectionLost, sqlstateOf } from './sqlstate.ts'
import { PostgresState } from './state.ts'
import { type TableBuffer, WriteRefused } from './tableBuffer.ts'
import { inTransactionNoteMembers, type TrackedRequest, TrackedTasks } from './tracking.ts'
import { inTransactionWrite, orderedBuffers } from './writeSet.ts'

/** Reads the catalog again for tables that have changed under the plan. @throws StoreError when they do not fit any more */
export type ReadCatalogAgain = (link: Link, buffers: readonly TableBuffer[]) => Promise<void>

/** What commits beside the rows. */
export interface Beside {
  readonly tracked: TrackedTasks
  readonly state: PostgresState
}

type Attempt =
  | { readonly kind: 'committed' | 'tried' | 'in doubt' }
  | { readonly kind: 'refused'; readonly refused: RowsRefused }

/** A column is not there (any more). */
const undefinedColumn = '42703'
const longestWaitMs = 2_000

/**
 * Commits a batch and moves the claim's version on.
 *
 * @throws RowsRefused, FenceLostError, UnavailableError, StoreError; nothing was committed then
 */
export async function commitBatch(
  connections: Connections,
  readCatalogAgain: ReadCatalogAgain,
  request: CommitRequest,
  beside: Beside = { tracked: new TrackedTasks(), state: new PostgresState(connections) },
): Promise<void> {
  const { task } = request.claim
  const doing = `committing a batch of stream "${task.stream}", partition ${task.partition}`
  const attempt = await connections.use(doing, (link) =>
    attemptCommit(link, readCatalogAgain, request, connections.target, beside),
  )
  if (attempt.kind === 'refused') throw attempt.refused
  if (attempt.kind === 'tried') return
  if (attempt.kind === 'in doubt') await settleDoubt(connections, request.claim, doing)
  request.claim.version += 1
}

async function attemptCommit(
  link: Link,
  readCatalogAgain: ReadCatalogAgain,
  given: CommitRequest,
  { maxKeptValueBytes }: PostgresTarget,
  { tracked, state }: Beside,
): Promise<Attempt> {
  const buffers = orderedBuffers(given)
  let request: TrackedRequest = { ...given, tracking: await tracked.trackingOf(link, given, buffers) }
  let hasReadAgain = false
  for (;;) {
    const inPlace = inPlaceBuffer(request, buffers)
    await begin(link, request, inPlace === undefined ? '' : `; ${savepointRows}`)
    try {
      await state.inTransactionWrite(link, request.claim.task, request.state ?? [])
      if (inPlace === undefined) {
        await inTransactionWrite(link, buffers, {
          asAppended: request.allInOrder,
          position: (owner) => request.position(owner),
          order: request.order,
          tracking: request.tracking,
        })
      } else {
        const changed = await inTransactionCopy(link, inPlace, request)
        if (changed !== undefined) request = { ...request, ...changed, allInOrder: false }
        if (request.tracking !== undefined) {
          await inTransactionNoteMembers(link, request.tracking, (owner) => request.position(owner))
        }
      }
      const { collected, settled } = await inTransactionMatchCollected(link, request)
      const { app, stream, partition } = request.claim.task
      const counted = request.budget === given.budget ? undefined : { budget: request.budget, stream, partition }
      await inTransactionCollect(link, app, collected, maxKeptValueBytes, counted)
      await inTransactionSettle(link, settled, maxKeptValueBytes)
      if (request.emits !== undefined) await inTransactionEmit(link, request.claim.task, request.emits)
    } catch (error) {
      await link.rollback()
      if (error instanceof RowsRefused) return { kind: 'refused', refused: error }
      if (!(error instanceof WriteRefused)) throw error
      if (error.again) continue
      if (sqlstateOf(error.cause) === undefinedColumn && !hasReadAgain) {
        await readCatalogAgain(link, buffers)
        hasReadAgain = true
        continue
      }
      if (!isRefusal(error)) throw error.cause
      const refused = surelyGuilty(request, buffers, error)
      if (refused !== undefined) return { kind: 'refused', refused }
      return findGuilty(link, request, buffers, error)
    }
    return request.isTrial ? endTrial(link, request, buffers) : sendCommit(link, request, buffers)
  }
}

async function begin(link: Link, request: CommitRequest, behind = ''): Promise<void> {
  try {
    await link.begin(`${beginFenced(request)}${behind}`)
  } catch (error) {
    await link.rollback()
    throw sqlstateOf(error) === fenceLostState ? await fenceLost(link, request.claim, error) : error
  }
}

async function sendCommit(link: Link, request: TrackedRequest, buffers: readonly TableBuffer[]): Promise<Attempt> {
  let command: string
  try {
    command = await link.commit()
  } catch (error) {
    if (isConnectionLost(error)) return { kind: 'in doubt' }
    await link.rollback()
    // Deferred constraints are looked at only now.
    if (!isRefusal(error)) throw error
    return findGuilty(link, request, buffers, error)
  }
  if (command === 'COMMIT') return { kind: 'committed' }
  throw new InternalError('MR-INTERNAL-COMMIT', {
    what: `COMMIT was answered with ${command}: an error inside the transaction went unnoticed`,
    fix: 'Nothing was committed. This is a defect in millrace: please report it.',
  })
}

/** Takes everything back, when also what Postgres looks at only at COMMIT would be accepted. */
async function endTrial(link: Link, request: TrackedRequest, buffers: readonly TableBuffer[]): Promise<Attempt> {
  try {
    await link.query('set constraints all immediate')
  } catch (error) {
    await link.rollback()
    if (!isRefusal(error)) throw error
    return findGuilty(link, request, buffers, error)
  }
  await link.rollback()
  return { kind: 'tried' }
}

async function findGuilty(
  link: Link,
  request: TrackedRequest,
  buffers: readonly TableBuffer[],
  refusal: unknown,
): Promise<Attempt> {
  await begin(link, request)
  try {
    return { kind: 'refused', refused: await inTransactionFindGuilty(link, request, buffers, refusal) }
  } catch (error) {
    throw causeOf(error)
  } finally {
    await link.rollback()
  }
}

/** Returns when the transaction has been committed; throws when it was not. Asks until there is an answer. */
async function settleDoubt(connections: Connections, claim: Claim, doing: string): Promise<void> {
  const found = await askInDoubt(connections, claim, doing)
  if (found === 'taken over') throw await connections.use(doing, (link) => fenceLost(link, claim, undefined))
  if (found === 'rolled back') {
    throw new UnavailableError('MR-PG-LOST', {
      what: `the connection to Postgres at ${connections.target.name} was lost while ${doing}`,
      why: 'It was lost at COMMIT; looked into on a new connection, the transaction was rolled back.',
      fix: 'Nothing of it was committed; it is tried again.',
    })
  }
}

async function askInDoubt(connections: Connections, claim: Claim, doing: string): Promise<InDoubt> {
  for (let waitMs = 50; ; waitMs = Math.min(waitMs * 2, longestWaitMs)) {
    try {
      return await connections.use(`${doing}: looking into a COMMIT that was not answered`, async (link) => {
        await link.begin('begin')
        const found = await lookInDoubt(link, claim)
        await link.rollback()
        return found
      })
    } catch (error) {
      if (connections.closing.aborted || !(error instanceof UnavailableError)) throw stillInDoubt(doing, error)
      connections.target.logger.warn(
        { err: messageOf(error) },
        `${doing}: COMMIT was not answered, and cannot be looked into yet`,
      )
    }
    await sleep(connections.clock, waitMs, connections.closing)
  }
}

function stillInDoubt(doing: string, cause: unknown): StoreError {
  return new StoreError('MR-PG-IN-DOUBT', {
    what: `Postgres did not answer COMMIT while ${doing}, and cannot be asked what became of it`,
    why: messageOf(cause),
    fix: 'Start again when Postgres can be reached: progress tells what was committed, and nothing is lost or doubled.',
    cause,
  })
}

async function fenceLost(link: Link, claim: Claim, cause: unknown): Promise<FenceLostError> {
  const { task, version } = claim
  if (await isReleased(link, claim)) {
    return new FenceReleasedError('MR-FENCE-RELEASED', {
      what: `partition ${task.partition} of stream "${task.stream}" of app "${task.app}" was taken away from its owner`,
      why: `"millrace reparse --shadow" has put other tables in the place of those that this owner knows.`,
      fix: 'Nothing of this batch was committed; the partition is claimed again at once.',
      cause,
    })
  }
  return new FenceLostError('MR-FENCE-LOST', {
    what: `another owner has taken over partition ${task.partition} of stream "${task.stream}" of app "${task.app}"`,
    why: `Progress is not at version ${version} of this owner any more. A rebalance, a second service of the same group, or "millrace progress set" does that.`,
    fix: 'Nothing of this batch was committed; the new owner does the work.',
    cause,
  })
}
