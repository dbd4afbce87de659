import { InternalError } from '../core/errors.ts'
import type { RowBuffer } from '../core/sink.ts'
import type { CommitRequest } from '../core/store.ts'
import { inTransactionWriteAgain } from './again.ts'
import { inForeignKeyOrder } from './catalog.ts'
import type { Link } from './connections.ts'
import { inTransactionContribute } from './contributions.ts'
import { CopyBuffer } from './copyBuffer.ts'
import { inTransactionCheckParents } from './lateParents.ts'
import type { Selection, TableBuffer } from './tableBuffer.ts'
import { inTransactionNoteMembers } from './tracking.ts'
import { UpsertBuffer } from './upsertBuffer.ts'

/** The buffers of a batch that hold rows, in the order in which they are written: tables in foreign-key order, then by name. */
export function orderedBuffers(request: CommitRequest): readonly TableBuffer[] {
  const buffers = request.buffers.map(ofOurs).filter(({ length }) => length > 0)
  return inForeignKeyOrder(
    buffers.map((buffer) => ({ name: buffer.bound.name, table: buffer.bound.table, buffer })),
  ).map(({ buffer }) => buffer)
}

/** Writes the selected rows of all buffers. @throws WriteRefused */
export async function inTransactionWrite(
  link: Link,
  buffers: readonly TableBuffer[],
  selection: Selection,
): Promise<void> {
  const { tracking } = selection
  if (tracking === undefined) return inTransactionAdd(link, buffers, selection)
  if (tracking.tasks === undefined) await inTransactionAdd(link, buffers, selection)
  else await inTransactionWriteAgain(link, buffers, selection, tracking)
  await inTransactionNoteMembers(link, tracking, selection.position)
}

async function inTransactionAdd(link: Link, buffers: readonly TableBuffer[], selection: Selection): Promise<void> {
  const { tracking } = selection
  await inTransactionCheckParents(link, buffers, selection)
  for (const buffer of buffers) {
    await buffer.inTransactionFlush(link, selection)
    const isKept = tracking !== undefined && buffer.bound.tracked !== undefined && buffer instanceof UpsertBuffer
    if (isKept) await inTransactionContribute(link, buffer.bound, buffer.givenRows(selection), tracking)
  }
}

function ofOurs(buffer: RowBuffer): TableBuffer {
  if (buffer instanceof CopyBuffer || buffer instanceof UpsertBuffer) return buffer
  throw new InternalError('MR-INTERNAL-BUFFER', {
    what: `the buffer of table "${buffer.sink.name}" was not made by this store`,
    fix: 'This is a defect in millrace: please report it.',
  })
}
