/** Writes record batches byte by byte, right or wrong, and reads chunks back into plain values. */
import type { RecordChunk } from '../../../src/core/record.ts'
import { type DecodeOptions, decodeFetch } from '../../../src/kafka/records/decodeFetch.ts'
import type { FetchedRecords } from '../../../src/kafka/records/surveyBatches.ts'

export interface RecordToWrite {
  readonly offsetDelta: number
  readonly timestampDelta?: number
  readonly key?: Buffer | null
  readonly value?: Buffer | null
  readonly headers?: readonly { key: string; value: Buffer | null }[]
}

export interface BatchToWrite {
  readonly baseOffset: number | bigint
  readonly records: readonly RecordToWrite[]
  readonly lastOffsetDelta?: number
  readonly attributes?: number
  readonly baseTimestamp?: number
  readonly maxTimestamp?: number
  readonly producerId?: bigint
  /** Instead of the number of records. */
  readonly count?: number
  /** What stands for the records' bytes; with the compression's number in `attributes`. */
  readonly pack?: (body: Buffer) => Buffer
}

export const LOG_APPEND_TIME = 8
export const TRANSACTIONAL = 16
export const CONTROL = 32

export function writeBatch(batch: BatchToWrite): Buffer {
  const { records } = batch
  const plain = Buffer.concat(records.map(writeRecord))
  const body = batch.pack === undefined ? plain : batch.pack(plain)
  const bytes = Buffer.alloc(61 + body.length)
  bytes.writeBigInt64BE(BigInt(batch.baseOffset), 0)
  bytes.writeInt32BE(49 + body.length, 8)
  bytes.writeInt8(2, 16)
  bytes.writeInt16BE(batch.attributes ?? 0, 21)
  bytes.writeInt32BE(batch.lastOffsetDelta ?? records.at(-1)?.offsetDelta ?? 0, 23)
  bytes.writeBigInt64BE(BigInt(batch.baseTimestamp ?? 0), 27)
  bytes.writeBigInt64BE(BigInt(batch.maxTimestamp ?? 0), 35)
  bytes.writeBigInt64BE(batch.producerId ?? -1n, 43)
  bytes.writeInt32BE(batch.count ?? records.length, 57)
  body.copy(bytes, 61)
  return bytes
}

/** A transaction marker as brokers write it. */
export function writeMarker(offset: number, producerId: bigint, type: 'abort' | 'commit'): Buffer {
  const key = Buffer.from([0, 0, 0, type === 'abort' ? 0 : 1])
  return writeBatch({
    baseOffset: offset,
    records: [{ offsetDelta: 0, key, value: Buffer.alloc(6) }],
    attributes: TRANSACTIONAL | CONTROL,
    producerId,
  })
}

export function writeRecord({
  offsetDelta,
  timestampDelta = 0,
  key = null,
  value = null,
  headers = [],
}: RecordToWrite): Buffer {
  const body = Buffer.concat([
    Buffer.from([0]),
    varint(timestampDelta),
    varint(offsetDelta),
    sized(key),
    sized(value),
    varint(headers.length),
    ...headers.flatMap((header) => [sized(Buffer.from(header.key)), sized(header.value)]),
  ])
  return Buffer.concat([varint(body.length), body])
}

function sized(bytes: Buffer | null): Buffer {
  return bytes === null ? varint(-1) : Buffer.concat([varint(bytes.length), bytes])
}

/** A zigzag varint of any size. */
export function varint(value: number): Buffer {
  let rest = value < 0 ? -2n * BigInt(value) - 1n : 2n * BigInt(value)
  const bytes: number[] = []
  for (; rest > 127n; rest >>= 7n) bytes.push(Number(rest & 127n) | 128)
  bytes.push(Number(rest))
  return Buffer.from(bytes)
}

/** A record as plain values, for comparing. */
export interface PlainRecord {
  readonly offset: number
  readonly timestamp: number
  readonly key: string | null
  readonly value: string | null
  readonly headers: readonly (readonly [string, string | null])[]
}

const base64 = (bytes: Buffer | null): string | null => (bytes === null ? null : bytes.toString('base64'))

export function plainRecords(chunk: RecordChunk): PlainRecord[] {
  return Array.from({ length: chunk.size }, (_, i) => plainRecord(chunk, i))
}

export function plainRecord(chunk: RecordChunk, i: number): PlainRecord {
  return {
    offset: chunk.offset(i),
    timestamp: chunk.timestamp(i),
    key: base64(chunk.key(i)),
    value: base64(chunk.value(i)),
    headers: chunk.headers(i).map(({ key, value }) => [key, base64(value)] as const),
  }
}

export function fetched(records: Buffer, more: Partial<FetchedRecords> = {}): FetchedRecords {
  return { topic: 'flights', partition: 3, fetchedOffset: 0, endOffset: 1_000_000, aborted: [], records, ...more }
}

/** All chunks of a fetch, and what was thrown behind them. */
export async function decodeAll(
  fetch: FetchedRecords,
  options?: DecodeOptions,
): Promise<{ chunks: RecordChunk[]; records: PlainRecord[]; thrown: unknown }> {
  const chunks: RecordChunk[] = []
  let thrown: unknown
  try {
    for await (const chunk of decodeFetch(fetch, options)) chunks.push(chunk)
  } catch (error) {
    thrown = error
  }
  return { chunks, records: chunks.flatMap(plainRecords), thrown }
}
