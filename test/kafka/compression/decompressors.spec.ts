import * as zlib from 'node:zlib'
import { gzipSync } from 'node:zlib'
import fc from 'fast-check'
import * as lz4 from 'lz4-napi'
import * as snappy from 'snappy'
import { describe, expect, test } from 'vitest'
import { type Decompressor, OutputTooLarge, PackageMissing } from '../../../src/kafka/compression/decompressor.ts'
import { decompressorOf } from '../../../src/kafka/compression/decompressors.ts'
import { createSnappy } from '../../../src/kafka/compression/snappy.ts'
import { createZstdInJavaScript } from '../../../src/kafka/compression/zstd.ts'
import { javaBytes } from '../records/_java.ts'

/** The framing of snappy-java with blocks of the given size. */
function xerial(plain: Buffer, blockBytes: number): Buffer {
  const parts: Buffer[] = [Buffer.from('82534e41505059000000000100000001', 'hex')]
  for (let at = 0; at < plain.length; at += blockBytes) {
    const block = snappy.compressSync(plain.subarray(at, at + blockBytes))
    const length = Buffer.alloc(4)
    length.writeInt32BE(block.length)
    parts.push(length, block)
  }
  return Buffer.concat(parts)
}

/** A zstd frame of raw and repeated blocks, without a declared size: what Node.js 20 can write. */
function zstdOfPlainBlocks(plain: Buffer): Buffer {
  const parts: Buffer[] = [Buffer.from('28b52ffd0058', 'hex')]
  const chunks = Array.from({ length: Math.ceil(plain.length / 1_000) }, (_, i) =>
    plain.subarray(i * 1_000, i * 1_000 + 1_000),
  )
  for (const chunk of chunks) {
    const repeated = chunk.every((byte) => byte === chunk[0])
    const header = Buffer.alloc(3)
    header.writeUIntLE((chunk.length << 3) | (repeated ? 2 : 0), 0, 3)
    parts.push(header, repeated ? chunk.subarray(0, 1) : chunk)
  }
  return Buffer.concat([...parts, Buffer.from([1, 0, 0])])
}

const zstdInNode = (zlib as { zstdCompressSync?: (plain: Buffer) => Buffer }).zstdCompressSync
const found = (compression: number) => decompressorOf(compression) as Decompressor

const ways: readonly (readonly [string, Decompressor, (plain: Buffer) => Buffer])[] = [
  ['gzip', found(1), gzipSync],
  ['snappy, raw', found(2), (plain) => snappy.compressSync(plain)],
  ['snappy, framed by snappy-java', found(2), (plain) => xerial(plain, 700)],
  ['lz4', found(3), (plain) => lz4.compressFrameSync(plain)],
  [
    'lz4 with checksums',
    found(3),
    (plain) => lz4.compressFrameSync(plain, { blockChecksums: true, contentChecksum: true }),
  ],
  ['zstd of plain blocks', found(4), zstdOfPlainBlocks],
  ['zstd of plain blocks, in JavaScript', createZstdInJavaScript(), zstdOfPlainBlocks],
  ...(zstdInNode === undefined
    ? []
    : ([
        ['zstd', found(4), zstdInNode],
        ['zstd, in JavaScript', createZstdInJavaScript(), zstdInNode],
      ] as const)),
]

const plain = fc
  .array(fc.tuple(fc.uint8Array({ maxLength: 60 }), fc.integer({ min: 1, max: 60 })), { maxLength: 12, size: 'max' })
  .map((parts) => Buffer.concat(parts.flatMap(([bytes, times]) => Array.from({ length: times }, () => bytes))))

describe.each(ways)('%s', (_, decompressor, pack) => {
  test('gives back what was packed, within the bound that it declares', async () => {
    await fc.assert(
      fc.asyncProperty(plain, async (bytes) => {
        const packed = pack(bytes)
        const bound = decompressor.sizeBound(packed)
        expect(bound).toBeGreaterThanOrEqual(bytes.length)
        expect(bytes.equals(await decompressor.unpack(packed, bound))).toBe(true)
      }),
      { numRuns: 100 },
    )
  })

  test('gives nothing beyond the limit', async () => {
    const packed = pack(Buffer.alloc(300_000, 7))
    await expect(decompressor.unpack(packed, 299_999 - 128 * 1024)).rejects.toBeInstanceOf(OutputTooLarge)
  })

  test('refuses what breaks off', async () => {
    const packed = pack(Buffer.from('abcdefgh'.repeat(500)))
    for (const length of [0, 1, 5, 10, Math.floor(packed.length / 2)]) {
      const unpacked = await decompressor.unpack(packed.subarray(0, length), 100_000).catch((thrown: unknown) => thrown)
      // An empty snappy-java stream is whole.
      if (Buffer.isBuffer(unpacked)) expect(unpacked.length).toBeLessThan(4_000)
      else expect(unpacked).toBeInstanceOf(Error)
    }
  })
})

