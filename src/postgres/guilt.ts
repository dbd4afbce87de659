/**
 * Who is to blame when the database refuses a batch: the first owner in offset order whose prefix is refused.
 *
 * Prefixes are tried inside one fenced transaction, each behind a savepoint that is rolled back to. What the database
 * said about a refusal is a hint where to look: COPY names a line. It is not more than that, because tables are written
 * one after the other, a CHECK is looked at before the unique index of the rows above it, and foreign keys after all rows.
 */
import pg from 'pg'
import { UnavailableError } from '../core/errors.ts'
import { type CommitRequest, RowsRefused } from '../core/store.ts'
import type { Link } from './connections.ts'
import { CopyBuffer } from './copyBuffer.ts'
import { isClash, reactionTo, sqlstateOf } from './sqlstate.ts'
import { type TableBuffer, WriteRefused } from './tableBuffer.ts'
import type { TrackedRequest } from './tracking.ts'
import { inTransactionWrite } from './writeSet.ts'

/** An owner with rows in the batch, by its place in offset order. */
interface Stop {
  readonly owner: number
  readonly position: number
}

/** A refusal that was seen. */
interface Refusal {
  readonly error: Error
  readonly sqlstate: string
  readonly table: string
  /** Index of the stop that the database named. */
  readonly hint: number | undefined
}

/** Whether rows were refused for what they hold; any other error is none of their fault. */
export function isRefusal(error: unknown): boolean {
  const state = sqlstateOf(causeOf(error))
  return state !== undefined && reactionTo(state) === 'collect'
}

/** The database's own error behind a failed write. */
export function causeOf(error: unknown): unknown {
  return error instanceof WriteRefused ? error.cause : error
}

/**
 * Finds the guilty owner. The caller has a fenced transaction open, and rolls it back afterwards.
 *
 * @param first what the batch as a whole was refused with
 * @throws UnavailableError when the batch is not refused any more, and the database's errors that blame nobody
 */
export async function inTransactionFindGuilty(
  link: Link,
  request: TrackedRequest,
  buffers: readonly TableBuffer[],
  first: unknown,
): Promise<RowsRefused> {
  const stops = stopsOf(request, buffers)
  let refusal = toRefusal(first, buffers, stops)
  // Prefixes up to `accepted` stops go through, that of `refused` stops does not. The first refusal was seen in
  // another transaction, so it is seen again before anybody is blamed for it.
  let accepted = 0
  let refused = stops.length
  let seen = false
  while (refused - accepted > 1 || !seen) {
    const probe = nextProbe(accepted, refused, seen, refusal.hint)
    const answer = await inTransactionTry(link, request, buffers, stops, probe)
    if (answer !== undefined) {
      refusal = answer
      refused = probe
      seen = true
      const line = lineIsLast(request, buffers, refusal)
      if (line !== undefined && line >= accepted) refused = Math.min(refused, line + 1)
    } else if (probe === refused) {
      throw noLongerRefused(refusal)
    } else accepted = probe
  }
  return blame(stops, refused - 1, refusal)
}

/**
 * The guilty owner where the database's word is enough, so that nothing has to be tried: one COPY into a table where nothing else is
 * looked at after the line that it named. Errors of content are found line by line; a unique index only where it was the one
 * that refused, since lines above may not have reached it yet.
 */
export function surelyGuilty(
  { order, again }: Pick<CommitRequest, 'order' | 'again'>,
  buffers: readonly TableBuffer[],
  thrown: unknown,
): RowsRefused | undefined {
  if (!(thrown instanceof WriteRefused) || thrown.owner === undefined || !isRefusal(thrown)) return undefined
  if (order !== undefined || again === true || !isOneCopy(buffers)) return undefined
  const { table } = thrown.bound
  if (table.hasTriggers || table.foreignKeys.length > 0) return undefined
  if (table.uniques.some(({ deferrable }) => deferrable)) return undefined
  const exclusions = table.constraints.filter(({ kind }) => kind === 'exclusion')
  if (exclusions.some(({ deferrable }) => deferrable)) return undefined
  const sqlstate = sqlstateOf(thrown.cause) ?? ''
  const hasIndexes = table.uniques.length > 0 || exclusions.length > 0
  if (hasIndexes && !isClash(sqlstate)) return undefined
  const cause = thrown.cause instanceof Error ? thrown.cause : new Error(String(thrown.cause))
  return new RowsRefused({ owner: thrown.owner, table: thrown.bound.name, sqlstate, clash: isClash(sqlstate), cause })
}

