import { expect, test } from 'vitest'
import { MalformedBytes } from '../../../src/kafka/compression/decompressor.ts'
import { createZstdInJavaScript } from '../../../src/kafka/compression/zstd.ts'
import { scanZstd, shrinkWindows } from '../../../src/kafka/compression/zstdFrame.ts'

const hex = (text: string) => Buffer.from(text.replaceAll(' ', ''), 'hex')
const MAGIC = '28b52ffd'
const raw3 = '190000 616263'
const raw300 = `610900 ${'61'.repeat(300)}`

const frames: readonly (readonly [string, string, number])[] = [
  ['no size, a window', `${MAGIC} 00 58 ${raw3}`, 3],
  ['a size of one byte', `${MAGIC} 20 03 ${raw3}`, 3],
  ['a size of two bytes, which counts from 256', `${MAGIC} 60 2c00 ${raw300}`, 300],
  ['a size of four bytes', `${MAGIC} a0 03000000 ${raw3}`, 3],
  ['a size of eight bytes', `${MAGIC} e0 0300000000000000 ${raw3}`, 3],
  ['a size and a window', `${MAGIC} 80 58 03000000 ${raw3}`, 3],
  ['a checksum, then another frame', `${MAGIC} 04 58 ${raw3} 12345678 ${MAGIC} 00 58 ${raw3}`, 6],
  ['a skippable frame first', `532a4d18 05000000 0102030405 ${MAGIC} 00 58 ${raw3}`, 3],
  ['a repeated block', `${MAGIC} 00 58 420000 61 ${raw3}`, 11],
]

test.each(frames)('%s', async (_, text, size) => {
  const packed = hex(text)
  expect(scanZstd(packed).sizeBound).toBe(size)
  const unpacked = await createZstdInJavaScript().unpack(packed, size)
  expect(unpacked.toString()).toMatch(/^a+(bc)?/)
  expect(unpacked).toHaveLength(size)
})

test('a dictionary id is stepped over', () => {
  expect(scanZstd(hex(`${MAGIC} 03 58 01000000 ${raw3}`)).sizeBound).toBe(3)
})

test('a compressed block counts as the largest that its window allows', () => {
  expect(scanZstd(hex(`${MAGIC} 00 58 1d0000 616263`)).sizeBound).toBe(128 * 1024)
  expect(scanZstd(hex(`${MAGIC} 00 00 1d0000 616263`)).sizeBound).toBe(1024)
})

test.each([
  ['no frame', '00112233 44556677 88'],
  ['a cut magic', '28b5'],
  ['a cut header', `${MAGIC} e0 0300 0000`],
  ['a cut block', `${MAGIC} 00 58 190000 61`],
  ['no last block', `${MAGIC} 00 58 180000 616263`],
  ['a block of a reserved type', `${MAGIC} 00 58 1f0000 616263`],
])('%s is malformed', (_, text) => {
  expect(() => scanZstd(hex(text))).toThrow(MalformedBytes)
})

test('windows shrink to what their frames need, and frames that need no less are left alone', () => {
  const window = (descriptor: number) => hex(`${MAGIC} 00 ${descriptor.toString(16).padStart(2, '0')} ${raw3}`)
  expect(shrinkWindows(window(0x58)).readUInt8(5)).toBe(7 << 3)
  for (const descriptor of [7 << 3, 0]) {
    const packed = window(descriptor)
    expect(shrinkWindows(packed)).toBe(packed)
  }
})
