/** What every operator that takes items one by one has to do, whatever its callback does. */
import { setImmediate as nextTurn } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import { table } from '../../sinks/table.ts'
import { json } from '../../src/codecs/index.ts'
import type { AsyncItemContext, ItemContext } from '../../src/core/context.ts'
import { signal } from '../../src/core/signal.ts'
import { type Stream, stream } from '../../src/stream.ts'
import type { LookupRows } from '../../src/testing/memoryStore.ts'
import { type TestDriver, type TestDriverOptions, testDriver } from '../../src/testing/testDriver.ts'
import { topic } from '../../src/topic.ts'

export const numbers = topic('numbers', json<number>())
const out = table<{ n: number }>('out')

/** The callback's own work: gives the number back, or does something else for some of them. */
export type Act = (n: number, ctx: ItemContext | AsyncItemContext) => number

/** Applies the operator so that every number goes through as it is, unless `act` does something else. */
export type Apply = (stream: Stream<number>, act: Act) => Stream<number>

export interface ItemwiseCases {
  /** The step that errors name. */
  readonly step: string
  readonly apply: Apply
  /** What queries of lookups find. */
  readonly lookups?: readonly LookupRows[]
}

export function driverOf(
  apply: (stream: Stream<number>) => Stream<number>,
  options: TestDriverOptions = {},
): TestDriver {
  return testDriver(
    apply(stream('s').from(numbers)).to(out, (n) => ({ n })),
    options,
  )
}

export function rowsOf(t: TestDriver): number[] {
  return t.rows(out).map(({ n }) => n)
}

/** `0 done`, `1 ignored` by offset. */
export function outcomesOf(t: TestDriver): string[] {
  return t.outcomes().map(({ offset, outcome }) => `${offset} ${outcome}`)
}

export const upTo = (count: number): number[] => Array.from({ length: count }, (_, n) => n)

/** Does something for the number 2 only. */
const atTwo =
  (deed: () => unknown): Act =>
  (n) => {
    if (n === 2) deed()
    return n
  }

/** For laws of operators that are simple enough; they all are checked more often than that over time. */
export const fewRuns = { numRuns: 40 }

