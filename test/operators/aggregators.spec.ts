import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  type Aggregator,
  collect,
  count,
  distinctCount,
  first,
  last,
  max,
  mean,
  min,
  percentile,
  sum,
  topK,
} from '../../src/index.ts'

interface Value {
  readonly n: number
  readonly at: number
}

const n = ({ n }: Value) => n
// biome-ignore lint/suspicious/noExplicitAny: accumulators of all kinds
type Any = Aggregator<Value, any, unknown>

/** What each gives for a list of values in the order in which they came, written as plainly as can be. */
const aggregators: Readonly<Record<string, readonly [Any, (values: readonly Value[]) => unknown]>> = {
  count: [count(), (all) => all.length],
  sum: [sum(n), (all) => all.reduce((total, { n }) => total + n, 0)],
  mean: [mean(n), (all) => all.reduce((total, { n }) => total + n, 0) / all.length],
  min: [min(n), (all) => (all.length === 0 ? null : Math.min(...all.map(n)))],
  max: [max(n), (all) => (all.length === 0 ? null : Math.max(...all.map(n)))],
  collect: [collect(n), (all) => all.map(n)],
  'collect, up to 3': [collect(n, { max: 3 }), (all) => all.slice(0, 3).map(n)],
  distinctCount: [distinctCount(n), (all) => new Set(all.map(n)).size],
  'percentile 0.5': [percentile(0.5, n), (all) => median(all.map(n))],
  topK: [
    topK(2, n, n),
    (all) =>
      all
        .map(n)
        .sort((a, b) => b - a)
        .slice(0, 2),
  ],
  first: [first(n), (all) => all.toSorted((a, b) => a.at - b.at)[0]?.n],
  last: [last(n), (all) => all.toSorted((a, b) => a.at - b.at).at(-1)?.n],
}

function median(numbers: readonly number[]): number | null {
  const sorted = numbers.toSorted((a, b) => a - b)
  const half = sorted.length / 2
  if (sorted.length === 0) return null
  return sorted.length % 2 === 1
    ? (sorted[Math.floor(half)] as number)
    : ((sorted[half - 1] as number) + (sorted[half] as number)) / 2
}

const values = fc.array(fc.record({ n: fc.integer({ min: -9, max: 9 }), at: fc.integer({ min: 0, max: 5 }) }), {
  maxLength: 12,
})
const over = (aggregator: Any, all: readonly Value[], from: unknown = aggregator.init()) =>
  all.reduce((accumulator: unknown, value) => aggregator.add(accumulator, value, value.at), from)

describe.each(Object.entries(aggregators))('%s', (_, [aggregator, model]) => {
  test('is what plain code gives', () => {
    fc.assert(
      fc.property(values, (all) => {
        expect(aggregator.result(over(aggregator, all))).toEqual(model(all))
      }),
    )
  })

  test('is the same when two parts are merged, in whatever brackets', () => {
    fc.assert(
      fc.property(values, values, values, (a, b, c) => {
        const parts = [a, b, c].map((part) => over(aggregator, part))
        const merge = (one: unknown, other: unknown) => aggregator.merge?.(one, other)
        const all = model([...a, ...b, ...c])
        expect(aggregator.result(merge(merge(parts[0], parts[1]), parts[2]))).toEqual(all)
        expect(aggregator.result(merge(parts[0], merge(parts[1], parts[2])))).toEqual(all)
      }),
    )
  })

  test('changes nothing in place when it says so', () => {
    if (aggregator.isPure !== true) return
    fc.assert(
      fc.property(values, (all) => {
        let accumulator: unknown = aggregator.init()
        for (const value of all) {
          const before = structuredClone(accumulator)
          const next: unknown = aggregator.add(accumulator, value, value.at)
          expect(accumulator).toEqual(before)
          accumulator = next
        }
      }),
    )
  })
})

test('options that make no sense are refused', () => {
  expect(() => percentile(50, n)).toThrow(/takes a share from 0 to 1, but was given 50/)
  expect(() => topK(0, n)).toThrow(/a whole number of at least 1, but was given 0/)
})
