import type { Decompressor } from './decompressor.ts'
import { gzip } from './gzip.ts'
import { createLz4 } from './lz4.ts'
import { createSnappy } from './snappy.ts'
import { zstd } from './zstd.ts'

/** By the number that a record batch's attributes carry; 0 is no compression. */
const decompressors: readonly (Decompressor | undefined)[] = [
  undefined,
  gzip,
  createSnappy(async () => (await import('snappy')).default),
  createLz4(async () => (await import('lz4-napi')).default),
  zstd,
]

/** The decompressor for a compression number of Kafka's; undefined when there is none by that number. */
export function decompressorOf(compression: number): Decompressor | undefined {
  return decompressors[compression]
}
