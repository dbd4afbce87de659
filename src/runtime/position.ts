/** Where a batch ends in its partition, and how its last record is recognised later. */
import { createHash } from 'node:crypto'
import type { RecordChunk } from '../core/record.ts'
import type { SourceProgress } from '../core/store.ts'
import type { Batch } from './batch.ts'

/** The progress that commits with a batch: the positions after its last items, or after the control records behind them. */
export function progressAfter(batch: Batch, before: readonly SourceProgress[]): readonly SourceProgress[] {
  const { taken } = batch
  let progress = before
  for (const chunk of batch.chunks) {
    const count = Math.min(chunk.size, taken - chunk.base)
    if (count < 0) break
    const end = chunk.first + count
    progress = chunk.input.progressAt(end, chunk.first, progress)
    if (end < chunk.input.size) break
  }
  return progress
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
