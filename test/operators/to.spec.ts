import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { table } from '../../sinks/table.ts'
import { signal } from '../../src/core/signal.ts'
import { stream } from '../../src/stream.ts'
import { assertOperatorLaws, testDriver } from '../../src/testing/index.ts'
import { driverOf, fewRuns, itemwiseCases, numbers, outcomesOf, rowsOf, upTo } from './_cases.ts'

const side = table<{ n: number }>('side')

describe('to', () => {
  itemwiseCases({ step: 'to:side', apply: (base, act) => base.to(side, (n, ctx) => ({ n: act(n, ctx) })) })

  it('writes a row and passes the value on as it came', async () => {
    const t = driverOf((base) => base.to(side, (n) => ({ n: n * 10 })))
    await t.sendAll(numbers, [1, 2])
    expect([t.rows(side), rowsOf(t)]).toEqual([
      [{ n: 10 }, { n: 20 }],
      [1, 2],
    ])
  })

  it('takes the value for the row where no function makes one', async () => {
    const t = testDriver(
      stream('s')
        .from(numbers)
        .map((n) => ({ n }))
        .to(side),
    )
    await t.sendAll(numbers, [1])
    expect(t.rows(side)).toEqual([{ n: 1 }])
  })

  it('writes no row of an item that is undone in a later step', async () => {
    const t = driverOf((base) =>
      base
        .to(side, (n) => ({ n }))
        .tap((n) => {
          if (n === 1) signal.ignore()
        }),
    )
    await t.sendAll(numbers, upTo(3))
    expect(t.rows(side)).toEqual([{ n: 0 }, { n: 2 }])
  })

  it('undoes the item whose row the table refuses, in all tables', async () => {
    const t = driverOf((base) => base.to(side, (n) => ({ n })), {
      refuses: (name, row) => (name === 'out' && row.n === 1 ? '23514' : undefined),
    })
    await t.sendAll(numbers, upTo(3))
    expect([t.rows(side), rowsOf(t)]).toEqual([
      [{ n: 0 }, { n: 2 }],
      [0, 2],
    ])
    expect(outcomesOf(t)).toEqual(['0 done', '1 collected', '2 done'])
    expect(t.errors()).toMatchObject([{ step: 'to:out', offset: 1, error: { code: '23514' } }])
  })

  it('upserts by the key', async () => {
    const totals = table<{ kind: string; n: number }>('totals', { key: 'kind', onConflict: { n: 'add' } })
    const t = driverOf((base) => base.to(totals, (n) => ({ kind: n % 2 === 0 ? 'even' : 'odd', n })), { maxItems: 2 })
    await t.sendAll(numbers, upTo(5))
    expect(t.rows(totals)).toEqual([
      { kind: 'even', n: 6 },
      { kind: 'odd', n: 4 },
    ])
  })

  it('keeps the laws of operators', () =>
    assertOperatorLaws((values) => values.to(side, (n) => ({ n })), fc.integer(), fewRuns))
})

describe('ctx.write', () => {
  it('writes to a table that no step names, from the first item on', async () => {
    const t = driverOf((base) => base.tap((n, ctx) => ctx.write(side, { n })))
    await t.sendAll(numbers, upTo(3))
    expect([t.rows(side), rowsOf(t)]).toEqual([upTo(3).map((n) => ({ n })), upTo(3)])
  })

  it('does so although the callback catches everything', async () => {
    const t = driverOf((base) =>
      base.tap((n, ctx) => {
        try {
          ctx.write(side, { n })
        } catch {}
      }),
    )
    await t.sendAll(numbers, upTo(3))
    expect(t.rows(side)).toEqual(upTo(3).map((n) => ({ n })))
  })

  it('does so in a group of which a member fails', async () => {
    const t = driverOf((base) =>
      base
        .batch({ max: 4 })
        .tap((group, ctx) => {
          if (group.includes(3)) throw new Error('three')
          ctx.write(side, { n: group.length })
        })
        .flatten(),
    )
    await t.sendAll(numbers, upTo(4))
    expect(t.errors()).toMatchObject([{ offset: 3, error: { message: 'three' } }])
    expect([t.rows(side), rowsOf(t)]).toEqual([[{ n: 3 }], [0, 1, 2]])
  })

  it('does so in an asynchronous callback', async () => {
    const t = driverOf((base) =>
      base.mapAsync(async (n, ctx) => {
        ctx.write(side, { n })
        return n
      }),
    )
    await t.sendAll(numbers, upTo(3))
    expect([t.rows(side), rowsOf(t)]).toEqual([upTo(3).map((n) => ({ n })), upTo(3)])
  })
})