function isOneCopy([only, ...others]: readonly TableBuffer[]): boolean {
  return others.length === 0 && only instanceof CopyBuffer && only.isOneCopy
}

function stopsOf(request: TrackedRequest, buffers: readonly TableBuffer[]): readonly Stop[] {
  const positions = new Map<number, number>()
  const add = (owner: number) => {
    if (positions.has(owner)) return
    const position = request.position(owner)
    if (position !== undefined) positions.set(owner, position)
  }
  for (const buffer of buffers) buffer.eachOwner(add)
  // One that makes no rows any more may be refused, too: others point to those that it has made.
  if (request.again) for (const { owner } of request.origins?.standing() ?? []) add(owner)
  // A group stands where its last member does, and behind it: what is refused of the member alone is not the group's fault.
  return Array.from(positions, ([owner, position]) => ({ owner, position })).sort(
    (a, b) => a.position - b.position || b.owner - a.owner,
  )
}

// The hint first: whether everything before it goes through, then whether it itself does not. Else the middle.
function nextProbe(accepted: number, refused: number, seen: boolean, hint: number | undefined): number {
  if (hint !== undefined && hint < refused) {
    if (hint > accepted) return hint
    if (hint === accepted && hint + 1 < refused) return hint + 1
  }
  return refused - accepted === 1 && !seen ? refused : Math.ceil((accepted + refused) / 2)
}

/** Whether a prefix is refused; undefined when it goes through. Leaves the transaction as it was. */
async function inTransactionTry(
  link: Link,
  request: TrackedRequest,
  buffers: readonly TableBuffer[],
  stops: readonly Stop[],
  count: number,
): Promise<Refusal | undefined> {
  const tried = new Map(stops.slice(0, count).map(({ owner, position }) => [owner, position]))
  const selection = {
    asAppended: false,
    position: (owner: number) => tried.get(owner),
    order: request.order,
    tracking: request.tracking,
  }
  await link.query('savepoint probe')
  try {
    await inTransactionWrite(link, buffers, selection)
    // What is put off until COMMIT is asked for now. Only behind the rows: constraints in a circle hold at the end alone.
    await link.query('set constraints all immediate')
    await link.query('rollback to savepoint probe')
    return undefined
  } catch (error) {
    const learnt = error instanceof WriteRefused && error.again
    if (!learnt && !isRefusal(error)) throw causeOf(error)
    await link.query('rollback to savepoint probe')
    return learnt ? inTransactionTry(link, request, buffers, stops, count) : toRefusal(error, buffers, stops)
  }
}

function toRefusal(thrown: unknown, buffers: readonly TableBuffer[], stops: readonly Stop[]): Refusal {
  const cause = causeOf(thrown)
  const error = cause instanceof Error ? cause : new Error(String(cause))
  const tableSaid = cause instanceof pg.DatabaseError ? cause.table : undefined
  const bound =
    thrown instanceof WriteRefused
      ? thrown.bound
      : buffers.find((buffer) => buffer.bound.table.bareName === tableSaid)?.bound
  const owner = thrown instanceof WriteRefused ? thrown.owner : undefined
  const hint = owner === undefined ? -1 : stops.findIndex((stop) => stop.owner === owner)
  return {
    error,
    sqlstate: sqlstateOf(cause) ?? '',
    table: bound?.name ?? tableSaid ?? '',
    hint: hint === -1 ? undefined : hint,
  }
}

/** Of a batch that is one COPY in offset order, a named line is refused for sure: what comes behind it was not even looked at. */
function lineIsLast({ order }: TrackedRequest, buffers: readonly TableBuffer[], { hint }: Refusal): number | undefined {
  return order === undefined && isOneCopy(buffers) ? hint : undefined
}

function blame(stops: readonly Stop[], index: number, { error, sqlstate, table }: Refusal): RowsRefused {
  const owner = stops[index]?.owner ?? 0
  return new RowsRefused({ owner, table, sqlstate, clash: isClash(sqlstate), cause: error })
}

function noLongerRefused({ error, sqlstate, table }: Refusal): UnavailableError {
  return new UnavailableError('MR-PG-CHANGED', {
    what: `rows for table "${table}" were refused (${sqlstate}), and accepted when they were looked into`,
    why: `Another transaction has changed what they clashed with: ${error.message}`,
    fix: 'Nothing of the batch was committed; it is tried again.',
    cause: error,
  })
}
