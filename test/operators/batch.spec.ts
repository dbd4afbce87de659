import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { table } from '../../sinks/table.ts'
import { signal } from '../../src/core/signal.ts'
import { type Stream, stream } from '../../src/stream.ts'
import { assertOperatorLaws, type TestDriverOptions, testDriver } from '../../src/testing/index.ts'
import { fewRuns, numbers, outcomesOf, upTo } from './_cases.ts'

const groups = table<{ of: string; trigger: string | undefined }>('groups')

/** Runs a plan whose groups are written down: `0 1 2 size`. */
function driverOf(apply: (base: Stream<number>) => Stream<number[]>, options: TestDriverOptions = {}) {
  const written = apply(stream('s').from(numbers)).to(groups, (group, { trigger }) => ({
    of: group.join(' '),
    trigger,
  }))
  const t = testDriver(written, options)
  return Object.assign(t, { groups: () => t.rows(groups).map(({ of, trigger }) => `${of} ${trigger}`) })
}

describe('batch', () => {
  it('gives nothing for nothing', async () => {
    const t = driverOf((base) => base.batch({ max: 3 }))
    await t.sendAll(numbers, [])
    expect(t.groups()).toEqual([])
  })

  it('closes a group by size, and the last one when its batch ends', async () => {
    const t = driverOf((base) => base.batch({ max: 3 }))
    await t.sendAll(numbers, upTo(7))
    expect(t.groups()).toEqual(['0 1 2 size', '3 4 5 size', '6 flush'])
    expect(t.counts()).toMatchObject({ done: 7 })
  })

  it('closes a group by the bytes of its records', async () => {
    const t = driverOf((base) => base.batch({ maxBytes: 3 }))
    await t.sendAll(numbers, [1, 22, 333, 44_444, 5])
    expect(t.groups()).toEqual(['1 22 size', '333 size', '44444 size', '5 flush'])
  })

  it('closes a group by time, measured from its first member', async () => {
    const t = driverOf((base) => base.batch({ maxWaitMs: 500 }))
    await t.send(numbers, 0)
    await t.advanceBy(300)
    await t.send(numbers, 1)
    await t.advanceBy(199)
    expect(t.groups()).toEqual([])
    await t.advanceBy(1)
    expect(t.groups()).toEqual(['0 1 time'])
    expect(t.commits()).toMatchObject([{ reason: 'group', items: 2 }])
  })

  it('flushes younger groups with the one whose time is over', async () => {
    const t = driverOf((base) => base.batch({ maxWaitMs: 500, by: (n) => n % 2 }))
    await t.send(numbers, 0)
    await t.advanceBy(300)
    await t.send(numbers, 1)
    await t.advanceBy(200)
    expect(t.groups()).toEqual(['0 time', '1 flush'])
  })

  it('keeps a group for each key', async () => {
    const t = driverOf((base) => base.batch({ max: 2, by: (n) => n % 3 }))
    await t.sendAll(numbers, upTo(7))
    expect(t.groups()).toEqual(['0 3 size', '1 4 size', '2 5 size', '6 flush'])
  })

  it('gives the records of all members, and refuses ctx.record by name', async () => {
    const seen: number[][] = []
    const plan = stream('s')
      .from(numbers)
      .batch({ max: 2 })
      .tap((_, { records }) => void seen.push(records.map(({ offset }) => offset)))
    const t = testDriver(plan)
    await t.sendAll(numbers, upTo(3))
    expect(seen).toEqual([[0, 1], [2]])
    const wrong = testDriver(plan.tap((_, ctx) => void ctx.record))
    await expect(wrong.sendAll(numbers, upTo(2))).rejects.toThrow(/ctx\.record was read in a group.*MR-CTX-RECORD/s)
  })

  it('keeps no group beyond its batch', async () => {
    const t = driverOf((base) => base.batch({ max: 3 }), { maxItems: 4 })
    await t.sendAll(numbers, upTo(8))
    expect(t.groups()).toEqual(['0 1 2 size', '3 flush', '4 5 6 size', '7 flush'])
  })

  it('commits in the end although groups keep opening', async () => {
    const t = driverOf((base) => base.batch({ max: 2, maxWaitMs: 500 }))
    await t.send(numbers, 0)
    // One is left over each time, so that a group is always open.
    for (let n = 1; n < 80; n += 2) {
      await t.sendAll(numbers, [n, n + 1])
      await t.advanceBy(100)
    }
    expect(t.commits().length).toBeGreaterThanOrEqual(2)
    for (const { tookMs } of t.commits()) expect(tookMs).toBeLessThanOrEqual(1_500)
  })

  it('refuses options that say nothing about when a group ends, or too little', () => {
    const base = stream('s').from(numbers)
    expect(() => base.batch({})).toThrow(/needs at least one of max, maxBytes, maxWaitMs.*MR-PLAN-OPTION/)
    expect(() => base.batch({ max: 0 })).toThrow('batch(): "max" must be a whole number of at least 1, but is 0')
    expect(() => base.batch({ size: 3 } as never)).toThrow('batch() has no option "size"')
  })
})

