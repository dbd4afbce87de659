/**
 * Where the records of a chunk are: the one loop that touches every record on its way in.
 *
 * A record is `length, attributes, timestampDelta, offsetDelta, key, value, headers`, its numbers zigzag varints. The
 * loop checks everything but the inside of the headers, so that what is read later is inside the record.
 */
import type { BatchHeader } from './batchHeader.ts'
import { MalformedRecords } from './malformed.ts'

/** A record has at least one byte for each of its seven parts. */
const SMALLEST_RECORD = 7
/**
 * Ints per record in `positions`: where it starts, where its value starts (-1 for null), and where that ends and its
 * headers start.
 */
export const POSITIONS = 3

/** Positions are bytes in the buffer that the record is in. */
export interface RecordIndex {
  size: number
  readonly offsets: Float64Array
  readonly timestamps: Float64Array
  readonly positions: Int32Array
}

/** Room for `capacity` records. A chunk lives until its batch commits, so every chunk has arrays of its own. */
export function createRecordIndex(capacity: number): RecordIndex {
  return {
    size: 0,
    offsets: new Float64Array(capacity),
    timestamps: new Float64Array(capacity),
    positions: new Int32Array(capacity * POSITIONS),
  }
}

/** Memory that the index takes. */
export function indexBytes(index: RecordIndex): number {
  return index.offsets.byteLength + index.timestamps.byteLength + index.positions.byteLength
}

/** The records of one batch, unpacked: `buffer[start, end)`. */
export interface BatchBody {
  readonly buffer: Buffer
  readonly start: number
  readonly end: number
}

/**
 * Throws MalformedRecords when a batch claims more records than its bytes can hold: to be asked before allocating for
 * them.
 */
export function checkCount({ count }: BatchHeader, { start, end }: BatchBody): void {
  if (count * SMALLEST_RECORD > end - start) {
    throw new MalformedRecords(`it claims ${count} records in ${end - start} bytes`, start)
  }
}

/**
 * Adds the records of a batch from `fromOffset` on. Offsets must rise, because positions in the log are what
 * progress is made of.
 * @throws MalformedRecords, and has then added nothing
 */
export function indexRecords(
  index: RecordIndex,
  batch: BatchHeader,
  { buffer, start, end }: BatchBody,
  fromOffset: number,
): void {
  const { offsets, timestamps, positions } = index
  const { count, baseOffset, baseTimestamp, appendTimestamp } = batch
  const lastDelta = batch.lastOffset - baseOffset
  let size = index.size
  let previousDelta = -1
  let at = start
  for (let i = 0; i < count; i++) {
    const length = readVarint(buffer, at)
    const recordStart = varintEnd
    const recordEnd = recordStart + length
    if (length < 0 || recordEnd > end) {
      throw new MalformedRecords(`record ${i} of ${count} has the length ${length}`, at)
    }
    const timestampDelta = readVarlong(buffer, recordStart + 1)
    const offsetDelta = readVarint(buffer, varintEnd)
    const keyLength = readVarint(buffer, varintEnd)
    const valueLength = readVarint(buffer, keyLength > 0 ? varintEnd + keyLength : varintEnd)
    const valueStart = varintEnd
    const valueEnd = valueLength > 0 ? valueStart + valueLength : valueStart
    const headers = readVarint(buffer, valueEnd)
    const rest = recordEnd - varintEnd
    if (keyLength < -1 || valueLength < -1 || headers < 0 || rest < headers * 2 || (headers === 0 && rest !== 0)) {
      throw new MalformedRecords(`record ${i} of ${count} is malformed`, at)
    }
    if (offsetDelta <= previousDelta || offsetDelta > lastDelta) {
      throw new MalformedRecords(
        `record ${i} of ${count} has the offset delta ${offsetDelta} behind ${previousDelta}`,
        at,
      )
    }
    previousDelta = offsetDelta
    if (baseOffset + offsetDelta >= fromOffset) {
      offsets[size] = baseOffset + offsetDelta
      // Two stores: one of a value that may be undefined would box a number for each record.
      if (appendTimestamp === undefined) timestamps[size] = baseTimestamp + timestampDelta
      else timestamps[size] = appendTimestamp
      positions[size * POSITIONS] = at
      positions[size * POSITIONS + 1] = valueLength < 0 ? -1 : valueStart
      positions[size * POSITIONS + 2] = valueEnd
      size++
    }
    at = recordEnd
  }
  if (at !== end) throw new MalformedRecords(`${end - at} bytes are left behind its ${count} records`, at)
  index.size = size
}

/** The key of the record that starts at byte `recordStart`, which was indexed before. */
export function keyOf(buffer: Buffer, recordStart: number): Buffer | null {
  const length = keyLengthOf(buffer, recordStart)
  return length < 0 ? null : buffer.subarray(varintEnd, varintEnd + length)
}

/** Whether a record's key is a text in UTF-8. */
export function isKeyOf(buffer: Buffer, recordStart: number, text: string): boolean {
  const length = keyLengthOf(buffer, recordStart)
  const start = varintEnd
  if (length !== text.length) return length > text.length && buffer.toString('utf8', start, start + length) === text
  for (let at = 0; at < length; at++) {
    const code = text.charCodeAt(at)
    // Beyond ASCII a character takes more bytes than one, so the lengths are equal by chance.
    if (code > 0x7f || buffer[start + at] !== code) return false
  }
  return true
}

/** The length of a record's key, which then begins at `varintEnd`; -1 for none. */
function keyLengthOf(buffer: Buffer, recordStart: number): number {
  readVarint(buffer, recordStart)
  readVarlong(buffer, varintEnd + 1)
  readVarint(buffer, varintEnd)
  return readVarint(buffer, varintEnd)
}

/**
 * Where the varint ends that was read last; a second result without an object. An overlong varint ends at
 * NOWHERE, which is beyond every record, so that the check that follows refuses it. Reading beyond the buffer gives
 * zeros and ends beyond the record in the same way.
 */
export let varintEnd = 0
const NOWHERE = 2 ** 40

/** A zigzag varint of 32 bits. */
export function readVarint(bytes: Buffer, at: number): number {
  let byte = bytes[at] as number
  let value = byte & 0x7f
  let end = at + 1
  for (let shift = 7; byte >= 0x80; shift += 7) {
    if (shift > 28) {
      varintEnd = NOWHERE
      return 0
    }
    byte = bytes[end++] as number
    value |= (byte & 0x7f) << shift
  }
  varintEnd = end
  return (value >>> 1) ^ -(value & 1)
}

/** A zigzag varint of 64 bits, as a number: exact up to 2^52, and timestamps have 2^41. */
function readVarlong(bytes: Buffer, at: number): number {
  let byte = bytes[at] as number
  let value = byte & 0x7f
  let end = at + 1
  for (let factor = 0x80; byte >= 0x80; factor *= 0x80) {
    if (factor > 2 ** 63) {
      varintEnd = NOWHERE
      return 0
    }
    byte = bytes[end++] as number
    value += (byte & 0x7f) * factor
  }
  varintEnd = end
  return value % 2 === 0 ? value / 2 : -(value + 1) / 2
}
