import * as zlib from 'node:zlib'
import { type Decompressor, OutputTooLarge } from './decompressor.ts'
import { isTooLarge } from './gzip.ts'
import { scanZstd, shrinkWindows } from './zstdFrame.ts'

type NodeZstd = (
  packed: Uint8Array,
  options: { chunkSize: number; maxOutputLength: number },
  callback: (error: Error | null, unpacked: Buffer) => void,
) => void

/** In Node.js since 22.15; the types of Node.js 20 do not have it. */
const nodeZstd = (zlib as { zstdDecompress?: NodeZstd }).zstdDecompress

/** zstd, by Node's zlib where it has it. */
export const zstd: Decompressor = nodeZstd === undefined ? createZstdInJavaScript() : createZstdInNode(nodeZstd)

function createZstdInNode(decompress: NodeZstd): Decompressor {
  return {
    name: 'zstd',
    sizeBound: (packed) => scanZstd(packed).sizeBound,
    async unpack(packed, maxBytes) {
      const chunkSize = Math.min(scanZstd(packed).sizeBound, maxBytes) + 64
      return new Promise((resolve, reject) => {
        decompress(packed, { chunkSize, maxOutputLength: Math.max(1, maxBytes) }, (error, unpacked) => {
          if (error === null) resolve(unpacked)
          else reject(isTooLarge(error) ? new OutputTooLarge(error.message) : error)
        })
      })
    },
  }
}

/**
 * zstd by `fzstd`, on the main thread. It has no cap, so the bound is the cap: a batch whose last blocks are not full
 * is refused up to 128 KiB a frame too early.
 */
export function createZstdInJavaScript(): Decompressor {
  return {
    name: 'zstd',
    sizeBound: (packed) => scanZstd(packed).sizeBound,
    async unpack(packed, maxBytes) {
      const { sizeBound } = scanZstd(packed)
      if (sizeBound > maxBytes) throw new OutputTooLarge(`the frames unpack to as much as ${sizeBound} bytes`)
      const { decompress } = await import('fzstd')
      const unpacked = decompress(shrinkWindows(packed))
      return Buffer.from(unpacked.buffer, unpacked.byteOffset, unpacked.length)
    },
  }
}
