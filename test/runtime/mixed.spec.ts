/**
 * RxJS's concatMap and mergeMap stop in silence when asynchronous and many synchronous inner observables mix (5,000 in, 797
 * out). These streams mix both on every way, and every item is counted.
 */
import { setImmediate as nextTurn } from 'node:timers/promises'
import { expect, it } from 'vitest'
import { table } from '../../sinks/table.ts'
import { signal } from '../../src/core/signal.ts'
import { testDriver } from '../../src/testing/testDriver.ts'
import { base, numbers, out, upTo } from './_service.ts'

const items = 20_000

it('20,000 items through synchronous and asynchronous steps are all accounted for', async () => {
  const side = table<{ n: number }>('side')
  const first = base
    .filter((n) => n % 10 !== 0)
    .mapAsync(
      (n) => {
        if (n % 101 === 0) throw new Error('a synchronous throw')
        if (n % 3 === 0) return n
        if (n % 7 === 0) return nextTurn().then(() => n)
        return Promise.resolve(n)
      },
      { order: 'none' },
    )
    .tap((n) => void (n % 103 === 0 && signal.ignore()))
  const [even, odd] = first.branch((n) => n % 2 === 0)
  const plan = even
    .mapAsync(async (n) => n)
    .merge(odd.mapAsync((n) => n))
    .batch({ max: 50 })
    .flatten()
    .to(side, (n) => ({ n }))
    .mapAsync((n) => (n % 5 === 0 ? nextTurn().then(() => n) : n), { concurrency: 3 })
    .to(out, (n) => ({ n }))
  const expected = (n: number) => n % 10 !== 0 && n % 101 !== 0 && n % 103 !== 0
  const t = testDriver(plan, { chunk: 777, maxItems: 5_000 })
  await t.sendAll(numbers, upTo(items), (n) => (n % 4 === 0 ? {} : { key: String(n % 97) }))
  const standing = upTo(items).filter(expected)
  const counts = t.counts()
  expect(Object.values(counts).reduce((sum, count) => sum + count, 0)).toBe(items)
  expect(counts).toMatchObject({
    done: standing.length,
    filtered: items / 10,
    collected: upTo(items).filter((n) => n % 10 !== 0 && n % 101 === 0).length,
  })
  expect(t.rows(side).map(({ n }) => n)).toEqual(standing)
  expect(t.rows(out).map(({ n }) => n)).toEqual(standing)
}, 20_000)
