import { describe, expect, test } from 'vitest'
import { type ChildReport, mediansOfThirds } from '../../bench/child.ts'
import { median, type Pair, quantile, resultLine, runPairs } from '../../bench/pairs.ts'

function report(perSecond: number, rssMb = 100): ChildReport {
  return {
    records: perSecond,
    seconds: 1,
    cpuSeconds: 1,
    counted: 0,
    rssMb,
    rssThirdsMb: [0, 0, 0],
    heldThirdsMb: [0, 0, 0],
  }
}

test('pairs alternate who goes first', async () => {
  const order: string[] = []
  const run = (side: string) => async () => {
    order.push(side)
    return order.length
  }
  const pairs = await runPairs(3, run('millrace'), run('baseline'))
  expect(order).toEqual(['millrace', 'baseline', 'baseline', 'millrace', 'millrace', 'baseline'])
  expect(pairs).toEqual([
    { millrace: 1, baseline: 2 },
    { millrace: 4, baseline: 3 },
    { millrace: 5, baseline: 6 },
  ])
})

test('the ratio is the median of the pairs, so a slow moment of the machine that hits both sides does not count', () => {
  const pairs: Pair[] = [
    { millrace: report(400, 90), baseline: report(200) },
    { millrace: report(150, 80), baseline: report(100) },
    { millrace: report(420, 70), baseline: report(280) },
  ]
  expect(resultLine('W1', pairs)).toEqual({
    workload: 'W1',
    millrace_per_s: 400,
    baseline_per_s: 200,
    ratio: 1.5,
    rss_mb: 80,
    baseline_rss_mb: 100,
  })
})

describe('statistics', () => {
  test('the median is the middle, or between the two middle ones', () => {
    expect(median([3, 1, 2])).toBe(2)
    expect(median([4, 1, 2, 3])).toBe(2.5)
    expect(median([])).toBeNaN()
  })

  test('a quantile is the value that so many lie below', () => {
    const values = Array.from({ length: 1_000 }, (_, index) => 999 - index)
    expect(quantile(values, 0.99)).toBe(990)
    expect(quantile([7], 0.99)).toBe(7)
    expect(quantile([], 0.5)).toBeNaN()
  })

  test('memory is compared by the medians of its thirds', () => {
    expect(mediansOfThirds([1, 5, 2, 9, 3, 4])).toEqual([3, 5.5, 3.5])
    expect(mediansOfThirds([])).toEqual([0, 0, 0])
  })
})
