import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { bytes } from '../../src/codecs/bytes.ts'
import { codecContract, errorOf } from './codecContract.ts'

codecContract('bytes()', {
  codec: bytes(),
  values: fc.uint8Array({ maxLength: 10_000 }).map((value) => Buffer.from(value)),
})

describe('bytes()', () => {
  it('is called bytes', () => {
    expect(bytes().name).toBe('bytes')
  })

  it('copies, so that one kept item does not hold a whole fetch', () => {
    const fetched = Buffer.alloc(1_000_000, 7)
    const value = bytes().decode(fetched, 10, 14)
    expect(value).toEqual(Buffer.from([7, 7, 7, 7]))
    expect(value.buffer).not.toBe(fetched.buffer)
  })

  it('refuses to write what is no Buffer', () => {
    expect(errorOf(() => bytes().encode('a' as unknown as Buffer)).message).toBe(
      'millrace: bytes() writes Buffers, and was given "a"\n  Make one: Buffer.from(value).  MR-ENCODE-BYTES',
    )
  })
})
