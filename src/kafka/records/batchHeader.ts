/** The header of a record batch (format v2, "magic 2"): 61 bytes that say what follows. */
import { MalformedRecords, RecordFormatTooOld } from './malformed.ts'

/** What is needed of a batch's header. Positions are bytes in the fetched records. */
export interface BatchHeader {
  readonly start: number
  readonly recordsStart: number
  readonly end: number
  readonly baseOffset: number
  /** The offset of the last record that the batch was written with; compaction may have removed it. */
  readonly lastOffset: number
  /** 0 none, 1 gzip, 2 snappy, 3 lz4, 4 zstd. */
  readonly compression: number
  readonly transactional: boolean
  /** A control batch holds a transaction marker, no records. */
  readonly control: boolean
  /** What the records' timestamps are relative to. */
  readonly baseTimestamp: number
  /** The time that the broker gave to all records, where it does that (LogAppendTime). */
  readonly appendTimestamp: number | undefined
  readonly producerId: bigint
  readonly count: number
}

/** Offset and length come before what the length counts. */
const LENGTH_AT = 8
const PREFIX_BYTES = 12
const MAGIC_AT = 16
const HEADER_BYTES = 61

/**
 * The header at byte `at`, or undefined where the answer ends before the batch does, which is how brokers fill a fetch.
 */
export function readBatchHeader(bytes: Buffer, at: number): BatchHeader | undefined {
  if (at + PREFIX_BYTES > bytes.length) return undefined
  const length = bytes.readInt32BE(at + LENGTH_AT)
  if (length < 0) throw new MalformedRecords(`a batch has the length ${length}`, at)
  const end = at + PREFIX_BYTES + length
  if (end > bytes.length) return undefined
  // The magic byte sits at the same place in every format, also in the message sets of old, which are shorter.
  const magic = end > at + MAGIC_AT ? bytes.readInt8(at + MAGIC_AT) : -1
  if (magic === 0 || magic === 1) throw new RecordFormatTooOld(magic)
  if (magic !== 2) throw new MalformedRecords(`a batch has the format ${magic}`, at)
  if (end < at + HEADER_BYTES) throw new MalformedRecords(`a batch has the length ${length}`, at)
  return parse(bytes, at, end)
}

function parse(bytes: Buffer, at: number, end: number): BatchHeader {
  const attributes = bytes.readInt16BE(at + 21)
  const lastOffsetDelta = bytes.readInt32BE(at + 23)
  const baseOffset = Number(bytes.readBigInt64BE(at))
  const lastOffset = baseOffset + lastOffsetDelta
  const count = bytes.readInt32BE(at + 57)
  if (lastOffsetDelta < 0) throw new MalformedRecords(`a batch has the last offset delta ${lastOffsetDelta}`, at)
  if (baseOffset < 0 || !Number.isSafeInteger(lastOffset + 1)) {
    throw new MalformedRecords(
      `a batch has the base offset ${bytes.readBigInt64BE(at)}; offsets from 0 to 2^53 - 2 can be read`,
      at,
    )
  }
  if (count < 0) throw new MalformedRecords(`a batch has ${count} records`, at)
  return {
    start: at,
    recordsStart: at + HEADER_BYTES,
    end,
    baseOffset,
    lastOffset,
    compression: attributes & 7,
    transactional: (attributes & 0x10) !== 0,
    control: (attributes & 0x20) !== 0,
    baseTimestamp: Number(bytes.readBigInt64BE(at + 27)),
    appendTimestamp: attributes & 8 ? Number(bytes.readBigInt64BE(at + 35)) : undefined,
    producerId: bytes.readBigInt64BE(at + 43),
    count,
  }
}
