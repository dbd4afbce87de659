/** A source that holds what a reparse runs again, and nothing else: ranges of partitions, read without joining a group. */
import type { RecordChunk } from '../core/record.ts'
import { recordListChunk } from '../core/recordListChunk.ts'
import type { AssignedPartition, DirectClient, LogBounds, SourceClient } from '../core/source.ts'
import type { ReparseRange } from '../postgres/reparseAdmin.ts'

/** Which records of the ranges are run again. */
export interface RangeFilter {
  /** Only those of this key. */
  readonly key?: Buffer | undefined
}

/** Offsets that the log did not have any more, in a range: from `from`, without `to`. */
export interface Gap {
  readonly range: ReparseRange
  readonly from: number
  readonly to: number
}

export interface RangeClientParts {
  readonly source: DirectClient
  readonly ranges: readonly ReparseRange[]
  readonly filter: RangeFilter
  readonly onGap: (gap: Gap) => void
}

export class RangeClient implements SourceClient {
  readonly #parts: RangeClientParts
  readonly #revoke = new AbortController()

  constructor(parts: RangeClientParts) {
    this.#parts = parts
  }

  async start(_topics: readonly string[], onAssigned: Parameters<SourceClient['start']>[1]): Promise<void> {
    const { source, ranges } = this.#parts
    const partitions = await source.open(ranges, this.#revoke.signal)
    onAssigned({
      partitions: ranges.flatMap((range, index) => {
        const partition = partitions[index]
        return partition === undefined ? [] : [this.#ranged(partition, range)]
      }),
    })
  }

  async stop(): Promise<void> {
    this.#revoke.abort()
    await this.#parts.source.close()
  }

  async committedOffset(): Promise<undefined> {
    return undefined
  }

  #ranged(partition: AssignedPartition, range: ReparseRange): AssignedPartition {
    const { filter, onGap } = this.#parts
    return {
      topic: partition.topic,
      partition: partition.partition,
      revoked: partition.revoked,
      // What is gone from the log is passed over, and told.
      bounds: async (): Promise<LogBounds> => ({ start: range.from, end: range.to }),
      offsetAt: (timestampMs) => partition.offsetAt(timestampMs),
      recordAt: (offset) => partition.recordAt(offset),
      read: (offset) => readRange(partition, range, offset, filter, onGap),
      hint: () => {},
    }
  }
}

async function* readRange(
  partition: AssignedPartition,
  range: ReparseRange,
  offset: number,
  filter: RangeFilter,
  onGap: (gap: Gap) => void,
): AsyncIterable<RecordChunk> {
  const { start } = await partition.bounds()
  const wants = wanted(range, filter)
  let expected = offset
  const gap = (to: number) => {
    const end = Math.min(to, range.to)
    if (end > expected) onGap({ range, from: expected, to: end })
  }
  if (start > offset) {
    gap(start)
    expected = Math.min(start, range.to)
    yield emptyChunk(partition, expected, range.to)
  }
  if (expected < range.to) {
    for await (const chunk of partition.read(expected)) {
      for (let index = 0; index < chunk.size; index += 1) {
        gap(chunk.offset(index))
        expected = chunk.offset(index) + 1
        if (expected > range.to) break
      }
      gap(chunk.nextOffset)
      expected = chunk.nextOffset
      yield within(chunk, range, wants)
      if (expected >= range.to) break
    }
  }
  // A partition ends when it is revoked, and not before.
  await new Promise<void>((resolve) => {
    if (partition.revoked.aborted) resolve()
    else partition.revoked.addEventListener('abort', () => resolve(), { once: true })
  })
}

function emptyChunk({ topic, partition }: AssignedPartition, nextOffset: number, endOffset: number): RecordChunk {
  return recordListChunk({ topic, partition, records: [], nextOffset, endOffset })
}

/** What of a chunk is run again. */
function within(
  chunk: RecordChunk,
  range: ReparseRange,
  wants: (chunk: RecordChunk, index: number) => boolean,
): RecordChunk {
  const indexes: number[] = []
  for (let index = 0; index < chunk.size; index += 1) {
    if (chunk.offset(index) < range.to && wants(chunk, index)) indexes.push(index)
  }
  const nextOffset = Math.min(chunk.nextOffset, range.to)
  if (indexes.length === chunk.size && nextOffset === chunk.nextOffset) return chunk
  const at = (index: number): number => {
    const there = indexes[index]
    if (there === undefined) throw new RangeError(`record ${index} of ${indexes.length}`)
    return there
  }
  return {
    topic: chunk.topic,
    partition: chunk.partition,
    size: indexes.length,
    byteSize: chunk.byteSize,
    nextOffset,
    endOffset: range.to,
    offset: (index) => chunk.offset(at(index)),
    timestamp: (index) => chunk.timestamp(at(index)),
    key: (index) => chunk.key(at(index)),
    value: (index) => chunk.value(at(index)),
    headers: (index) => chunk.headers(at(index)),
    valueBuffer: (index) => chunk.valueBuffer(at(index)),
    valueStart: (index) => chunk.valueStart(at(index)),
    valueEnd: (index) => chunk.valueEnd(at(index)),
  }
}

/** Whether a record is run again. */
function wanted({ offsets }: ReparseRange, { key }: RangeFilter): (chunk: RecordChunk, index: number) => boolean {
  const chosen = offsets === undefined ? undefined : new Set(offsets)
  return (chunk, index) => {
    if (chosen !== undefined && !chosen.has(chunk.offset(index))) return false
    return key === undefined || chunk.key(index)?.equals(key) === true
  }
}
