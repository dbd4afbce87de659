/** Where a batch ends in its partition, and how its last record is recognised later. */
import { createHash } from 'node:crypto'
import type { RecordChunk } from '../core/record.ts'
import type { SourceProgress } from '../core/store.ts'
import type { Batch } from './batch.ts'

/** The progress that commits with a batch: the position after its last item, or after the control records behind it. */
export function progressAfter(batch: Batch, before: SourceProgress): SourceProgress {
  const { taken } = batch
  let { nextOffset, fingerprint } = before
  for (const chunk of batch.chunks) {
    const { records } = chunk.input
    const count = Math.min(chunk.size, taken - chunk.base)
    const end = chunk.first + Math.max(0, count)
    if (count > 0) fingerprint = fingerprintOf(records, end - 1)
    if (end < records.size) {
      if (count > 0 || chunk.base === taken) nextOffset = records.offset(end)
      break
    }
    nextOffset = records.nextOffset
  }
  return { source: before.source, nextOffset, fingerprint }
}

/** `offset:timestamp:hash of the value`: two records of the same offset differ in it unless they are the same record. */
export function fingerprintOf(records: RecordChunk, index: number): string {
  const value = records.value(index)
  const hash = value === null ? 'null' : createHash('sha1').update(value).digest('base64url').slice(0, 12)
  return `${records.offset(index)}:${records.timestamp(index)}:${hash}`
}

/** The offset that a fingerprint was taken at. */
export function fingerprintOffset(fingerprint: string): number {
  return Number.parseInt(fingerprint, 10)
}
