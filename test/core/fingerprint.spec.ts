import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { fingerprint, normalisedMessage, userLine } from '../../src/core/fingerprint.ts'

const of = (message: string, { step = 'map', name = 'Error' } = {}) => fingerprint(step, { name, message })

/** What differs from item to item, by kind. */
const own: Readonly<Record<string, fc.Arbitrary<string>>> = {
  number: fc.oneof(fc.integer().map(String), fc.double({ noNaN: true, noDefaultInfinity: true }).map(String)),
  uuid: fc.uuid(),
  hex: fc.stringMatching(/^[0-9a-f]{7}[0-9][0-9a-f]{0,24}$/),
  text: fc.string().map((text) => JSON.stringify(text)),
  date: fc
    .date({ min: new Date('0001-01-01'), max: new Date('9999-12-31'), noInvalidDate: true })
    .map((date) => date.toISOString()),
  path: fc
    .array(fc.stringMatching(/^[\w.-]{1,8}$/), { minLength: 2, maxLength: 5 })
    .map((parts) => `/${parts.join('/')}`),
}

describe('errors have one fingerprint', () => {
  test.each(Object.keys(own))('when their messages differ in a %s only', (kind) => {
    const parts = own[kind] as fc.Arbitrary<string>
    fc.assert(
      fc.property(
        parts,
        parts,
        fc.constantFrom('order # is late', 'cannot read #', '#: no such thing', 'a=#, b=#'),
        (a, b, text) => {
          expect(of(text.replaceAll('#', a))).toBe(of(text.replaceAll('#', b)))
        },
      ),
    )
  })

  test.each([
    ['row 17 of 4711 is bad', 'row <n> of <n> is bad'],
    ['no customer "Müller \\"A\\""', 'no customer <text>'],
    ['it is 2026-11-23T08:00:01.5+01:00, not 2026-11-24', 'it is <date>, not <date>'],
    ["key 'a' of `b`", 'key <text> of <text>'],
    ['0x7fe at 1.5e-7, deadbeef01 after 30ms', '<n> at <n>, <n> after <n>ms'],
    ['cannot open /var/lib/x.json', 'cannot open <path>'],
    ['6a1f6f0e-6d2c-4f7e-9d50-0d7b7b8b6a11 is gone', '<uuid> is gone'],
    ["can't find it", "can't find it"],
  ])('%s', (message, normalised) => {
    expect(normalisedMessage(message)).toBe(normalised)
  })

  test('when a quoted part is longer than what is looked at', () => {
    expect(normalisedMessage(`a very long "${'x'.repeat(5_000)}" and 5`)).toBe('a very long <text>')
  })

  test('of 16 hexadecimal digits, whatever the message', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 3_000 }), (message) => {
        expect(of(message)).toMatch(/^[0-9a-f]{16}$/)
      }),
    )
  })
})

test('steps, classes and messages that differ in words have fingerprints of their own', () => {
  const message = 'order 17 is late'
  const all = [of(message), of(message, { step: 'tap' }), of(message, { name: 'TypeError' }), of('order 17 is early')]
  expect(new Set(all).size).toBe(4)
  // What is put side by side does not run into each other.
  expect(of('b', { name: 'a', step: 'x' })).not.toBe(of('ab', { name: '', step: 'x' }))
})

describe("the line of an error in the user's own code", () => {
  const millrace = new URL('../../', import.meta.url).pathname
  const stack = (...places: string[]) =>
    ['Error: at all (a/b.ts:1)', ...places.map((place) => `    at ${place}`)].join('\n')

  test('is the first that is not in Node, in a package or in millrace', () => {
    expect(
      userLine(
        stack(
          'JSON.parse (<anonymous>)',
          'parse (node:internal/x:1:2)',
          'Object.of (/srv/app/node_modules/zod/index.js:5:7)',
          `next (${millrace}src/runtime/drive.ts:10:3)`,
          `attach (file://${millrace}operators/map.ts:1:1)`,
          'async Promise.all (index 0)',
          'async toRow (file:///srv/app/streams/flights.ts:12:5)',
          '/srv/app/streams/other.ts:1:1',
        ),
      ),
    ).toBe('/srv/app/streams/flights.ts:12:5')
    expect(userLine(stack('/srv/app/plan.ts:3:1'))).toBe('/srv/app/plan.ts:3:1')
  })

  test('is not there where there is none', () => {
    expect(userLine(null)).toBeNull()
    expect(userLine('')).toBeNull()
    expect(userLine(stack('parse (node:internal/x:1:2)'))).toBeNull()
  })

  test('is looked for in bounded time, in a stack of any text', () => {
    const hostile = `Error\n    at ${'('.repeat(200_000)}\n${`    at ${'((a:1'.repeat(180)}\n`.repeat(1_000)}`
    // Without the bounds it takes longer than a test may.
    expect(userLine(hostile)).toBeNull()
  })
})
