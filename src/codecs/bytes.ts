import type { Codec } from '../core/codec.ts'
import { ItemError } from '../core/errors.ts'
import { shown } from '../core/options.ts'

/**
 * The value as it is, in a Buffer of its own: the bytes of the fetch are released while items may be kept,
 * and one kept item would hold the whole fetch. Writing takes the Buffer as it is, without a copy.
 *
 * @example
 * topic('images', bytes())
 *
 * Errors of one item: MR-ENCODE-BYTES.
 */
export function bytes(): Codec<Buffer> {
  return bytesCodec
}

const bytesCodec: Codec<Buffer> = Object.freeze({ name: 'bytes', decode, encode })

function decode(source: Buffer, start: number, end: number): Buffer {
  const copy = Buffer.allocUnsafe(end - start)
  source.copy(copy, 0, start, end)
  return copy
}

function encode(value: Buffer): Buffer {
  if (Buffer.isBuffer(value)) return value
  throw new ItemError('MR-ENCODE-BYTES', {
    what: `bytes() writes Buffers, and was given ${shown(value)}`,
    fix: 'Make one: Buffer.from(value).',
  })
}
