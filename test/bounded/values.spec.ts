/** What is kept of values that were handed over as they are, and how large they are taken to be. */
import { beforeEach, describe, expect, test } from 'vitest'
import { lines, query } from '../../src/bounded/index.ts'
import { keptValue, keptValueCodec } from '../../src/bounded/keptValue.ts'
import { sizeOf } from '../../src/bounded/sizeOf.ts'
import { json } from '../../src/codecs/index.ts'
import { describe as describePlan, stream } from '../../src/stream.ts'
import { Runs } from './_run.ts'

describe('a value is kept', () => {
  const cyclic: Record<string, unknown> = {}
  cyclic.self = cyclic
  test.each([
    ['an object', { a: [1, null, 'x'], at: new Date(0), none: undefined }],
    ['null', null],
    ['a text', 'x'],
  ])('as JSON: %s', (_, value) => {
    expect(keptValue(value)).toEqual({ bytes: Buffer.from(JSON.stringify(value)), lost: undefined })
  })

  test.each([
    ['undefined', undefined, 'undefined', /no undefined/],
    ['a bigint', { n: 5n }, '{ n: 5n }', /no bigint/],
    ['a function', [() => 1], '[ [Function (anonymous)] ]', /no function/],
    ['NaN', { n: Number.NaN }, '{ n: NaN }', /no NaN/],
    ['a map', new Map([[1, 2]]), 'Map(1) { 1 => 2 }', /no Map/],
    ['a hole', [1, undefined], '[ 1, undefined ]', /no undefined/],
    ['what refers to itself', cyclic, '<ref *1> { self: [Circular *1] }', /circular/],
    ['what throws when it is looked at', { toJSON: () => fail() }, '{ toJSON: [Function: toJSON] }', /bad/],
  ])('as text where JSON cannot hold it: %s', (_, value, text, lost) => {
    expect(keptValue(value)).toEqual({ bytes: Buffer.from(text), lost: expect.stringMatching(lost) })
    const codec = keptValueCodec<unknown>()
    const { bytes } = keptValue(value)
    expect(() => codec.decode(bytes, 0, bytes.length)).toThrow(expect.objectContaining({ code: 'MR-DECODE-KEPT' }))
  })

  let runs: Runs
  beforeEach(() => {
    runs = new Runs()
  })

  test('in the error collector, which says when it is text', async () => {
    await runs.run(
      stream('s')
        .from([{ n: 1 }, { n: 2n }])
        .tap(fail),
    )
    expect(runs.store.collected.map(({ value, headers }) => [String(value), headers.map(String)])).toEqual([
      ['{"n":1}', []],
      ['{ n: 2n }', [expect.anything()]],
    ])
    const [header] = runs.store.collected[1]?.headers ?? []
    expect(header).toEqual({ key: 'millrace-kept-as', value: Buffer.from('text, because JSON has no bigint') })
  })

  test('only where somebody asks for it', async () => {
    let asked = 0
    const values = [1, 2, 3].map((n) => ({ n, toJSON: () => asked++ }))
    await runs.run(stream('s').from(values).batch({ max: 2 }))
    // For the fingerprint of the last one.
    expect(asked).toBe(1)
  })
})

function fail(): never {
  throw new Error('bad')
}

test('the size of a value is guessed', () => {
  expect(sizeOf('x'.repeat(1_000))).toBeGreaterThanOrEqual(1_000)
  expect(sizeOf(Buffer.alloc(500))).toBe(500)
  const rows = Array.from({ length: 10_000 }, (_, n) => ({ n, word: 'word' }))
  expect(sizeOf(rows)).toBeGreaterThan(10_000 * 20)
  expect(sizeOf(rows)).toBeLessThan(10_000 * 200)
  expect(
    sizeOf({
      get bad() {
        return fail()
      },
    }),
  ).toBeLessThan(100)
  expect(sizeOf(null)).toBe(0)
})

describe('a plan', () => {
  test('is drawn with what it reads', () => {
    const sql = 'select id, name, price, amount from orders where price > $1 order by id'
    expect(
      describePlan([
        stream('a').from([1]),
        stream('b').from(lines('in/x.jsonl', json())),
        stream('c').from(query(sql)),
      ]),
    ).toBe(
      [
        'stream "a"',
        '  from:array           array',
        'stream "b"',
        '  from:in/x.jsonl      lines of in/x.jsonl, json',
        'stream "c"',
        '  from:query           select id, name, price, amount from orders where price > $1…',
      ].join('\n'),
    )
  })

  test.each([
    ['a text', 'abc', /put a text into a list/],
    ['a function', () => [1], /Call the function/],
    ['a number', 5, /lines\(\) of a file/],
    ['nothing', undefined, /lines\(\) of a file/],
  ])('does not read %s', (_, input, said) => {
    expect(() => stream('s').from(input as never)).toThrow(expect.objectContaining({ code: 'MR-PLAN-INPUT' }))
    expect(() => stream('s').from(input as never)).toThrow(said)
  })

  test('has inputs that are given right', () => {
    const wrong = { code: 'MR-PLAN-OPTION' }
    expect(() => lines('', json())).toThrow(expect.objectContaining(wrong))
    expect(() => lines('x', undefined as never)).toThrow(expect.objectContaining(wrong))
    expect(() => lines('x', json(), { emptyLines: 'drop' as never })).toThrow(expect.objectContaining(wrong))
    expect(() => query(' ')).toThrow(expect.objectContaining(wrong))
    expect(() => query('select $1', { params: 'x' as never })).toThrow(expect.objectContaining(wrong))
    expect(() => query('select 1', { by: '' } as never)).toThrow(expect.objectContaining(wrong))
    expect(() => stream('s').from([1], { nane: 'x' } as never)).toThrow(/did you mean "name"/)
  })
})
