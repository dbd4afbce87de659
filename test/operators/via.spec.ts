import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { defineAsyncOperator, defineOperator } from '../../src/core/operator.ts'
import { type Stream, segment, stream } from '../../src/stream.ts'
import { assertOperatorLaws } from '../../src/testing/index.ts'
import { type Act, driverOf, fewRuns, itemwiseCases, numbers, outcomesOf, rowsOf } from './_cases.ts'

const calling = (act: Act) =>
  defineOperator<number, number>({
    kind: 'calling',
    attach: (next, step) => (value, item) => {
      step.enter()
      next(act(value, step.ctx), item)
    },
  })

/** Hands every value on as a group of its own, and joins nothing. */
const alone = defineOperator<number, number[]>({
  kind: 'alone',
  paths: 'many',
  attach: (next, step) => (value, item) => step.group(next, [value], [item], 'size'),
})

/** Gives pairs of what it holds, the last one alone. */
const pairs = defineOperator<number, number[]>({
  kind: 'pairs',
  paths: 'many',
  attach(next, step) {
    let values: number[] = []
    let items: number[] = []
    const give = (trigger: 'size' | 'flush') => {
      const group = { values, items }
      values = []
      items = []
      if (group.items.length > 0) step.group(next, group.values, group.items, trigger)
    }
    step.onFlush({
      flush: () => give('flush'),
      deadline: () => undefined,
      reset: () => {
        values = []
        items = []
      },
    })
    return (value, item) => {
      step.enter()
      step.join(item)
      values.push(value)
      items.push(item)
      if (items.length === 2) give('size')
    }
  },
})

describe("via an operator of one's own", () => {
  itemwiseCases({ step: 'calling', apply: (base, act) => base.via(calling(act)) })

  it('goes by the name that is given', async () => {
    const t = driverOf((base) =>
      base.via(
        calling(() => {
          throw new Error('boom')
        }),
        'mine',
      ),
    )
    await t.sendAll(numbers, [0])
    expect(t.errors()).toMatchObject([{ step: 'mine' }])
  })

  it('runs asynchronous ones, with the rights of mapAsync', async () => {
    const doubled = defineAsyncOperator<number, number>({
      kind: 'doubled',
      async run(entries, step) {
        const results = await Promise.all(
          entries.items.map((item, index) =>
            step.call({ value: entries.values[index] as number, item, ordinal: 0 }, async (n) => n * 2, {
              timeoutMs: 1_000,
            }),
          ),
        )
        return { values: results.map((result) => result?.value as number), items: entries.items }
      },
    })
    const t = driverOf((base) => base.via(doubled))
    await t.sendAll(numbers, [1, 2])
    expect(rowsOf(t)).toEqual([2, 4])
  })

  it('collects the member of a group that makes it throw', async () => {
    const t = driverOf((base) =>
      base.via(pairs).map((group) => {
        if (group.includes(1)) throw new Error('one')
        return group.reduce((sum, n) => sum + n, 0)
      }),
    )
    await t.sendAll(numbers, [0, 1, 2, 3])
    expect(outcomesOf(t)).toEqual(['0 done', '1 collected', '2 done', '3 done'])
    expect(rowsOf(t)).toEqual([2, 3])
  })

  it('keeps the laws of operators', () =>
    assertOperatorLaws((values) => values.via(calling((n) => n + 1)), fc.integer(), fewRuns))
  it('keeps them in groups of one', () => assertOperatorLaws((values) => values.via(alone), fc.integer(), fewRuns))
  it('keeps them in groups', () =>
    assertOperatorLaws((values) => values.via(pairs), fc.integer(), { groups: true, ...fewRuns }))
})

describe('via a segment', () => {
  const calls = (act: Act) => segment('part', (part: Stream<number>) => part.map((n, ctx) => act(n, ctx)).map((n) => n))
  itemwiseCases({ step: 'part/map', apply: (base, act) => base.via(calls(act)) })

  it("carries the segment's name, and those of the segments in it", () => {
    const inner = segment('inner', (part: Stream<number>) => part.map((n) => n).named('step'))
    const outer = segment('outer', (part: Stream<number>) => part.via(inner).filter(() => true))
    const described = stream('s')
      .from(numbers)
      .via(outer)
      .tap(() => {})
      .describe()
    expect(described.split('\n').map((line) => line.trim())).toEqual([
      'stream "s"',
      expect.stringContaining('from:numbers'),
      'outer/inner/step',
      'outer/filter',
      'tap',
    ])
  })

  it('may be used in many streams', async () => {
    const twice = segment('twice', (part: Stream<number>) => part.flatMap((n) => [n, n]))
    const t = driverOf((base) => base.via(twice).via(twice))
    await t.sendAll(numbers, [1])
    expect(rowsOf(t)).toEqual([1, 1, 1, 1])
  })

  it('keeps the laws of operators', () =>
    assertOperatorLaws((values) => values.via(calls((n) => n + 1)), fc.integer(), fewRuns))
})
