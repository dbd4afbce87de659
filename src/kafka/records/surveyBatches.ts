/** The first look at fetched bytes: batch headers only, and which batches are for nobody to see. */
import type { SourceError } from '../../core/errors.ts'
import { decompressorOf } from '../compression/decompressors.ts'
import { type AbortedTransaction, AbortFilter } from './abortedTransactions.ts'
import { type BatchHeader, readBatchHeader } from './batchHeader.ts'
import { batchError, MalformedRecords } from './malformed.ts'
import { type BatchBody, checkCount, createRecordIndex, indexRecords, keyOf } from './recordIndex.ts'

/** What a fetch brought for one partition. */
export interface FetchedRecords {
  readonly topic: string
  readonly partition: number
  /** The offset that was asked for; batches may begin before it. */
  readonly fetchedOffset: number
  /** The end of the log, as the answer gave it. */
  readonly endOffset: number
  /** The transactions that the answer lists as aborted, in any order; empty when uncommitted records are wanted. */
  readonly aborted: readonly AbortedTransaction[]
  /** Record batches one after the other; a cut-off one at the end is ignored. */
  readonly records: Buffer
}

export interface SurveyedBatch {
  readonly header: BatchHeader
  /**
   * False where there is nothing to hand over: control batches, aborted transactions, what lies before the fetched
   * offset.
   */
  readonly delivered: boolean
  /** Bytes that unpacking gives at most, as the batch declares; 0 where nothing is to be unpacked, else at least 1. */
  readonly sizeBound: number
}

export interface Survey {
  readonly batches: readonly SurveyedBatch[]
  /** Why the survey ended before the bytes did. */
  readonly failure: SourceError | undefined
}

/** Surveys every whole batch, up to the first that is not one. */
export function surveyBatches(fetch: FetchedRecords): Survey {
  const filter = new AbortFilter(fetch.aborted)
  const batches: SurveyedBatch[] = []
  let at = 0
  let offset = 0
  try {
    for (;;) {
      const header = readBatchHeader(fetch.records, at)
      if (header === undefined) return { batches, failure: undefined }
      if (header.baseOffset < offset) {
        throw new MalformedRecords(
          `a batch begins at offset ${header.baseOffset}, behind one that ends at ${offset - 1}`,
          at,
        )
      }
      batches.push(surveyBatch(fetch, header, filter))
      at = header.end
      offset = header.lastOffset + 1
    }
  } catch (thrown) {
    const place = { topic: fetch.topic, partition: fetch.partition, offset: Math.max(offset, fetch.fetchedOffset) }
    return { batches, failure: batchError(thrown, { place }) }
  }
}

/** The records of an uncompressed batch, where they were fetched. */
export function plainBody(records: Buffer, { recordsStart, end }: BatchHeader): BatchBody {
  return { buffer: records, start: recordsStart, end }
}

function surveyBatch(fetch: FetchedRecords, header: BatchHeader, filter: AbortFilter): SurveyedBatch {
  if (header.control) {
    if (isAbortMarker(fetch.records, header)) filter.close(header)
    return { header, delivered: false, sizeBound: 0 }
  }
  const aborted = filter.covers(header)
  const delivered = !aborted && header.count > 0 && header.lastOffset >= fetch.fetchedOffset
  return { header, delivered, sizeBound: delivered ? declaredSize(fetch.records, header) : 0 }
}

/**
 * A control record's key is a version and a type, 0 for abort. The same bytes as an ordinary record's key say nothing.
 */
function isAbortMarker(records: Buffer, header: BatchHeader): boolean {
  if (header.count === 0) return false
  if (header.compression !== 0) throw new MalformedRecords('a control batch is compressed', header.start)
  const body = plainBody(records, header)
  checkCount(header, body)
  const index = createRecordIndex(header.count)
  indexRecords(index, header, body, 0)
  const key = keyOf(records, index.positions[0] ?? 0)
  if (key === null || key.length < 4) throw new MalformedRecords('a control record has no type', header.start)
  return key.readInt16BE(2) === 0
}

function declaredSize(records: Buffer, header: BatchHeader): number {
  if (header.compression === 0) return 0
  try {
    return Math.max(
      1,
      decompressorOf(header.compression)?.sizeBound(records.subarray(header.recordsStart, header.end)) ?? 1,
    )
  } catch {
    // Unpacking it will say what is wrong, in its turn.
    return 1
  }
}