describe('a group', () => {
  const boom = (group: readonly number[], guilty: number) => {
    if (group.includes(guilty)) throw new Error(`boom ${guilty}`)
  }

  it('that throws loses the guilty member only, and is made again without it', async () => {
    for (const guilty of upTo(6)) {
      const t = driverOf((base) => base.batch({ max: 6 }).tap((group) => boom(group, guilty)))
      await t.sendAll(numbers, upTo(8))
      const rest = upTo(8).filter((n) => n !== guilty)
      expect(t.groups()).toEqual([`${rest.slice(0, 6).join(' ')} size`, `${rest.slice(6).join(' ')} flush`])
      expect(t.errors()).toMatchObject([{ offset: guilty, step: 'tap', error: { message: `boom ${guilty}` } }])
    }
  })

  it('that throws for several members loses each of them', async () => {
    const t = driverOf((base) =>
      base.batch({ max: 6 }).tap((group) => {
        boom(group, 1)
        boom(group, 4)
      }),
    )
    await t.sendAll(numbers, upTo(6))
    expect(t.groups()).toEqual(['0 2 3 5 flush'])
    expect(t.errors().map(({ offset }) => offset)).toEqual([1, 4])
  })

  it('that throws whatever is in it loses all members', async () => {
    const t = driverOf((base) =>
      base.batch({ max: 3 }).tap(() => {
        throw new Error('always')
      }),
    )
    await t.sendAll(numbers, upTo(7))
    expect([t.groups(), t.counts().collected]).toEqual([[], 7])
  })

  it('writes once, though it was tried on some of its members', async () => {
    const side = table<{ size: number }>('side')
    const t = driverOf((base) =>
      base
        .batch({ max: 6 })
        .to(side, (group) => ({ size: group.length }))
        .tap((group) => boom(group, 3)),
    )
    await t.sendAll(numbers, upTo(6))
    expect(t.rows(side)).toEqual([{ size: 5 }])
  })

  for (const trigger of ['size', 'flush'] as const) {
    const max = trigger === 'size' ? 3 : 30

    it(`that ignores when it closes by ${trigger} undoes all its members`, async () => {
      const t = driverOf((base) => base.batch({ max }).tap((group) => void (group.includes(1) && signal.ignore('why'))))
      await t.sendAll(numbers, upTo(3))
      expect([t.groups(), outcomesOf(t)]).toEqual([[], ['0 ignored', '1 ignored', '2 ignored']])
    })

    it(`that continues when it closes by ${trigger} ends for all its members`, async () => {
      const t = driverOf((base) => base.batch({ max }).tap(() => signal.continue()))
      await t.sendAll(numbers, upTo(3))
      expect([t.groups(), outcomesOf(t)]).toEqual([[], ['0 continued', '1 continued', '2 continued']])
    })

    it(`that breaks when it closes by ${trigger} commits what came before its first member`, async () => {
      let broken = 0
      const t = driverOf((base) => {
        const [first, rest] = base.branch((n) => n < 2)
        return first
          .map((n) => [n])
          .merge(
            rest.batch({ max }).tap(() => void (broken++ === 0 && signal.break('later', { resumeAfterMs: 1_000 }))),
          )
      })
      await t.sendAll(numbers, upTo(5))
      expect(outcomesOf(t)).toEqual(['0 done', '1 done'])
      expect(t.commits()).toMatchObject([{ reason: 'break', inputs: [{ nextOffset: 2 }] }])
      await t.advanceBy(1_000)
      expect(t.groups()).toEqual(['0 undefined', '1 undefined', `2 3 4 ${trigger}`])
    })

    it(`that fails the batch when it closes by ${trigger} is made again`, async () => {
      let failed = 0
      const t = driverOf((base) => base.batch({ max }).tap(() => void (failed++ < 2 && signal.error('not now'))))
      await t.sendAll(numbers, upTo(3))
      await t.advanceBy(199)
      expect([failed, t.groups()]).toEqual([1, []])
      await t.advanceBy(60_000)
      expect(t.groups()).toEqual([`0 1 2 ${trigger}`])
    })

    it(`that swallows a signal when it closes by ${trigger} loses the member it was for`, async () => {
      const t = driverOf((base) =>
        base.batch({ max }).tap((group) => {
          try {
            if (group.includes(1)) signal.ignore()
          } catch {}
        }),
      )
      await t.sendAll(numbers, upTo(3))
      expect(t.errors()).toMatchObject([{ offset: 1, step: 'tap', error: { code: 'MR-SIGNAL-SWALLOWED' } }])
      expect(t.groups()).toEqual(['0 2 flush'])
    })
  }
})

