import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { BudgetCount } from '../../src/runtime/errorBudget.ts'

const budget = { inARow: 100, share: 0.5 }

function counted(items: Iterable<boolean>, count = new BudgetCount(null)): BudgetCount {
  for (const collected of items) count.add(collected)
  return count
}

function repeated(collected: boolean, times: number): boolean[] {
  return new Array<boolean>(times).fill(collected)
}

describe('the error budget of a task', () => {
  test('is used up by as many in a row as it allows, and not by one less', () => {
    expect(counted(repeated(true, 99)).exceeded(budget)).toBeUndefined()
    expect(counted(repeated(true, 100)).exceeded(budget)).toBe('100 items in a row were collected')
    expect(counted([...repeated(true, 99), false, true]).exceeded(budget)).toBeUndefined()
  })

  test('is used up by more than its share of the last 1,000 items', () => {
    const half = Array.from({ length: 1_000 }, (_, index) => index % 2 === 0)
    expect(counted(half).exceeded(budget)).toBeUndefined()
    expect(counted([...half, true, true]).exceeded(budget)).toBe('501 of the last 1000 items were collected')
    expect(counted([...repeated(true, 80), ...repeated(false, 30)]).exceeded(budget)).toBeUndefined()
  })

  test('is the same after any restart, and counts what a plain list counts', () => {
    const parts = fc.array(fc.array(fc.boolean(), { maxLength: 400 }), { maxLength: 8 })
    const limits = fc.record({ inARow: fc.integer({ min: 1, max: 20 }), share: fc.constantFrom(0, 0.4, 0.5, 0.6) })
    fc.assert(
      fc.property(parts, limits, (batches, limit) => {
        let count = new BudgetCount(null)
        for (const batch of batches) count = new BudgetCount(counted(batch, count).toText())
        const all = batches.flat()
        const inARow = all.length - 1 - all.lastIndexOf(false)
        const last = all.slice(-1_000)
        const collected = last.filter(Boolean).length
        const byShare = collected > limit.share * 1_000
        expect(count.exceeded(limit) !== undefined).toBe(inARow >= limit.inARow || byShare)
      }),
    )
  })

  test('counts a run of standing items as it counts each of them', () => {
    fc.assert(
      fc.property(fc.array(fc.boolean(), { maxLength: 1_200 }), fc.nat(3_000), (before, standing) => {
        const [one, other] = [counted(before), counted(before)]
        one.addStanding(standing)
        for (let item = 0; item < standing; item++) other.add(false)
        const after = Array.from({ length: 600 }, (_, index) => index % 3 > 0)
        expect(counted(after, one).exceeded(budget)).toBe(counted(after, other).exceeded(budget))
      }),
    )
  })
})