test('there is no decompressor for no compression, nor for numbers that Kafka does not have', () => {
  expect([0, 5, 6, 7].map(decompressorOf)).toEqual([undefined, undefined, undefined, undefined])
})

test('a package that is missing is named, and looked for again', async () => {
  const cause = new Error("Cannot find package 'snappy'")
  let installed = false
  const decompressor = createSnappy(async () => {
    if (!installed) throw cause
    return snappy
  })
  const packed = snappy.compressSync(Buffer.from('hello'))
  const missing = await decompressor.unpack(packed, 100).catch((thrown: unknown) => thrown)
  expect(missing).toBeInstanceOf(PackageMissing)
  expect(missing).toMatchObject({ packageName: 'snappy', cause })
  installed = true
  expect((await decompressor.unpack(packed, 100)).toString()).toBe('hello')
})

describe('what hostile bytes declare costs nothing', () => {
  const bufferBytes = () => process.memoryUsage().arrayBuffers + process.memoryUsage().external

  test.each([
    ['snappy of 4 GiB', found(2), Buffer.from('ffffffff0f00', 'hex')],
    ['zstd of 2^60 bytes', found(4), Buffer.from('28b52ffdc0580000000000000010010000', 'hex')],
    [
      'zstd of 2^60 bytes, in JavaScript',
      createZstdInJavaScript(),
      Buffer.from('28b52ffdc0580000000000000010010000', 'hex'),
    ],
  ])('%s', async (_, decompressor, packed) => {
    const before = bufferBytes()
    const unpacked = await decompressor.unpack(packed, 1_000_000).catch((thrown: unknown) => thrown)
    // Node's zstd gives what there is, and does not compare it with what was declared.
    if (Buffer.isBuffer(unpacked)) expect(unpacked).toHaveLength(0)
    else expect(unpacked).toBeInstanceOf(Error)
    expect(bufferBytes() - before).toBeLessThan(16_000_000)
  })

  test('a zstd window of 2 GiB, in JavaScript, is no larger than what it is needed for', async () => {
    const packed = Buffer.from(javaBytes('zstd').subarray(61, 61 + 751))
    const decompressor = createZstdInJavaScript()
    const expected = await decompressor.unpack(packed, 1_000_000)
    packed.writeUInt8(21 << 3, 5)
    const before = bufferBytes()
    expect((await decompressor.unpack(packed, 1_000_000)).equals(expected)).toBe(true)
    expect(bufferBytes() - before).toBeLessThan(16_000_000)
    expect(packed.readUInt8(5)).toBe(21 << 3)
  })
})

describe('an lz4 frame of many small blocks', () => {
  const text = Buffer.from('delayed;'.repeat(200))
  const blocks = Array.from({ length: 50 }, () => lz4.compressFrameSync(text).subarray(7, -4))
  const frame = withHeaderChecksum(Buffer.concat([Buffer.from('04224d18607000', 'hex'), ...blocks, Buffer.alloc(4)]))
  const size = text.length * blocks.length

  test('is counted exactly where its blocks could hold far more', async () => {
    const lz4Frames = found(3)
    expect(lz4Frames.sizeBound(frame)).toBeGreaterThan(2 * size)
    expect(await lz4Frames.unpack(frame, size)).toHaveLength(size)
    await expect(lz4Frames.unpack(frame, size - 1)).rejects.toBeInstanceOf(OutputTooLarge)
  })

  /** The checksum is one byte of a hash: the decoder is asked which. */
  function withHeaderChecksum(bytes: Buffer): Buffer {
    for (let checksum = 0; checksum < 256; checksum++) {
      bytes.writeUInt8(checksum, 6)
      try {
        lz4.decompressFrameSync(bytes)
        return bytes
      } catch {}
    }
    throw new Error('no checksum fits')
  }
})
