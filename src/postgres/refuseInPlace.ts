/**
 * Rows that COPY refuses fall one after the other while the transaction stands: what comes before them is written already, and only the
 * rest is written again. Starting anew for each would cost a transaction and all rows above it.
 *
 * Only where the line that COPY names is guilty for sure, and where nothing but its own rows goes with it.
 */
import type { AfterRefusal, CommitRequest } from '../core/store.ts'
import type { Link } from './connections.ts'
import { CopyBuffer } from './copyBuffer.ts'
import { surelyGuilty } from './guilt.ts'
import type { Selection, TableBuffer } from './tableBuffer.ts'
import type { TrackedRequest } from './tracking.ts'

/** The fence of a batch for which this may be done ends with it. */
export const savepointRows = 'savepoint rows'

/** Good rows above a refused one from which on they are written for themselves, and never again: it costs two statements. */
const worthASavepoint = 8_192

/** The buffer of a batch whose refused rows may fall in place. */
export function inPlaceBuffer(request: CommitRequest, buffers: readonly TableBuffer[]): CopyBuffer | undefined {
  const [only] = buffers
  const { refuse, order, again, isTrial, state = [] } = request
  if (refuse === undefined || order !== undefined || again === true || isTrial === true || state.length > 0)
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
  let refusal: unknown
  try {
    await buffer.inTransactionFlush(link, selection)
    return undefined
  } catch (error) {
    refusal = error
  }
  let rows = buffer.selected(selection)
  let saved = 0
  for (;;) {
    const guilty = surelyGuilty(request, [buffer], refusal)
    if (guilty === undefined) throw refusal
    const changed = request.refuse?.(guilty)
    if (changed === undefined) throw guilty
    await link.query('rollback to savepoint rows')
    let good = saved
    while (good < rows.length && rows.ownerOf(good) !== guilty.owner) good += 1
    rows = rows.without(guilty.owner)
    if (good - saved >= worthASavepoint) {
      await rows.copy(link, saved, good)
      await link.query(savepointRows)
      saved = good
    }
    try {
      await rows.copy(link, saved, rows.length)
      return changed
    } catch (error) {
      refusal = error
    }
  }
}
