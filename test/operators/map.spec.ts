import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { assertOperatorLaws } from '../../src/testing/index.ts'
import { driverOf, fewRuns, itemwiseCases, numbers, rowsOf } from './_cases.ts'

describe('map', () => {
  itemwiseCases({ step: 'map', apply: (base, act) => base.map(act) })

  it('gives one value for each', async () => {
    const t = driverOf((base) => base.map((n) => n * 2))
    await t.sendAll(numbers, [1, 2, 3])
    expect(rowsOf(t)).toEqual([2, 4, 6])
  })

  it('keeps the laws of operators', () =>
    assertOperatorLaws(
      (values) =>
        values.map((n) => {
          if (n % 5 === 0) throw new Error('five')
          return n * 2
        }),
      fc.integer(),
      fewRuns,
    ))
})
