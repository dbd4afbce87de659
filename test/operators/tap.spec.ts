import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { assertOperatorLaws } from '../../src/testing/index.ts'
import { driverOf, fewRuns, itemwiseCases, numbers, rowsOf } from './_cases.ts'

describe('tap', () => {
  itemwiseCases({ step: 'tap', apply: (base, act) => base.tap((n, ctx) => void act(n, ctx)) })

  it('passes values on as they are, whatever the callback gives', async () => {
    const seen: number[] = []
    const t = driverOf((base) => base.tap((n) => seen.push(n)))
    await t.sendAll(numbers, [3, 4])
    expect([seen, rowsOf(t)]).toEqual([
      [3, 4],
      [3, 4],
    ])
  })

  it('keeps the laws of operators', () => assertOperatorLaws((values) => values.tap(() => {}), fc.anything(), fewRuns))
})
