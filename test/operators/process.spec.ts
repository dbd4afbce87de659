import { describe, expect, test } from 'vitest'
import { json, type Pipe, signal, slot, stream, table, topic } from '../../src/index.ts'
import { type TestDriver, testDriver } from '../../src/testing/index.ts'

const numbers = topic('numbers', json<number>())
const results = table<{ n: number }>('results')
const written = table<{ by: string; n: number }>('written')
const base = stream('numbers').from(numbers)
const total = slot('total', () => 0)

async function run<Item, Result>(pipe: Pipe<number, Item, Result>, values: readonly number[]): Promise<TestDriver> {
  const t = testDriver(base.process(pipe).to(results, (result) => ({ n: Number(result) })))
  await t.sendAll(numbers, values)
  return t
}

const ns = (t: TestDriver) => t.rows(results).map(({ n }) => n)
const by = (t: TestDriver, name: string) => t.rows(written).flatMap(({ by, n }) => (by === name ? [n] : []))
const outcomes = (t: TestDriver) => t.outcomes().map(({ outcome }) => outcome)

describe('process', () => {
  test.each([
    ['none', []],
    ['one', [1]],
    ['many', [1, 2, 3]],
  ])('works on %s', async (_, values) => {
    const calls: string[] = []
    const t = await run(
      {
        prepare: (items) => void calls.push(`prepare ${items}`),
        process(n: number) {
          calls.push(`process ${n}`)
          return n * 10
        },
        finish: (found) => void calls.push(`finish ${found}`),
      },
      values,
    )
    expect(ns(t)).toEqual(values.map((n) => n * 10))
    const each = values.map((n) => `process ${n}`)
    expect(calls).toEqual(
      values.length === 0 ? [] : [`prepare ${values}`, ...each, `finish ${values.map((n) => n * 10)}`],
    )
    await t.stop()
  })

  test.each([
    ['some of them', (items: readonly number[]) => items.filter((n) => n > 1), [2, 3]],
    ['new values in their order', (items: readonly number[]) => items.map((n) => n + 0.5), [1.5, 2.5, 3.5]],
    [
      'undefined for one to leave out',
      (items: readonly number[]) => items.map((n) => (n === 2 ? undefined : n)),
      [1, 3],
    ],
    ['more of them', (items: readonly number[]) => items.flatMap((n) => [n, n]), [1, 1, 2, 2, 3, 3]],
    ['nothing, for all', () => undefined, [1, 2, 3]],
    ['no value', () => [], []],
    ['a promise of some', async (items: readonly number[]) => items.filter((n) => n < 3), [1, 2]],
  ])('goes on with what prepare answers: %s', async (_, prepare, expected) => {
    const t = await run({ prepare, process: (n: number) => n }, [1, 2, 3])
    expect(ns(t)).toEqual(expected)
    expect(t.counts().done + t.counts().filtered).toBe(3)
    await t.stop()
  })

  test.each([null, undefined])('takes %s for no result', async (nothing) => {
    const t = await run({ process: (n) => (n === 2 ? nothing : n) }, [1, 2, 3])
    expect(ns(t)).toEqual([1, 3])
    expect(outcomes(t)).toEqual(['done', 'done', 'done'])
    await t.stop()
  })

  test('makes an object of a class for each run', async () => {
    class Summing implements Pipe<number, number, number> {
      sum = 0
      process(n: number) {
        this.sum += n
        return this.sum
      }
    }
    const t = testDriver(base.process(Summing).to(results, (n) => ({ n })))
    await t.sendAll(numbers, [1, 2])
    await t.sendAll(numbers, [3])
    expect(ns(t)).toEqual([1, 3, 3])
    await t.stop()
  })

  describe.each([false, true])('with a signal in process, asynchronous: %s', (isAsync) => {
    const writing = (act: (n: number) => void): Pipe<number, number, number> => ({
      process(n, ctx) {
        const work = () => {
          ctx.write(written, { by: 'process', n })
          ctx.scope.batch.update(total, (sum) => sum + n)
          act(n)
          return ctx.scope.batch.get(total)
        }
        return isAsync ? (Promise.resolve().then(work) as never) : work()
      },
      finish: (found, ctx) => ctx.write(written, { by: 'finish', n: found.length }),
    })

    test.each([
      ['continue', () => signal.continue(), ['done', 'continued', 'done'], [1, 2, 3], [1, 6]],
      ['ignore', () => signal.ignore('two'), ['done', 'ignored', 'done'], [1, 3], [1, 4]],
      [
        'a throw',
        () => {
          throw new Error('two')
        },
        ['done', 'collected', 'done'],
        [1, 3],
        [1, 4],
      ],
      ['break', () => signal.break('two'), ['done'], [1], [1]],
    ] as const)('%s', async (_, act, ends, rows, sums) => {
      const t = await run(
        writing((n) => void (n === 2 && act())),
        [1, 2, 3],
      )
      expect(outcomes(t)).toEqual(ends)
      expect(by(t, 'process')).toEqual(rows)
      expect(by(t, 'finish')).toEqual([sums.length])
      expect(ns(t)).toEqual(sums)
      await t.stop()
    })

    test('error undoes the batch, and it is tried again', async () => {
      let tries = 0
      const t = testDriver(
        base
          .process(writing((n) => void (n === 2 && ++tries < 2 && signal.error(new Error('once')))))
          .to(results, (n) => ({ n })),
      )
      const sent = t.sendAll(numbers, [1, 2, 3])
      await t.advanceBy(1_000)
      await sent
      expect([tries, by(t, 'process'), ns(t)]).toEqual([2, [1, 2, 3], [1, 3, 6]])
      await t.stop()
    })
  })

  test.each(['prepare', 'finish'] as const)('a signal in %s acts on all items of the run', async (where) => {
    const t = await run({ process: (n) => n, [where]: () => signal.ignore('all') }, [1, 2])
    expect([outcomes(t), ns(t)]).toEqual([['ignored', 'ignored'], []])
    await t.stop()
  })

  test('the guilty item of a throw in finish is found, and the run made again without it', async () => {
    const seen: string[] = []
    const t = await run(
      {
        process: (n) => n,
        finish(found) {
          seen.push(String(found))
          if (found.includes(3)) throw new Error('three')
        },
      },
      [1, 2, 3, 4],
    )
    expect([outcomes(t), ns(t)]).toEqual([
      ['done', 'done', 'collected', 'done'],
      [1, 2, 4],
    ])
    expect(seen.at(-1)).toBe('1,2,4')
    await t.stop()
  })

  test('what goes through ctx.call is called once, however often the batch is replayed', async () => {
    const calls: number[] = []
    const t = await run(
      {
        async process(n: number, ctx) {
          const answer = await ctx.call('double', [n], async (given) => {
            calls.push(given)
            return given * 2
          })
          ctx.scope.batch.update(total, (sum) => sum + answer)
          if (n === 3) throw new Error('three')
          return answer + ctx.scope.batch.get(total)
        },
        finish: (_, ctx) => ctx.write(written, { by: 'finish', n: ctx.scope.batch.get(total) }),
      },
      [1, 2, 3, 4],
    )
    expect(calls.sort()).toEqual([1, 2, 3, 4])
    expect([ns(t), by(t, 'finish')]).toEqual([[4, 10, 22], [14]])
    await t.stop()
  })

  test('a callback that takes too long has failed, and what it does later has no effect', async () => {
    const plan = base
      .process(
        {
          async process(n, ctx) {
            if (n === 2) {
              await new Promise<void>((resolve) => ctx.abortSignal.addEventListener('abort', () => resolve()))
              ctx.write(written, { by: 'process', n })
            }
            return n
          },
        },
        { timeoutMs: 1_000 },
      )
      .to(results, (n) => ({ n }))
    const t = testDriver(plan)
    const sent = t.sendAll(numbers, [1, 2, 3])
    await t.advanceBy(1_000)
    await sent
    expect([ns(t), by(t, 'process')]).toEqual([[1, 3], []])
    expect(t.errors()[0]?.error.code).toBe('MR-ASYNC-TIMEOUT')
    await t.stop()
  })

  test('a signal that the callback catches itself is named', async () => {
    const t = await run(
      {
        process(n) {
          try {
            signal.ignore()
          } catch {}
          return n
        },
      },
      [1],
    )
    expect(t.errors()[0]?.error.message).toMatch(/signal\.ignore\(\) was caught by a try\/catch of your own/)
    await t.stop()
  })

  test('refuses what is no pipe', () => {
    expect(() => base.process({} as never)).toThrow(
      /process\(\) takes an object or a class with process\(item, ctx\).*MR-PLAN-OPTION/s,
    )
    expect(() => base.process({ process: 5 } as never)).toThrow(/but was given \{"process":5\}/)
    expect(() => base.process({ process: () => 1 }, { timeout: 5 } as never)).toThrow(
      /no option "timeout"; did you mean "timeoutMs"\?/,
    )
  })
})
