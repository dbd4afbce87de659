/** A chunk over plain record objects: for the few records that do not come from a fetch's bytes. */
import type { RecordChunk, RecordHeader } from './record.ts'

export interface PlainRecord {
  readonly offset: number
  /** Milliseconds since the epoch. */
  readonly timestamp: number
  readonly key: Buffer | null
  readonly value: Buffer | null
  readonly headers: readonly RecordHeader[]
}

export interface RecordListOptions {
  readonly topic: string
  readonly partition: number
  readonly records: readonly PlainRecord[]
  readonly nextOffset: number
  readonly endOffset: number
}

const noBytes = Buffer.alloc(0)

export function recordListChunk({ records, ...fixed }: RecordListOptions): RecordChunk {
  const at = (index: number): PlainRecord => {
    const record = records[index]
    if (record === undefined) throw new RangeError(`record ${index} of ${records.length}`)
    return record
  }
  return {
    ...fixed,
    size: records.length,
    byteSize: records.reduce((sum, { key, value }) => sum + (key?.length ?? 0) + (value?.length ?? 0), 0),
    offset: (index) => at(index).offset,
    timestamp: (index) => at(index).timestamp,
    key: (index) => at(index).key,
    value: (index) => at(index).value,
    headers: (index) => at(index).headers,
    valueBuffer: (index) => at(index).value ?? noBytes,
    valueStart: (index) => (at(index).value === null ? -1 : 0),
    valueEnd: (index) => at(index).value?.length ?? -1,
  }
}

/** One record of a chunk as a chunk of its own. Copies, so that the fetch it came with can be released. */
export function singleRecord(chunk: RecordChunk, index: number): RecordChunk {
  const copied = (bytes: Buffer | null): Buffer | null => (bytes === null ? null : Buffer.from(bytes))
  const offset = chunk.offset(index)
  return recordListChunk({
    topic: chunk.topic,
    partition: chunk.partition,
    nextOffset: offset + 1,
    endOffset: chunk.endOffset,
    records: [
      {
        offset,
        timestamp: chunk.timestamp(index),
        key: copied(chunk.key(index)),
        value: copied(chunk.value(index)),
        headers: chunk.headers(index).map(({ key, value }) => ({ key, value: copied(value) })),
      },
    ],
  })
}
