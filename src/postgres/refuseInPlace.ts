/**
 * Rows that COPY refuses fall one after the other while the transaction stands: what comes before them is written already, and only the
 * rest is written again. Starting anew for each would cost a transaction and all rows above it.
 *
 * Only where the line that COPY names is guilty for sure, and where nothing but its own rows goes with it.
 */
import type { AfterRefusal, CommitRequest } from '../core/store.ts'
import type { Link } from './connections.ts'
import { CopyBuffer, type SelectedRows } from './copyBuffer.ts'
import { surelyGuilty } from './guilt.ts'
import type { Selection, TableBuffer } from './tableBuffer.ts'
import type { TrackedRequest } from './tracking.ts'

/** The fence of a batch for which this may be done ends with it. */
export const savepointRows = 'savepoint rows'

/** Where rows were refused they are written so many at a time: what comes before is safe, and what comes behind was not sent for nothing. */
const pieceRows = 12_288

/** The buffer of a batch whose refused rows may fall in place. */
export function inPlaceBuffer(request: CommitRequest, buffers: readonly TableBuffer[]): CopyBuffer | undefined {
  const [only] = buffers
  const { refuse, order, again, isTrial, watermarks } = request
  // With state, and with how far event time has come, an item that falls leaves traces which have been written before its rows.
  if (refuse === undefined || order !== undefined || again === true || isTrial === true || watermarks !== undefined)
    return undefined
  if (buffers.length !== 1 || !(only instanceof CopyBuffer) || !only.isOneCopy || only.trail !== undefined)
    return undefined
  const { table } = only.bound
  return table.hasTriggers || table.foreignKeys.length > 0 || table.uniques.length > 0 ? undefined : only
}

/**
 * Writes the rows behind the savepoint.
 *
 * @returns what has changed of the request, when items fell
 * @throws RowsRefused when the batch has to be closed anew; WriteRefused
 */
export async function inTransactionCopy(
  link: Link,
  buffer: CopyBuffer,
  request: TrackedRequest,
): Promise<AfterRefusal | undefined> {
  const selection: Selection = {
    asAppended: request.allInOrder,
    position: (owner) => request.position(owner),
    tracking: request.tracking,
  }
  if (!buffer.wasRefused) {
    try {
      await buffer.inTransactionFlush(link, selection)
      return undefined
    } catch (error) {
      const changed = await inTransactionRefuse(link, buffer, request, error)
      const rows = buffer.selected(selection).without(changed.owner)
      return { ...changed.after, ...(await inTransactionCopyPieces(link, buffer, request, rows)) }
    }
  }
  buffer.wasRefused = false
  return inTransactionCopyPieces(link, buffer, request, buffer.selected(selection))
}

async function inTransactionCopyPieces(
  link: Link,
  buffer: CopyBuffer,
  request: TrackedRequest,
  selected: SelectedRows,
): Promise<AfterRefusal | undefined> {
  let rows = selected
  let saved = 0
  let changed: AfterRefusal | undefined
  while (saved < rows.length) {
    let to = Math.min(saved + pieceRows, rows.length)
    // All rows of an item fall with it.
    while (to < rows.length && rows.ownerOf(to) === rows.ownerOf(to - 1)) to += 1
    try {
      await rows.copy(link, saved, to)
      saved = to
    } catch (error) {
      const { after, owner } = await inTransactionRefuse(link, buffer, request, error)
      changed = after
      rows = rows.without(owner)
      continue
    }
    if (saved < rows.length) await link.query(savepointRows)
  }
  return changed
}

/** Lets who is guilty fall, and goes back to the savepoint. */
async function inTransactionRefuse(
  link: Link,
  buffer: CopyBuffer,
  request: TrackedRequest,
  error: unknown,
): Promise<{ readonly after: AfterRefusal; readonly owner: number }> {
  const guilty = surelyGuilty(request, [buffer], error)
  if (guilty === undefined) throw error
  buffer.wasRefused = true
  const after = request.refuse?.(guilty)
  if (after === undefined) throw guilty
  await link.query('rollback to savepoint rows')
  return { after, owner: guilty.owner }
}
