import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { assertOperatorLaws } from '../../src/testing/index.ts'
import { driverOf, fewRuns, itemwiseCases, numbers, outcomesOf, rowsOf } from './_cases.ts'

describe('filter', () => {
  itemwiseCases({ step: 'filter', apply: (base, act) => base.filter((n, ctx) => act(n, ctx) >= 0) })

  it('drops what the predicate refuses, and counts it', async () => {
    const t = driverOf((base) => base.filter((n) => n % 2 === 0))
    await t.sendAll(numbers, [0, 1, 2, 3])
    expect(rowsOf(t)).toEqual([0, 2])
    expect(outcomesOf(t)).toEqual(['0 done', '1 filtered', '2 done', '3 filtered'])
  })

  it('moves progress on where it drops everything', async () => {
    const t = driverOf((base) => base.filter(() => false))
    await t.sendAll(numbers, [0, 1, 2])
    expect(t.commits()).toMatchObject([{ items: 3, rows: 0, inputs: [{ nextOffset: 3 }] }])
  })

  it('keeps the laws of operators', () =>
    assertOperatorLaws((values) => values.filter((n) => n % 3 !== 0), fc.integer(), fewRuns))
})