export function itemwiseCases({ step, apply, lookups = [] }: ItemwiseCases): void {
  const drive = (of: (stream: Stream<number>) => Stream<number>, options: TestDriverOptions = {}) =>
    driverOf(of, { ...options, lookups })
  const run = async (act: Act, values = upTo(5), options: TestDriverOptions = {}) => {
    const t = drive((base) => apply(base, act), options)
    await t.sendAll(numbers, values)
    return t
  }
  const pass: Act = (n) => n
  const others = [0, 1, 3, 4]
  const standing = (fate: string) => ['0 done', '1 done', `2 ${fate}`, '3 done', '4 done']

  describe('for each item', () => {
    it('gives nothing for nothing', async () => {
      const t = await run(pass, [])
      expect([rowsOf(t), outcomesOf(t)]).toEqual([[], []])
    })

    it('takes one', async () => {
      expect(rowsOf(await run(pass, [7]))).toEqual([7])
    })

    it('takes many, in order, over chunks and batches', async () => {
      const t = await run(pass, upTo(100), { chunk: 7, maxItems: 10 })
      expect(rowsOf(t)).toEqual(upTo(100))
      expect(t.counts()).toMatchObject({ done: 100 })
    })

    it('gives its callback the record', async () => {
      const seen: string[] = []
      const t = drive((base) =>
        apply(base, (n, { record }) => {
          seen.push(
            `${record.topic}[${record.partition}]@${record.offset} ${record.key} ${record.header('h')} ${record.value}`,
          )
          return n
        }),
      )
      await t.send(numbers, 5, { key: 'k', headers: { h: 'x' } })
      expect(seen).toEqual(['numbers[0]@0 k x 5'])
    })
  })

  describe('when its callback', () => {
    it('throws: the item is undone and collected, under the name of the step', async () => {
      const t = await run(
        atTwo(() => {
          throw new TypeError('boom')
        }),
      )
      expect(rowsOf(t)).toEqual(others)
      expect(outcomesOf(t)).toEqual(standing('collected'))
      expect(t.errors()).toMatchObject([
        { stream: 's', step, offset: 2, value: Buffer.from('2'), error: { name: 'TypeError', message: 'boom' } },
      ])
    })

    it('throws what is no Error: the item is collected', async () => {
      const t = await run(
        atTwo(() => {
          throw 'text'
        }),
      )
      expect(t.errors()).toMatchObject([{ step, error: { name: 'string', message: 'text' } }])
    })

    it('ignores: the item is undone and counted, with the reason', async () => {
      const t = await run(atTwo(() => signal.ignore('why')))
      expect(rowsOf(t)).toEqual(others)
      expect(outcomesOf(t)).toEqual(standing('ignored'))
      expect(t.outcomes()[2]?.reason).toBe('why')
      expect(t.errors()).toEqual([])
    })

    it('continues: the item ends here and keeps what it wrote', async () => {
      const noted = table<{ noted: number }>('noted')
      const t = drive((base) =>
        apply(
          base.to(noted, (n) => ({ noted: n })),
          atTwo(() => signal.continue()),
        ),
      )
      await t.sendAll(numbers, upTo(5))
      expect(rowsOf(t)).toEqual(others)
      expect(outcomesOf(t)).toEqual(standing('continued'))
      expect(t.rows(noted)).toHaveLength(5)
    })

    it('breaks: the earlier items are committed, progress is at the broken one, and nothing goes on', async () => {
      const t = await run(atTwo(() => signal.break('stop here')))
      expect(rowsOf(t)).toEqual([0, 1])
      expect(outcomesOf(t)).toEqual(['0 done', '1 done'])
      expect(t.commits()).toMatchObject([{ reason: 'break', items: 2, inputs: [{ nextOffset: 2 }] }])
      await t.sendAll(numbers, [5])
      await t.advanceBy(3_600_000)
      expect(rowsOf(t)).toEqual([0, 1])
    })

    it('breaks for a while: the partition goes on at the broken item', async () => {
      let broken = 0
      const act = atTwo(() => {
        if (broken++ === 0) signal.break('later', { resumeAfterMs: 5_000 })
      })
      const t = await run(act)
      await t.advanceBy(4_999)
      expect(rowsOf(t)).toEqual([0, 1])
      await t.advanceBy(1)
      expect(rowsOf(t)).toEqual(upTo(5))
      expect(t.counts()).toMatchObject({ done: 5, broken: 0 })
    })

    it('fails the batch: it is tried again', async () => {
      let failures = 0
      const act = atTwo(() => {
        if (failures++ < 2) signal.error(new Error('not now'))
      })
      const t = await run(act)
      await t.advanceBy(199)
      expect([failures, rowsOf(t)]).toEqual([1, []])
      await t.advanceBy(1)
      expect([failures, rowsOf(t)]).toEqual([2, []])
      await t.advanceBy(400)
      expect(rowsOf(t)).toEqual(upTo(5))
    })

    it('fails the batch three times: the stream stops, and nothing is committed', async () => {
      let failures = 0
      const act = atTwo(() => {
        failures++
        signal.error(new Error('never'))
      })
      const t = await run(act)
      await expect(t.advanceBy(60_000)).rejects.toThrow(/signal\.error\(\) undid the batch: never .*MR-SIGNAL-ERROR/s)
      expect([failures, rowsOf(t), t.commits(), t.errors()]).toEqual([3, [], [], []])
    })

    it('swallows a signal: the item is collected, and the error says so', async () => {
      const t = await run(
        atTwo(() => {
          try {
            signal.ignore()
          } catch {}
        }),
      )
      expect(rowsOf(t)).toEqual(others)
      expect(t.errors()).toMatchObject([{ step, offset: 2, error: { code: 'MR-SIGNAL-SWALLOWED' } }])
      expect(t.errors()[0]?.error.message).toContain('signal.ignore() was caught by a try/catch of your own')
    })

    it('swallows a signal and throws something else: that is what is collected, and the next item is not blamed', async () => {
      const t = await run(
        atTwo(() => {
          try {
            signal.ignore()
          } catch {
            throw new Error('instead')
          }
        }),
      )
      expect(rowsOf(t)).toEqual(others)
      expect(t.errors()).toMatchObject([{ offset: 2, error: { message: 'instead' } }])
    })
  })

  describe('when it is stopped', () => {
    it('ends between two items of an endless input, and commits what it took', async () => {
      const t = drive((base) => apply(base, pass), { chunk: 3, maxItems: 5 })
      let sent = 0
      let ended = false
      const sending = (async () => {
        while (!ended) {
          void t.sendAll(numbers, [sent++]).catch(() => {})
          await nextTurn()
        }
      })()
      while (rowsOf(t).length < 20) await nextTurn()
      await t.stop()
      ended = true
      await sending
      const rows = rowsOf(t)
      expect(rows).toEqual(upTo(rows.length))
      expect(outcomesOf(t)).toEqual(rows.map((n) => `${n} done`))
    })
  })
}
