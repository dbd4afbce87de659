import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { addDecimals, type Cell, mergeRule } from '../../src/postgres/merge.ts'
import { inWaves, mergedCells } from '../../src/postgres/upsertRows.ts'

const merged = (
  rule: Parameters<typeof mergeRule>[0],
  kind: Parameters<typeof mergeRule>[1],
  cells: readonly Cell[],
) => {
  const merge = mergeRule(rule, kind)
  if (merge === undefined) return 'left to the database'
  return cells.reduce((earlier, later) => merge(earlier, later))
}

describe('mergeRule', () => {
  it('replaces, keeps, adds and compares', () => {
    expect(merged('replace', 'text', ['a', 'b', null])).toBe(null)
    expect(merged('keep', 'text', ['a', 'b'])).toBe('a')
    expect(merged('add', 'int4', [1, 2, -5])).toBe(-2)
    expect(merged('add', 'float8', [0.5, 0.25])).toBe(0.75)
    expect(merged('min', 'int8', [3, '-9223372036854775808', 4])).toBe('-9223372036854775808')
    expect(merged('max', 'numeric', ['1.10', '1.1', '0.9'])).toBe('1.10')
    expect(merged('max', 'float8', [1, Number.NaN, 2])).toBeNaN()
    expect(merged('min', 'float8', [Number.NaN, 2])).toBe(2)
  })

  it('passes nulls over where the database does', () => {
    for (const rule of ['add', 'min', 'max'] as const) {
      expect(merged(rule, 'int4', [null, 3, null])).toBe(3)
      expect(merged(rule, 'int4', [null, null])).toBe(null)
    }
  })

  it('leaves to the database how texts and times compare', () => {
    expect(merged('min', 'text', ['a', 'b'])).toBe('left to the database')
    expect(merged('max', 'timestamptz', ['a', 'b'])).toBe('left to the database')
    expect(merged('add', 'other', ['a', 'b'])).toBe('left to the database')
  })

  it('adds integers exactly beyond 2^53', () => {
    expect(merged('add', 'int8', [Number.MAX_SAFE_INTEGER, 2])).toBe('9007199254740993')
    fc.assert(
      fc.property(fc.array(fc.bigInt(-(2n ** 62n), 2n ** 62n), { minLength: 1 }), (values) => {
        const cells = values.map((value) => (Number.isSafeInteger(Number(value)) ? Number(value) : String(value)))
        expect(String(merged('add', 'int8', cells))).toBe(String(values.reduce((a, b) => a + b)))
      }),
    )
  })

  it('adds decimals exactly', () => {
    expect(addDecimals('0.1', '0.2')).toBe('0.3')
    expect(addDecimals('-0.05', '0.050')).toBe('0.000')
    expect(addDecimals('1e3', '1e-3')).toBe('1000.001')
    expect(addDecimals('-1', '-.5')).toBe('-1.5')
    const cents = fc.bigInt(-(10n ** 20n), 10n ** 20n)
    const asDecimal = (value: bigint) => {
      const digits = String(value < 0n ? -value : value).padStart(3, '0')
      return `${value < 0n ? '-' : ''}${digits.slice(0, -2)}.${digits.slice(-2)}`
    }
    fc.assert(
      fc.property(cents, cents, (a, b) => {
        expect(addDecimals(asDecimal(a), asDecimal(b))).toBe(asDecimal(a + b))
      }),
    )
  })
})

describe('mergedCells', () => {
  it('gives one row per key, sorted, as one upsert after the other would', () => {
    const entry = fc.record({
      key: fc.constantFrom('b', 'a', 'c'),
      add: fc.integer({ min: -9, max: 9 }),
      last: fc.string(),
      first: fc.string(),
    })
    fc.assert(
      fc.property(fc.array(entry), (entries) => {
        const expected = new Map<string, { add: number; last: string; first: string }>()
        for (const { key, add, last, first } of entries) {
          const known = expected.get(key)
          expected.set(key, { add: (known?.add ?? 0) + add, last, first: known?.first ?? first })
        }
        const columns = [
          { cells: entries.map(({ key }) => key), merge: mergeRule('key', 'text') },
          { cells: entries.map(({ add }) => add), merge: mergeRule('add', 'int4') },
          { cells: entries.map(({ last }) => last), merge: mergeRule('replace', 'text') },
          { cells: entries.map(({ first }) => first), merge: mergeRule('keep', 'text') },
        ]
        const [keys, adds, lasts, firsts] =
          mergedCells(
            columns,
            Int32Array.from(entries.keys()),
            entries.map(({ key }) => key),
          ) ?? []
        expect(keys).toEqual([...expected.keys()].sort())
        expect(
          keys?.map((key, index) => [key, { add: adds?.[index], last: lasts?.[index], first: firsts?.[index] }]),
        ).toEqual(keys?.map((key) => [key, expected.get(String(key))]))
      }),
    )
  })
})

describe('inWaves', () => {
  const plan = fc.array(fc.tuple(fc.constantFrom('a', 'b', 'c'), fc.integer({ min: 0, max: 1 })))

  it('holds every row once, no key twice in a wave, and the rows of a key in their order', () => {
    fc.assert(
      fc.property(plan, fc.boolean(), (rows, inOrder) => {
        const keys = rows.map(([key]) => key)
        const waves = inWaves(
          keys,
          rows.map(([, shape]) => shape),
          inOrder,
        )
        for (const wave of waves) expect(new Set(wave.map((index) => keys[index])).size).toBe(wave.length)
        expect(waves.flat().sort((a, b) => a - b)).toEqual([...keys.keys()])
        for (const key of new Set(keys)) {
          const places = waves.flat().filter((index) => keys[index] === key)
          expect(places).toEqual([...places].sort((a, b) => a - b))
        }
      }),
    )
  })

  it('keeps offset order throughout where rows of different keys may clash', () => {
    fc.assert(
      fc.property(plan, (rows) => {
        const waves = inWaves(
          rows.map(([key]) => key),
          rows.map(([, shape]) => shape),
          true,
        )
        expect(waves.flat()).toEqual([...rows.keys()])
        for (const wave of waves) expect(new Set(wave.map((index) => rows[index]?.[1])).size).toBe(1)
      }),
    )
  })

  it('takes every lock in the first round, in the order of the keys', () => {
    expect(inWaves(['c', 'a', 'c', 'b'], [0, 0, 0, 0], false)).toEqual([[1, 3, 0], [2]])
  })
})
