import { type Decompressor, lazyPackage, MalformedBytes, OutputTooLarge } from './decompressor.ts'

interface SnappyPackage {
  uncompressSync(packed: Uint8Array, options: { asBuffer: true }): string | Buffer
}

/** The framing of snappy-java, which Java's clients write: this mark, two versions, then blocks with their lengths. */
const XERIAL_MARK = Buffer.from([0x82, 0x53, 0x4e, 0x41, 0x50, 0x50, 0x59, 0x00])
const XERIAL_HEADER_BYTES = 16

/**
 * snappy: one raw block, as librdkafka and Go clients write it, or the blocks of snappy-java.
 *
 * Unpacked on the main thread: it runs at more than 1 GB/s, and blocks of 32 KiB are too small to be worth a
 * round trip through the thread pool.
 */
export function createSnappy(load: () => Promise<SnappyPackage>): Decompressor {
  const snappy = lazyPackage('snappy', load)
  return {
    name: 'snappy',
    sizeBound: (packed) => sizeOf(blocksOf(packed)),
    async unpack(packed, maxBytes) {
      const blocks = blocksOf(packed)
      const size = sizeOf(blocks)
      if (size > maxBytes) throw new OutputTooLarge(`the blocks declare ${size} bytes`)
      const { uncompressSync } = await snappy()
      const unpacked = blocks.map((block) => uncompressSync(block, { asBuffer: true }) as Buffer)
      return unpacked.length === 1 && unpacked[0] !== undefined ? unpacked[0] : Buffer.concat(unpacked, size)
    },
  }
}

function blocksOf(packed: Buffer): readonly Buffer[] {
  if (!packed.subarray(0, XERIAL_MARK.length).equals(XERIAL_MARK)) return [packed]
  const blocks: Buffer[] = []
  for (let at = XERIAL_HEADER_BYTES; at < packed.length; ) {
    const length = at + 4 > packed.length ? -1 : packed.readInt32BE(at)
    const end = at + 4 + length
    if (length < 0 || end > packed.length) throw new MalformedBytes(`a snappy block at byte ${at} does not fit`)
    blocks.push(packed.subarray(at + 4, end))
    at = end
  }
  return blocks
}

function sizeOf(blocks: readonly Buffer[]): number {
  let size = 0
  for (const block of blocks) size += declaredSize(block)
  return size
}

/** A raw block begins with its unpacked size as a varint of at most five bytes. */
function declaredSize(block: Buffer): number {
  let size = 0
  for (let i = 0; i < 5 && i < block.length; i++) {
    const byte = block.readUInt8(i)
    size += (byte & 0x7f) * 2 ** (7 * i)
    if (byte < 0x80) return size
  }
  throw new MalformedBytes('a snappy block does not begin with its size')
}
