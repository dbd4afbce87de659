/**
 * From the bytes of a fetch to chunks of records: batches are surveyed by their headers, compressed ones are unpacked
 * in waves on the thread pool, and their records are indexed where they are.
 *
 * The CRC of a batch is not checked, as kafkajs does not check it: without hardware support it takes 130 ns for a
 * record of 190 bytes, several times what indexing takes. Damage that changes the structure is found all the same.
 */
import type { SourceError } from '../../core/errors.ts'
import type { RecordChunk } from '../../core/record.ts'
import { OutputTooLarge } from '../compression/decompressor.ts'
import { decompressorOf } from '../compression/decompressors.ts'
import type { BatchHeader } from './batchHeader.ts'
import { FetchedChunk, type Segment } from './fetchedChunk.ts'
import { batchError, MalformedRecords } from './malformed.ts'
import { type BatchBody, checkCount, createRecordIndex, indexBytes, indexRecords } from './recordIndex.ts'
import { type FetchedRecords, plainBody, type SurveyedBatch, surveyBatches } from './surveyBatches.ts'

export interface DecodeOptions {
  /**
   * Most bytes that the compressed batches of a chunk take once unpacked: a batch that takes more alone is refused,
   * several are spread over several chunks. Default 64 MiB.
   */
  readonly maxUnpackedBytes?: number
}

export const DEFAULT_MAX_UNPACKED_BYTES = 64 * 1024 * 1024

/**
 * Decodes a fetch into chunks, most often one. Each begins where the last one ended; together they cover every whole
 * batch. A fetch without a whole batch, or with nothing at or behind the fetched offset, gives none.
 *
 * @throws SourceError at the batch that cannot be read, after the chunks before it: MR-KAFKA-BATCH-MALFORMED,
 * MR-KAFKA-BATCH-FORMAT, MR-KAFKA-BATCH-SIZE, MR-KAFKA-CODEC
 */
export async function* decodeFetch(
  fetch: FetchedRecords,
  { maxUnpackedBytes = DEFAULT_MAX_UNPACKED_BYTES }: DecodeOptions = {},
): AsyncGenerator<RecordChunk, void, undefined> {
  const survey = surveyBatches(fetch)
  let oneByOne = false
  let position = fetch.fetchedOffset
  for (let from = 0; from < survey.batches.length; ) {
    const wave = takeWave(survey.batches, from, oneByOne ? 0 : maxUnpackedBytes)
    const unpacked = await Promise.all(
      wave.map((batch) =>
        unpack(fetch.records, batch, oneByOne ? maxUnpackedBytes : Math.min(batch.sizeBound, maxUnpackedBytes)),
      ),
    )
    if (!oneByOne && unpacked.some(isTooLarge)) {
      // One gave more than it declared: from here on none is taken at its word, and only one is in memory at a time.
      oneByOne = true
      continue
    }
    const { chunk, failure } = buildChunk(fetch, position, wave, unpacked, maxUnpackedBytes)
    if (chunk.nextOffset > position) yield chunk
    if (failure !== undefined) throw failure
    position = chunk.nextOffset
    from += wave.length
  }
  if (survey.failure !== undefined) throw survey.failure
}

/** Batches from `from` on that declare `budget` bytes together; at least one. */
function takeWave(batches: readonly SurveyedBatch[], from: number, budget: number): readonly SurveyedBatch[] {
  let declared = 0
  let end = from
  for (const { sizeBound } of batches.slice(from)) {
    declared += sizeBound
    if (end > from && declared > budget) break
    end++
  }
  return batches.slice(from, end)
}

/** The records of a batch, or what was thrown over it; undefined where there are none to hand over. */
type Unpacked = BatchBody | { readonly thrown: unknown } | undefined

async function unpack(records: Buffer, { header, delivered }: SurveyedBatch, maxBytes: number): Promise<Unpacked> {
  if (!delivered) return undefined
  try {
    const body = header.compression === 0 ? plainBody(records, header) : await unpackBody(records, header, maxBytes)
    checkCount(header, body)
    return body
  } catch (thrown) {
    return { thrown }
  }
}

async function unpackBody(records: Buffer, header: BatchHeader, maxBytes: number): Promise<BatchBody> {
  const decompressor = decompressorOf(header.compression)
  if (decompressor === undefined) {
    throw new MalformedRecords(`its compression has the number ${header.compression}`, header.start)
  }
  const buffer = await decompressor.unpack(records.subarray(header.recordsStart, header.end), maxBytes)
  return { buffer, start: 0, end: buffer.length }
}

function isTooLarge(unpacked: Unpacked): boolean {
  return unpacked !== undefined && 'thrown' in unpacked && unpacked.thrown instanceof OutputTooLarge
}

/** A chunk of the batches in hand, up to the first that fails. */
function buildChunk(
  fetch: FetchedRecords,
  position: number,
  wave: readonly SurveyedBatch[],
  unpacked: readonly Unpacked[],
  maxUnpackedBytes: number,
): { chunk: FetchedChunk; failure: SourceError | undefined } {
  const index = createRecordIndex(
    wave.reduce((sum, { header }, i) => sum + (isBody(unpacked[i]) ? header.count : 0), 0),
  )
  const segments: Segment[] = []
  let failure: SourceError | undefined
  let nextOffset = position
  let byteSize = indexBytes(index)
  for (const [i, { header }] of wave.entries()) {
    const body = unpacked[i]
    try {
      if (body !== undefined && 'thrown' in body) throw body.thrown
      if (body !== undefined) {
        indexRecords(index, header, body, fetch.fetchedOffset)
        addSegment(segments, index.size, body.buffer)
        byteSize += body.end - body.start
      }
    } catch (thrown) {
      failure = batchFailure(thrown, fetch, header, position, maxUnpackedBytes)
      break
    }
    nextOffset = Math.max(nextOffset, header.lastOffset + 1)
  }
  const { topic, partition, endOffset } = fetch
  return { chunk: new FetchedChunk({ topic, partition, byteSize, nextOffset, endOffset, index, segments }), failure }
}

function isBody(unpacked: Unpacked): boolean {
  return unpacked !== undefined && !('thrown' in unpacked)
}

/** Uncompressed batches are neighbours in one buffer and need one segment together. */
function addSegment(segments: Segment[], end: number, buffer: Buffer): void {
  const last = segments.at(-1)
  if (end === (last?.end ?? 0)) return
  if (last?.buffer === buffer) segments.pop()
  segments.push({ end, buffer })
}

function batchFailure(
  thrown: unknown,
  { topic, partition }: FetchedRecords,
  header: BatchHeader,
  position: number,
  maxUnpackedBytes: number,
): SourceError {
  return batchError(thrown, {
    place: { topic, partition, offset: Math.max(header.baseOffset, position) },
    packed: {
      with: decompressorOf(header.compression)?.name ?? 'unknown',
      bytes: header.end - header.recordsStart,
      maxUnpackedBytes,
    },
  })
}
