/** Lines of a block of a file as a chunk of records. */
import type { RecordChunk } from '../core/record.ts'

export interface LineChunkOptions {
  readonly topic: string
  /** Number of the first line, from 0. */
  readonly offset: number
  readonly block: Buffer
  /** -1 where a line has no value. */
  readonly starts: readonly number[]
  readonly ends: readonly number[]
}

/** What a line takes beside its bytes: where it begins and ends. */
const placeBytes = 16

export function lineChunk({ topic, offset, block, starts, ends }: LineChunkOptions): RecordChunk {
  const at = (places: readonly number[], index: number) => places[index] as number
  const size = starts.length
  const nextOffset = offset + size
  return {
    topic,
    partition: 0,
    size,
    byteSize: ends.reduce((sum, end, index) => sum + placeBytes + Math.max(0, end - at(starts, index)), 0),
    nextOffset,
    endOffset: nextOffset,
    offset: (index) => offset + index,
    timestamp: () => 0,
    key: () => null,
    value: (index) => (at(starts, index) < 0 ? null : block.subarray(at(starts, index), at(ends, index))),
    headers: () => [],
    valueBuffer: () => block,
    valueStart: (index) => at(starts, index),
    valueEnd: (index) => at(ends, index),
  }
}