describe('the key of a group', () => {
  const keyed = (deed: () => void) =>
    driverOf((base) =>
      base.batch({
        max: 10,
        by(n) {
          if (n === 1) deed()
          return n % 2
        },
      }),
    )

  it('that throws undoes its item', async () => {
    const t = keyed(() => {
      throw new Error('boom')
    })
    await t.sendAll(numbers, upTo(4))
    expect(t.groups()).toEqual(['0 2 flush', '3 flush'])
    expect(t.errors()).toMatchObject([{ offset: 1, step: 'batch', error: { message: 'boom' } }])
  })

  it('that ignores undoes its item', async () => {
    const t = keyed(() => signal.ignore())
    await t.sendAll(numbers, upTo(4))
    expect([t.groups(), outcomesOf(t)[1]]).toEqual([['0 2 flush', '3 flush'], '1 ignored'])
  })

  it('that continues leaves its item out', async () => {
    const t = keyed(() => signal.continue())
    await t.sendAll(numbers, upTo(4))
    expect([t.groups(), outcomesOf(t)[1]]).toEqual([['0 2 flush', '3 flush'], '1 continued'])
  })

  it('that breaks commits what came before', async () => {
    const t = keyed(() => signal.break())
    await t.sendAll(numbers, upTo(4))
    expect([t.groups(), t.commits()[0]?.inputs[0]?.nextOffset]).toEqual([['0 flush'], 1])
  })

  it('that fails the batch makes it try again, and stop', async () => {
    const t = keyed(() => signal.error('never'))
    await t.sendAll(numbers, upTo(4))
    await expect(t.advanceBy(60_000)).rejects.toThrow(/never.*step "batch".*MR-SIGNAL-ERROR/s)
    expect(t.groups()).toEqual([])
  })

  it('that swallows a signal undoes its item, also where it fills a group', async () => {
    const t = driverOf((base) =>
      base.batch({
        max: 2,
        by(n) {
          try {
            if (n === 1) signal.ignore()
          } catch {}
          return 0
        },
      }),
    )
    await t.sendAll(numbers, upTo(4))
    expect(t.errors()).toMatchObject([{ offset: 1, step: 'batch', error: { code: 'MR-SIGNAL-SWALLOWED' } }])
    expect(t.groups()).toEqual(['0 2 size', '3 flush'])
  })
})

describe('groups', () => {
  it('lose an item that falls after it joined one', async () => {
    const base = stream('s').from(numbers)
    const grouped = base.batch({ max: 2 }).to(groups, (group, { trigger }) => ({ of: group.join(' '), trigger }))
    const t = testDriver([
      grouped,
      base.tap((n) => {
        if (n === 0) throw new Error('zero')
      }),
    ])
    await t.sendAll(numbers, upTo(4))
    expect(t.rows(groups).map(({ of }) => of)).toEqual(['1 2', '3'])
  })

  it('may be grouped again, and lose the guilty item then too', async () => {
    const t = driverOf((base) =>
      base
        .batch({ max: 2 })
        .batch({ max: 2 })
        .map((outer) => outer.flat())
        .tap((group) => {
          if (group.includes(2)) throw new Error('two')
        }),
    )
    await t.sendAll(numbers, upTo(8))
    expect(t.errors().map(({ offset }) => offset)).toContain(2)
    const members = t.groups().flatMap((group) => group.split(' ').slice(0, -1).map(Number))
    expect(members.sort()).toEqual(upTo(8).filter((n) => !t.errors().some(({ offset }) => offset === n)))
  })

  it('are committed when their stream is stopped', async () => {
    const t = driverOf((base) => base.batch({ maxWaitMs: 60_000 }))
    await t.sendAll(numbers, upTo(3))
    expect(t.groups()).toEqual([])
    await t.stop()
    expect(t.groups()).toEqual(['0 1 2 flush'])
  })

  it('keep the laws of operators', () =>
    assertOperatorLaws((base) => base.batch({ max: 3 }), fc.integer(), { groups: true, ...fewRuns }))

  it('keep them by bytes and key', () =>
    assertOperatorLaws((base) => base.batch({ maxBytes: 40, maxWaitMs: 50, by: (n) => n % 2 }), fc.nat(), {
      groups: true,
      ...fewRuns,
    }))

  it('of one keep all laws', () => assertOperatorLaws((base) => base.batch({ max: 1 }), fc.integer(), fewRuns))
})
