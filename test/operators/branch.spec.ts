import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { table } from '../../sinks/table.ts'
import { stream } from '../../src/stream.ts'
import { assertOperatorLaws, testDriver } from '../../src/testing/index.ts'
import { driverOf, fewRuns, itemwiseCases, numbers, outcomesOf, upTo } from './_cases.ts'

const even = table<{ n: number }>('even')
const odd = table<{ n: number }>('odd')
const row = (n: number) => ({ n })

describe('branch', () => {
  itemwiseCases({
    step: 'branch',
    apply: (base, act) => {
      const [yes, no] = base.branch((n, ctx) => act(n, ctx) % 2 === 0)
      return yes.merge(no)
    },
  })

  it('asks once, and sends each value one way', async () => {
    let asked = 0
    const [yes, no] = stream('s')
      .from(numbers)
      .branch((n) => {
        asked++
        return n % 2 === 0
      })
    const t = testDriver([yes.to(even, row), no.to(odd, row)])
    await t.sendAll(numbers, upTo(5))
    expect([t.rows(even), t.rows(odd), asked]).toEqual([[0, 2, 4].map(row), [1, 3].map(row), 5])
    expect(t.counts()).toMatchObject({ done: 5 })
  })

  it('drops the side that is in no plan, and counts it as filtered', async () => {
    const [yes] = stream('s')
      .from(numbers)
      .branch((n) => n % 2 === 0)
    const t = testDriver(yes.to(even, row))
    await t.sendAll(numbers, upTo(3))
    expect(outcomesOf(t)).toEqual(['0 done', '1 filtered', '2 done'])
  })

  it('takes a side that has a name of its own beside one that has not', async () => {
    const [yes, no] = stream('s')
      .from(numbers)
      .branch((n) => n % 2 === 0)
    const t = testDriver([yes.named('evens').to(even, row), yes.to(table<{ n: number }>('also'), row), no.to(odd, row)])
    await t.sendAll(numbers, upTo(3))
    expect([t.rows(even), t.rows(table<{ n: number }>('also'))]).toEqual([[0, 2].map(row), [0, 2].map(row)])
  })

  it('undoes an item on all its ways', async () => {
    const base = stream('s').from(numbers)
    const [yes] = base.branch((n) => n % 2 === 0)
    const t = testDriver([
      yes.to(even, row),
      base.to(odd, row).tap((n) => {
        if (n === 2) throw new Error('two')
      }),
    ])
    await t.sendAll(numbers, upTo(4))
    expect([t.rows(even), t.rows(odd)]).toEqual([[0].map(row), [0, 1, 3].map(row)])
  })

  it('keeps the laws of operators', () =>
    assertOperatorLaws((values) => values.branch((n) => n % 2 === 0)[1], fc.integer(), fewRuns))
})

describe('merge', () => {
  it('gives back the order of the source, also where one way took longer', async () => {
    const t = driverOf((base) => {
      const [slow, fast] = base.branch((n) => n % 3 === 0)
      return slow.mapAsync(async (n) => n).merge(fast.map((n) => n))
    })
    await t.sendAll(numbers, upTo(10))
    expect(t.rows(table<{ n: number }>('out'))).toEqual(upTo(10).map(row))
  })

  it('takes more than two', async () => {
    const t = driverOf((base) => {
      const [a, rest] = base.branch((n) => n % 3 === 0)
      const [b, c] = rest.branch((n) => n % 3 === 1)
      return a.merge(
        b.mapAsync(async (n) => n),
        c,
      )
    })
    await t.sendAll(numbers, upTo(7))
    expect(t.rows(table<{ n: number }>('out'))).toEqual(upTo(7).map(row))
  })

  it('gives a value of a stream that is merged with itself twice', async () => {
    const t = driverOf((base) => base.merge(base))
    await t.sendAll(numbers, [1])
    expect(t.rows(table<{ n: number }>('out'))).toEqual([1, 1].map(row))
  })

  it('refuses streams of another source', () => {
    const one = stream('one').from(numbers)
    const other = stream('other').from(numbers)
    expect(() => one.merge(other)).toThrow(/merge\(\) joins branches of one source.*MR-PLAN-MERGE/s)
  })

  it('keeps the laws of operators', () =>
    assertOperatorLaws(
      (values) => {
        const [slow, fast] = values.branch((n) => n % 2 === 0)
        return slow.mapAsync(async (n) => n).merge(fast)
      },
      fc.integer(),
      fewRuns,
    ))
})
