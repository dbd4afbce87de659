import { describe, expect, it } from 'vitest'
import { ItemError } from '../../src/core/errors.ts'
import { ByteWriter } from '../../src/postgres/byteWriter.ts'
import type { ColumnType } from '../../src/postgres/columnType.ts'
import { createEncoder } from '../../src/postgres/encoder.ts'

const place = { table: 'flights', column: 'delay', shownType: 'the type' }
const encoder = (type: ColumnType) => createEncoder(type, place)

const pair = String.fromCodePoint(0x1f600)
const half = pair.charAt(0)

const taken: readonly (readonly [ColumnType['kind'], unknown, string])[] = [
  ['int4', 7, '7'],
  ['int4', -0, '0'],
  ['int4', '42', '42'],
  ['int4', 12n, '12'],
  ['int8', 2 ** 53 - 1, '9007199254740991'],
  ['int8', 2 ** 60, '1152921504606846976'],
  ['int8', 2n ** 63n - 1n, '9223372036854775807'],
  ['int8', '-9223372036854775808', '-9223372036854775808'],
  ['float8', 1.5, '1.5'],
  ['float8', Number.NaN, 'NaN'],
  ['float8', Number.NEGATIVE_INFINITY, '-Infinity'],
  ['numeric', '0.10', '0.10'],
  ['numeric', 1e21, '1e+21'],
  ['bool', true, 't'],
  ['bool', false, 'f'],
  ['text', 'Zürich', 'Zürich'],
  ['text', pair, pair],
  ['text', 5, '5'],
  ['text', new Date(0), '1970-01-01T00:00:00.000Z'],
  ['timestamptz', 86_400_000, '1970-01-02T00:00:00.000Z'],
  ['date', new Date('2001-01-31T23:59:59Z'), '2001-01-31'],
  ['bytea', new Uint8Array([0, 255]), '\\x00ff'],
  ['json', { a: [1, null] }, '{"a":[1,null]}'],
  ['jsonb', 'text', '"text"'],
  ['jsonb', [1, 'a'], '[1,"a"]'],
  ['jsonb', String.raw`\u0000`, String.raw`"\\u0000"`],
  ['json', '\0', String.raw`"\u0000"`],
  ['other', '10.0.0.1', '10.0.0.1'],
]

const refused: readonly (readonly [ColumnType['kind'], unknown, string])[] = [
  ['int4', Number.NaN, 'the number NaN'],
  ['int4', 1.5, 'the number 1.5'],
  ['int4', 2 ** 31, 'out of range'],
  ['int2', -32_769, 'out of range'],
  ['int4', {}, 'an object'],
  ['int4', [1], 'an array'],
  ['int4', 'LAS', 'the text "LAS"'],
  ['int4', true, 'the boolean true'],
  ['int4', new Date(0), 'the Date 1970-01-01T00:00:00.000Z'],
  ['int8', 2n ** 63n, 'out of range'],
  ['int8', 2 ** 63, 'out of range'],
  ['float8', 'x', 'the text "x"'],
  ['numeric', {}, 'an object'],
  ['bool', 1, 'the number 1'],
  ['text', {}, 'an object'],
  ['text', 'a\0b', 'U+0000'],
  ['text', `a${half}`, 'half of a surrogate pair'],
  ['text', `a${half}b`, 'half of a surrogate pair'],
  ['timestamptz', new Date(Number.NaN), 'an invalid Date'],
  ['timestamptz', Number.POSITIVE_INFINITY, 'no valid time'],
  ['date', {}, 'an object'],
  ['bytea', 5, 'the number 5'],
  ['jsonb', '\0', 'jsonb cannot hold'],
  ['jsonb', { a: half }, 'jsonb cannot hold'],
  ['jsonb', { a: '\\\0' }, 'jsonb cannot hold'],
  ['json', () => 1, 'a function'],
  ['json', 1n, 'BigInt'],
  ['uuid', {}, 'an object'],
  ['other', Symbol('x'), 'a symbol'],
]

describe('encoders', () => {
  it.each(taken)('%s takes %s', (kind, value, text) => {
    expect(encoder({ kind }).text(value)).toBe(text)
  })

  it.each(taken)('%s writes %s into a line as its text', (kind, value) => {
    const { text, write } = encoder({ kind })
    const line = (fill: (out: ByteWriter) => void) => {
      const out = new ByteWriter()
      fill(out)
      return out.bytes.toString('utf8', 0, out.length)
    }
    const lines = line((out) => write(out, value))
    expect(kind === 'timestamptz' ? lines.replace('Z', '.000Z') : lines).toBe(line((out) => out.escaped(text(value))))
  })

  it.each(refused)('%s refuses %s', (kind, value, text) => {
    for (const attempt of [
      () => encoder({ kind }).text(value),
      () => encoder({ kind }).write(new ByteWriter(), value),
    ]) {
      expect(attempt).toThrow(ItemError)
      expect(attempt).toThrow(text)
    }
  })

  it('names column, table, type and what was given', () => {
    expect(() => createEncoder({ kind: 'int4' }, { ...place, shownType: 'integer' }).text({})).toThrow(
      'millrace: column "delay" of table "flights" is integer and cannot take an object\n' +
        '  Convert the value in a map() before it is written, or change the type of the column.  MR-SINK-TYPE',
    )
  })

  it('writes arrays, of more dimensions too, and typed arrays', () => {
    const integers = encoder({ kind: 'array', element: { kind: 'int4' } })
    expect(integers.text([1, null, 2])).toBe('{"1",NULL,"2"}')
    expect(integers.text([[1], [2]])).toBe('{{"1"},{"2"}}')
    expect(integers.text(Int16Array.of(3, 4))).toBe('{"3","4"}')
    expect(integers.text('{1,2}')).toBe('{1,2}')
    expect(() => integers.text([1, 'x'])).toThrow(ItemError)
    expect(() => integers.text({})).toThrow(ItemError)
    expect(encoder({ kind: 'array', element: { kind: 'jsonb' } }).text([[1], { a: '"' }])).toBe(
      String.raw`{"[1]","{\"a\":\"\\\"\"}"}`,
    )
  })

  it('tells which values the database cannot refuse', () => {
    const varchar = encoder({ kind: 'text', maxLength: 3 })
    expect([varchar.sure('abc'), varchar.sure('abcd')]).toEqual([true, false])
    const money = encoder({ kind: 'numeric', digits: { before: 3, after: 2 } })
    expect(['999.99', '1000', '0.125', 5, Number.NaN].map((value) => money.sure(value))).toEqual([
      true,
      false,
      false,
      true,
      false,
    ])
    expect(encoder({ kind: 'timestamptz' }).sure('2001-01-01T00:00:00Z')).toBe(true)
    expect(encoder({ kind: 'timestamptz' }).sure('soon')).toBe(false)
    expect(encoder({ kind: 'float8' }).sure(1e308)).toBe(false)
    expect(encoder({ kind: 'float4' }).sure(1e-40)).toBe(false)
    expect(encoder({ kind: 'uuid' }).sure('6a1f6f0e-6d2c-4f7e-9d50-0d7b7b8b6a11')).toBe(true)
    expect(encoder({ kind: 'other' }).sure('red')).toBe(false)
    expect(encoder({ kind: 'array', element: { kind: 'int4' } }).sure([1, [2]])).toBe(false)
  })
})
