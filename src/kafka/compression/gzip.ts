import { gunzip } from 'node:zlib'
import { type Decompressor, MalformedBytes, OutputTooLarge } from './decompressor.ts'

const SMALLEST_MEMBER = 18
const TRAILER_SIZE_BYTES = 4

/**
 * gzip, by Node's zlib.
 *
 * The size in the trailer is that of the last member only. Every known producer writes one member; more of them come
 * out as {@link OutputTooLarge} at first, and are unpacked when the caller allows more than `sizeBound`.
 */
export const gzip: Decompressor = {
  name: 'gzip',
  sizeBound: lastMemberSize,
  async unpack(packed, maxBytes) {
    // One output chunk for everything: with zlib's 16 KiB a batch would wait for a turn of the event loop for each.
    const chunkSize = Math.min(lastMemberSize(packed), maxBytes) + 64
    return new Promise((resolve, reject) => {
      gunzip(packed, { chunkSize, maxOutputLength: Math.max(1, maxBytes) }, (error, unpacked) => {
        if (error === null) resolve(unpacked)
        else reject(isTooLarge(error) ? new OutputTooLarge(error.message) : error)
      })
    })
  },
}

function lastMemberSize(packed: Buffer): number {
  if (packed.length < SMALLEST_MEMBER) throw new MalformedBytes(`${packed.length} bytes are no gzip member`)
  return packed.readUInt32LE(packed.length - TRAILER_SIZE_BYTES)
}

/** Whether an error of node:zlib says that `maxOutputLength` was reached. */
export function isTooLarge(error: Error): boolean {
  return (error as NodeJS.ErrnoException).code === 'ERR_BUFFER_TOO_LARGE'
}
