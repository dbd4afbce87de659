/** A source that holds what a reparse runs again, and nothing else: ranges of partitions, read without joining a group. */
import { SourceError } from '../core/errors.ts'
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

/** Where a range ends for now; it may be moved on. */
export class MovableEnd {
  #to: number
  #wake: (() => void)[] = []

  constructor(to: number) {
    this.#to = to
  }

  get to(): number {
    return this.#to
  }

  moveTo(to: number): void {
    this.#to = Math.max(to, this.#to)
    for (const wake of this.#wake.splice(0)) wake()
  }

  /** Resolves when the end is behind `position`, or when the signal aborts. */
  async isBehind(position: number, signal: AbortSignal): Promise<void> {
    while (this.#to <= position && !signal.aborted) {
      await new Promise<void>((resolve) => {
        const wake = () => {
          signal.removeEventListener('abort', wake)
          resolve()
        }
        this.#wake.push(wake)
        signal.addEventListener('abort', wake)
      })
    }
  }
}

export interface RangeClientParts {
  readonly source: DirectClient
  readonly ranges: readonly ReparseRange[]
  readonly filter: RangeFilter
  readonly onGap: (gap: Gap) => void
  /** Where ranges end, where that moves. Default: where they say. */
  readonly ends?: ReadonlyMap<ReparseRange, MovableEnd>
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
    const { filter, onGap, ends } = this.#parts
    const end = ends?.get(range) ?? new MovableEnd(range.to)
    return {
      topic: partition.topic,
      partition: partition.partition,
      revoked: partition.revoked,
      // What is gone from the log is passed over, and told.
      bounds: async (): Promise<LogBounds> => ({ start: range.from, end: end.to }),
      offsetAt: (timestampMs) => partition.offsetAt(timestampMs),
      recordAt: (offset) => partition.recordAt(offset),
      read: (offset) => readRange({ partition, range, end, wants: wanted(range, filter), onGap }, offset),
      hint: () => {},
    }
  }
}

interface Reading extends Pick<RangeClientParts, 'onGap'> {
  readonly partition: AssignedPartition
  readonly range: ReparseRange
  readonly end: MovableEnd
  readonly wants: (chunk: RecordChunk, index: number) => boolean
}

/** A partition ends when it is revoked, and not before. */
async function* readRange(reading: Reading, offset: number): AsyncIterable<RecordChunk> {
  const { partition, end } = reading
  let position = offset
  while (!partition.revoked.aborted) {
    for await (const chunk of readUpTo(reading, position, end.to)) {
      position = chunk.nextOffset
      yield chunk
    }
    await end.isBehind(position, partition.revoked)
  }
}

async function* readUpTo(
  { partition, range, wants, onGap }: Reading,
  offset: number,
  to: number,
): AsyncIterable<RecordChunk> {
  const { start } = await partition.bounds()
  let expected = offset
  const gap = (next: number) => {
    const end = Math.min(next, to)
    if (end > expected) onGap({ range, from: expected, to: end })
  }
  if (start > offset && offset < to) {
    gap(start)
    expected = Math.min(start, to)
    yield emptyChunk(partition, expected, to)
  }
  if (expected >= to) return
  for await (const chunk of partition.read(expected)) {
    for (let index = 0; index < chunk.size; index += 1) {
      gap(chunk.offset(index))
      expected = chunk.offset(index) + 1
      if (expected > to) break
    }
    gap(chunk.nextOffset)
    expected = chunk.nextOffset
    yield within(chunk, to, wants)
    if (expected >= to) return
  }
}

function emptyChunk({ topic, partition }: AssignedPartition, nextOffset: number, endOffset: number): RecordChunk {
  return recordListChunk({ topic, partition, records: [], nextOffset, endOffset })
}

/** What of a chunk is run again. */
function within(chunk: RecordChunk, to: number, wants: (chunk: RecordChunk, index: number) => boolean): RecordChunk {
  const indexes: number[] = []
  for (let index = 0; index < chunk.size; index += 1) {
    if (chunk.offset(index) < to && wants(chunk, index)) indexes.push(index)
  }
  const nextOffset = Math.min(chunk.nextOffset, to)
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
    endOffset: to,
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

/** The service is at an offset that the log does not have. */
export function beyond({ stream, topic, partition, to }: ReparseRange, end: number): SourceError {
  return new SourceError('MR-SOURCE-BEYOND', {
    what: `the service is at ${to}, but the log ends at ${end}`,
    why: 'The topic was recreated, or progress belongs to another cluster.',
    fix: 'Look with "millrace progress show".',
    place: { stream, topic, partition },
  })
}
