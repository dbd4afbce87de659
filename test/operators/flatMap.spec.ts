import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { signal } from '../../src/core/signal.ts'
import { assertOperatorLaws } from '../../src/testing/index.ts'
import { driverOf, fewRuns, itemwiseCases, numbers, outcomesOf, rowsOf } from './_cases.ts'

describe('flatMap', () => {
  itemwiseCases({ step: 'flatMap', apply: (base, act) => base.flatMap((n, ctx) => [act(n, ctx)]) })

  describe('of a generator', () => {
    itemwiseCases({
      step: 'flatMap',
      apply: (base, act) =>
        base.flatMap(function* (n, ctx) {
          yield act(n, ctx)
        }),
    })
  })

  it('gives none, one or many for each, in order', async () => {
    const t = driverOf((base) => base.flatMap((n) => Array.from({ length: n }, (_, index) => n * 10 + index)))
    await t.sendAll(numbers, [0, 1, 3])
    expect(rowsOf(t)).toEqual([10, 30, 31, 32])
    expect(outcomesOf(t)).toEqual(['0 filtered', '1 done', '2 done'])
  })

  it('undoes all values of an item with the one that fails', async () => {
    const t = driverOf((base) =>
      base
        .flatMap((n) => [n, n + 1, n + 2])
        .tap((n) => {
          if (n === 12) throw new Error('twelve')
        }),
    )
    await t.sendAll(numbers, [0, 10, 20])
    expect(rowsOf(t)).toEqual([0, 1, 2, 20, 21, 22])
  })

  it('leaves the others alone where one value continues', async () => {
    const t = driverOf((base) =>
      base.flatMap((n) => [n, n + 1, n + 2]).map((n) => (n % 10 === 1 ? signal.continue() : n)),
    )
    await t.sendAll(numbers, [0, 10])
    expect(rowsOf(t)).toEqual([0, 2, 10, 12])
    expect(outcomesOf(t)).toEqual(['0 done', '1 done'])
  })

  it('counts an item as continued of which no value came through', async () => {
    const t = driverOf((base) => base.flatMap((n) => [n, n]).map((): number => signal.continue()))
    await t.sendAll(numbers, [0])
    expect(outcomesOf(t)).toEqual(['0 continued'])
  })

  it('ends an endless iterable where a later step ignores, and closes it', async () => {
    let closed = 0
    const t = driverOf((base) =>
      base
        .flatMap(function* (n) {
          try {
            for (let value = n; ; value++) yield value
          } finally {
            closed++
          }
        })
        .tap((n) => {
          if (n % 10 === 5) signal.ignore('enough')
        }),
    )
    await t.sendAll(numbers, [0, 10])
    expect([rowsOf(t), closed]).toEqual([[], 2])
    expect(outcomesOf(t)).toEqual(['0 ignored', '1 ignored'])
  })

  it('names the step whose code runs between two values', async () => {
    const t = driverOf((base) =>
      base
        .flatMap(function* (n) {
          yield n
          throw new Error('late')
        })
        .map((n) => n),
    )
    await t.sendAll(numbers, [0])
    expect(t.errors()).toMatchObject([{ step: 'flatMap', error: { message: 'late' } }])
  })

  it('keeps the laws of operators', () =>
    assertOperatorLaws((values) => values.flatMap((n) => Array(n % 4).fill(n)), fc.nat(), fewRuns))
})

describe('flatten', () => {
  it('gives the elements of arrays', async () => {
    const t = driverOf((base) =>
      base
        .map((n) => Array.from({ length: n }, () => n))
        .flatten()
        .named('elements'),
    )
    await t.sendAll(numbers, [2, 0, 1])
    expect(rowsOf(t)).toEqual([2, 2, 1])
    expect(outcomesOf(t)).toEqual(['0 done', '1 filtered', '2 done'])
  })

  it('gives back the members of groups', async () => {
    const t = driverOf((base) => base.batch({ max: 2 }).flatten())
    await t.sendAll(numbers, [1, 2, 3])
    expect(rowsOf(t)).toEqual([1, 2, 3])
  })

  it('collects what is no array', async () => {
    const t = driverOf((base) => base.map((n) => (n === 1 ? (null as unknown as number[]) : [n])).flatten())
    await t.sendAll(numbers, [0, 1, 2])
    expect(rowsOf(t)).toEqual([0, 2])
    expect(t.errors()).toMatchObject([{ offset: 1, step: 'flatten' }])
  })

  it('keeps the laws of operators', () =>
    assertOperatorLaws((values) => values.flatten(), fc.array(fc.integer(), { maxLength: 4 }), fewRuns))
})
