import { isDeepStrictEqual } from 'node:util'
import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { Codec } from '../../src/core/codec.ts'
import { MillraceError } from '../../src/core/errors.ts'

export interface CodecContract<T> {
  readonly codec: Codec<T>
  /** Values that the codec can write. */
  readonly values: fc.Arbitrary<T>
}

/** What every codec promises, whatever its format. A new codec runs this in its own spec. */
export function codecContract<T>(name: string, { codec, values }: CodecContract<T>): void {
  const surroundings = fc.record({ before: fc.uint8Array({ maxLength: 20 }), after: fc.uint8Array({ maxLength: 20 }) })

  describe(`${name} keeps the contract of codecs`, () => {
    it('reads what it wrote, anywhere in a larger buffer', () => {
      fc.assert(
        fc.property(values, surroundings, (value, around) => {
          const { buffer, start, end } = placed(codec.encode(value), around)
          expect(isDeepStrictEqual(codec.decode(buffer, start, end), value)).toBe(true)
        }),
      )
    })

    it('keeps no reference into the bytes, and changes none', () => {
      fc.assert(
        fc.property(values, surroundings, (value, around) => {
          const { buffer, start, end } = placed(codec.encode(value), around)
          const before = Buffer.from(buffer)
          const decoded = codec.decode(buffer, start, end)
          expect(buffer.equals(before)).toBe(true)
          buffer.fill(0x5a)
          expect(isDeepStrictEqual(decoded, value)).toBe(true)
        }),
      )
    })

    it('sees its range and nothing else: damaged or not, the surroundings change neither value nor error', () => {
      fc.assert(
        fc.property(damaged(values.map((value) => codec.encode(value))), surroundings, (bytes, around) => {
          const { buffer, start, end } = placed(bytes, around)
          expect(outcome(codec, buffer, start, end)).toEqual(outcome(codec, Buffer.from(bytes), 0, bytes.length))
        }),
      )
    })
  })
}

/** What decoding gives: a value, or the text of an error of ours. Anything else that is thrown fails the test. */
export function outcome(codec: Codec<unknown>, bytes: Buffer, start = 0, end = bytes.length): unknown {
  try {
    return { value: codec.decode(bytes, start, end) }
  } catch (thrown) {
    if (!(thrown instanceof MillraceError)) throw thrown
    return { error: thrown.message }
  }
}

/** The error that decoding these bytes gives. */
export function decodeError(codec: Codec<unknown>, bytes: Buffer): MillraceError {
  return errorOf(() => codec.decode(bytes, 0, bytes.length))
}

export function errorOf(act: () => unknown): MillraceError {
  let value: unknown
  try {
    value = act()
  } catch (thrown) {
    if (thrown instanceof MillraceError) return thrown
    throw thrown
  }
  throw new Error(`nothing was thrown, but this came out: ${String(value)}`)
}

function placed(bytes: Uint8Array, around: { before: Uint8Array; after: Uint8Array }) {
  const buffer = Buffer.concat([around.before, bytes, around.after])
  return { buffer, start: around.before.length, end: around.before.length + bytes.length }
}

/** Honest bytes, cut or with some replaced, and bytes of any kind. */
export function damaged(honest: fc.Arbitrary<Buffer>): fc.Arbitrary<Buffer> {
  const cut = fc.tuple(honest, fc.nat(40)).map(([bytes, left]) => bytes.subarray(0, left))
  const changed = fc
    .tuple(honest, fc.array(fc.tuple(fc.nat(60), fc.nat(255)), { maxLength: 3 }))
    .map(([bytes, changes]) => {
      const copy = Buffer.from(bytes)
      for (const [at, byte] of changes) if (at < copy.length) copy[at] = byte
      return copy
    })
  return fc.oneof(
    honest,
    cut,
    changed,
    fc.uint8Array({ maxLength: 40 }).map((bytes) => Buffer.from(bytes)),
  )
}
