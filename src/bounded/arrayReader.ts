import type { BoundedReader } from './reader.ts'
import { valueChunk } from './valueChunk.ts'

/** Reads an array as long as it is now. */
export function arrayReader(topic: string, values: readonly unknown[]): BoundedReader {
  const size = values.length
  let offset = 0
  return {
    size,
    get ended() {
      return offset >= size
    },
    async read(atMost) {
      if (offset >= size) return undefined
      const chunk = valueChunk({
        topic,
        offset,
        values: values.slice(offset, Math.min(size, offset + atMost)),
        owned: false,
      })
      offset = chunk.nextOffset
      return chunk
    },
    close: async () => {},
  }
}
