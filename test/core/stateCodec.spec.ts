import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { durationMs, durationText } from '../../src/core/duration.ts'
import { keyOfText, requireStorable, textOfKey } from '../../src/core/key.ts'
import { decodeState, encodeState } from '../../src/core/stateCodec.ts'

const leaf = fc.oneof(
  fc.string({ unit: 'binary' }),
  fc.double(),
  fc.bigInt(),
  fc.boolean(),
  fc.constant(null),
  fc.date(),
  fc.uint8Array().map((bytes) => Buffer.from(bytes)),
)
const { state } = fc.letrec<{ state: unknown }>((tie) => ({
  state: fc.oneof(
    { depthSize: 'small' },
    leaf,
    fc.array(tie('state')),
    fc.dictionary(fc.oneof(fc.string(), fc.constantFrom('$date', '$map', '$object', '$x', '__proto__')), tie('state')),
    fc.array(fc.tuple(leaf, tie('state'))).map((entries) => new Map(entries)),
    fc.array(leaf).map((held) => new Set(held)),
  ),
}))

describe('state', () => {
  test('is read back as it was', () => {
    fc.assert(
      fc.property(state, (value) => {
        const back = decodeState(encodeState(value))
        expect(encodeState(back)).toBe(encodeState(value))
        if (!JSON.stringify(encodeState(value)).includes('Invalid Date')) expect(back).toEqual(plain(value))
      }),
    )
  })

  test('is JSON that can be looked at', () => {
    const at = new Date(0)
    expect(encodeState({ n: 1, at, gone: undefined })).toBe('{"n":1,"at":{"$date":"1970-01-01T00:00:00.000Z"}}')
    expect(encodeState([1, 2.5])).toBe('[1,2.5]')
    expect(encodeState([Number.NaN, -0, 5n])).toBe('[{"$number":"NaN"},{"$number":"-0"},{"$bigint":"5"}]')
    expect(encodeState({ $date: 5 })).toBe('{"$object":{"$date":5}}')
  })

  test('refuses what would not be the same', () => {
    const circle: unknown[] = []
    circle.push(circle)
    for (const value of [() => 1, Symbol('x'), new URL('http://a'), circle]) {
      expect(() => encodeState({ value })).toThrow(/MR-STATE-VALUE/)
    }
  })
})

/** Objects of dictionaries may have no prototype. */
function plain(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(plain)
  if (typeof value !== 'object' || value === null || Object.getPrototypeOf(value) !== null) return value
  return Object.fromEntries(Object.entries(value).map(([name, held]) => [name, plain(held)]))
}

test('a key is found again by its text, and keys of different types are different', () => {
  const key = fc.oneof(fc.string(), fc.double({ noNaN: true, noDefaultInfinity: true }), fc.bigInt(), fc.boolean())
  fc.assert(
    fc.property(key, (one) => {
      expect(keyOfText(textOfKey(one))).toEqual(Object.is(one, -0) ? 0 : one)
    }),
  )
  expect(new Set([1, '1', 1n, true, 'true', '\u0001n1'].map(textOfKey)).size).toBe(6)
  expect(() => requireStorable('a\0')).toThrow(/MR-KEY/)
  expect(() => requireStorable('x'.repeat(513))).toThrow(/513 characters; 512 are possible/)
})

test('a duration is the sum of its parts', () => {
  expect(durationMs('x', { days: 1, hours: 2, minutes: 3, seconds: 4, milliseconds: 5 })).toBe(93_784_005)
  expect(durationText(93_784_005)).toBe('1d2h3m4s5ms')
  expect(durationText(0)).toBe('0')
  expect(() => durationMs('x', { seconds: 0.0001 })).toThrow(/must be a whole number of milliseconds, but is 0.1 ms/)
  expect(() => durationMs('x', {})).toThrow(/must be a duration/)
})
