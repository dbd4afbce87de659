import { type Decompressor, lazyPackage, MalformedBytes, OutputTooLarge } from './decompressor.ts'

interface Lz4Package {
  decompressFrame(packed: Uint8Array): Promise<Buffer>
}

const FRAME_MAGIC = 0x184d2204
const STORED_BLOCK = 0x80000000

/** lz4 in its frame format, by `lz4-napi` on the thread pool. */
export function createLz4(load: () => Promise<Lz4Package>): Decompressor {
  const lz4 = lazyPackage('lz4-napi', load)
  return {
    name: 'lz4',
    sizeBound: (packed) => frameSize(packed, blockBound),
    async unpack(packed, maxBytes) {
      // The bound is far off only for a frame of many blocks that were flushed early: then it is worth counting.
      if (frameSize(packed, blockBound) > maxBytes && frameSize(packed, blockSize) > maxBytes) {
        throw new OutputTooLarge('the frame unpacks to more')
      }
      const { decompressFrame } = await lz4()
      return decompressFrame(packed)
    },
  }
}

/** Bytes that a packed block gives: `packed.subarray(start, end)` with at most `largest` bytes in the end. */
type BlockMeasure = (packed: Buffer, start: number, end: number, largest: number) => number

/**
 * Walks the frame's blocks. What is not the one frame format that Kafka uses is refused, not skipped: the package may
 * know it.
 */
function frameSize(packed: Buffer, measure: BlockMeasure): number {
  const flags = packed.length < 7 || packed.readUInt32LE(0) !== FRAME_MAGIC ? 0 : packed.readUInt8(4)
  if (flags >> 6 !== 1) throw new MalformedBytes('this is no lz4 frame')
  const sizeCode = (packed.readUInt8(5) >> 4) & 7
  if (sizeCode < 4) throw new MalformedBytes(`an lz4 frame cannot have block size ${sizeCode}`)
  const largest = 2 ** (8 + 2 * sizeCode)
  const checksumBytes = flags & 0x10 ? 4 : 0
  let size = 0
  let at = 7 + (flags & 0x08 ? 8 : 0) + (flags & 0x01 ? 4 : 0)
  while (at + 4 <= packed.length) {
    const word = packed.readUInt32LE(at)
    if (word === 0) return size
    const start = at + 4
    const stored = word >= STORED_BLOCK
    const end = start + (stored ? word - STORED_BLOCK : word)
    if (end > packed.length) break
    size += stored ? end - start : measure(packed, start, end, largest)
    at = end + checksumBytes
  }
  throw new MalformedBytes(`the lz4 frame breaks off at byte ${at}`)
}

/** A byte of input makes 255 of output at most. */
const blockBound: BlockMeasure = (_packed, start, end, largest) => Math.min(largest, (end - start) * 255)

/** Adds up literals and matches without copying them. */
const blockSize: BlockMeasure = (packed, start, end, largest) => {
  let size = 0
  let at = start
  const take = (nibble: number): number => {
    let length = nibble
    for (let byte = nibble === 15 ? 255 : 0; byte === 255 && at < end; ) {
      byte = packed.readUInt8(at++)
      length += byte
    }
    return length
  }
  while (at < end) {
    const token = packed.readUInt8(at++)
    const literals = take(token >> 4)
    size += literals
    at += literals
    if (at >= end) break
    at += 2
    size += 4 + take(token & 15)
  }
  return Math.min(size, largest)
}
