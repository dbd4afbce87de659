import { ItemError } from '../../core/errors.ts'
import type { RecordChunk, RecordHeader } from '../../core/record.ts'
import { isKeyOf, keyOf, POSITIONS, type RecordIndex, readVarint, varintEnd } from './recordIndex.ts'

/** The buffer of the records from the last segment's end up to `end`. */
export interface Segment {
  readonly end: number
  readonly buffer: Buffer
}

export interface ChunkContent {
  readonly topic: string
  readonly partition: number
  readonly byteSize: number
  readonly nextOffset: number
  readonly endOffset: number
  readonly index: RecordIndex
  /** In record order; uncompressed batches share the fetched bytes, each compressed batch has its own. */
  readonly segments: readonly Segment[]
}

const noHeaders: readonly RecordHeader[] = Object.freeze([])
const noBytes = Buffer.alloc(0)

/** Records that were fetched, read out of their bytes when asked for. */
export class FetchedChunk implements RecordChunk {
  readonly topic: string
  readonly partition: number
  readonly size: number
  readonly byteSize: number
  readonly nextOffset: number
  readonly endOffset: number
  readonly #offsets: Float64Array
  readonly #timestamps: Float64Array
  readonly #positions: Int32Array
  readonly #segments: readonly Segment[]
  // The segment of the last record asked for: reading in order looks for another one only at its end.
  #buffer: Buffer = noBytes
  #segmentStart = 0
  #segmentEnd = 0

  constructor(content: ChunkContent) {
    this.topic = content.topic
    this.partition = content.partition
    this.size = content.index.size
    this.byteSize = content.byteSize
    this.nextOffset = content.nextOffset
    this.endOffset = content.endOffset
    this.#offsets = content.index.offsets
    this.#timestamps = content.index.timestamps
    this.#positions = content.index.positions
    this.#segments = content.segments
  }

  offset(index: number): number {
    return this.#offsets[index] as number
  }

  timestamp(index: number): number {
    return this.#timestamps[index] as number
  }

  valueStart(index: number): number {
    return this.#positions[index * POSITIONS + 1] as number
  }

  valueEnd(index: number): number {
    return this.#positions[index * POSITIONS + 2] as number
  }

  valueBuffer(index: number): Buffer {
    if (index < this.#segmentStart || index >= this.#segmentEnd) this.#seek(index)
    return this.#buffer
  }

  value(index: number): Buffer | null {
    const start = this.valueStart(index)
    return start < 0 ? null : this.valueBuffer(index).subarray(start, this.valueEnd(index))
  }

  key(index: number): Buffer | null {
    return keyOf(this.valueBuffer(index), this.#recordStart(index))
  }

  isKey(index: number, text: string): boolean {
    return isKeyOf(this.valueBuffer(index), this.#recordStart(index), text)
  }

  headers(index: number): readonly RecordHeader[] {
    const buffer = this.valueBuffer(index)
    const length = readVarint(buffer, this.#recordStart(index))
    const recordEnd = varintEnd + length
    const count = readVarint(buffer, this.valueEnd(index))
    if (count === 0) return noHeaders
    const headers: RecordHeader[] = []
    let at = varintEnd
    for (let i = 0; i < count; i++) {
      const keyLength = readVarint(buffer, at)
      const keyEnd = varintEnd + keyLength
      if (keyLength < 0 || keyEnd > recordEnd) throw this.#malformedHeaders(index, count)
      const key = buffer.toString('utf8', varintEnd, keyEnd)
      const valueLength = readVarint(buffer, keyEnd)
      at = valueLength > 0 ? varintEnd + valueLength : varintEnd
      if (valueLength < -1) throw this.#malformedHeaders(index, count)
      headers.push({ key, value: valueLength < 0 ? null : buffer.subarray(varintEnd, at) })
    }
    if (at !== recordEnd) throw this.#malformedHeaders(index, count)
    return headers
  }

  #recordStart(index: number): number {
    return this.#positions[index * POSITIONS] as number
  }

  #seek(index: number): void {
    let low = 0
    let high = this.#segments.length - 1
    while (low < high) {
      const middle = (low + high) >> 1
      if (index < (this.#segments[middle] as Segment).end) high = middle
      else low = middle + 1
    }
    const found = this.#segments[low] as Segment
    this.#buffer = found.buffer
    this.#segmentStart = low === 0 ? 0 : (this.#segments[low - 1] as Segment).end
    this.#segmentEnd = found.end
  }

  #malformedHeaders(index: number, count: number): ItemError {
    return new ItemError('MR-KAFKA-HEADERS', {
      what: `the record says that it has ${count} headers, and its bytes do not hold exactly those`,
      why: 'The bytes are damaged, or the producer wrote them so: brokers do not look at headers.',
      place: { topic: this.topic, partition: this.partition, offset: this.offset(index) },
    })
  }
}
