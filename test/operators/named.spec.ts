import { describe, expect, it } from 'vitest'
import { stream } from '../../src/stream.ts'
import { driverOf, itemwiseCases, numbers } from './_cases.ts'

describe('named', () => {
  itemwiseCases({ step: 'mine', apply: (base, act) => base.map(act).named('mine') })

  it('names the last step, in errors and in drawings', async () => {
    const t = driverOf((base) =>
      base
        .map((n) => n)
        .named('first')
        .map((): number => {
          throw new Error('boom')
        })
        .named('second'),
    )
    await t.sendAll(numbers, [0])
    expect(t.errors()).toMatchObject([{ step: 'second' }])
  })

  it('leaves the stream that it was called on as it was', () => {
    const mapped = stream('s')
      .from(numbers)
      .map((n) => n)
    mapped.named('other')
    expect(mapped.node.name).toBe('map')
  })

  it('numbers names that occur twice', () => {
    const described = stream('s')
      .from(numbers)
      .map((n) => n)
      .map((n) => n)
      .named('map')
      .describe()
    expect(described).toMatch(/map\n\s+map#2$/)
  })

  it('refuses to rename a source, whose name progress is kept under', () => {
    expect(() => stream('s').from(numbers).named('mine')).toThrow(/would rename the source.*MR-PLAN-NAME/s)
  })
})
