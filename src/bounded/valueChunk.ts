/** Values as a chunk of records: they are handed over as they are, and their bytes are made when somebody asks for them. */
import type { RecordChunk, RecordHeader } from '../core/record.ts'
import { type KeptValue, keptValue } from './keptValue.ts'
import { sizeOf } from './sizeOf.ts'

export interface ValueChunkOptions {
  readonly topic: string
  /** Of the first value. */
  readonly offset: number
  readonly values: readonly unknown[]
  /** Whether only this chunk holds the values: then they count. */
  readonly owned: boolean
}

/** Bytes of a value that somebody else holds anyway: its place in the chunk. */
const placeBytes = 8

export function valueChunk({ topic, offset, values, owned }: ValueChunkOptions): RecordChunk {
  let last: { readonly index: number; readonly kept: KeptValue } | undefined
  const keptAt = (index: number): KeptValue => {
    if (last?.index !== index) last = { index, kept: keptValue(values[index]) }
    return last.kept
  }
  const nextOffset = offset + values.length
  return {
    topic,
    partition: 0,
    size: values.length,
    byteSize: owned
      ? values.reduce<number>((sum, value) => sum + placeBytes + sizeOf(value), 0)
      : values.length * placeBytes,
    nextOffset,
    endOffset: nextOffset,
    offset: (index) => offset + index,
    timestamp: () => 0,
    key: () => null,
    value: (index) => keptAt(index).bytes,
    headers: (index) => headersOf(keptAt(index)),
    valueBuffer: (index) => keptAt(index).bytes,
    valueStart: () => 0,
    valueEnd: (index) => sizeOf(values[index]),
    given: values,
  }
}

function headersOf({ lost }: KeptValue): RecordHeader[] {
  return lost === undefined ? [] : [{ key: 'millrace-kept-as', value: Buffer.from(`text, because ${lost}`) }]
}
