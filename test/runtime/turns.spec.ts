import { describe, expect, it } from 'vitest'
import type { Clock } from '../../src/core/clock.ts'
import { base, Service, toOut, upTo } from './_service.ts'

/** Time that passes while callbacks work, as they say themselves. */
class WorkClock implements Clock {
  #now = 0
  /** The longest that the event loop was kept. */
  longestMs = 0
  #turnBegan = 0
  #watching = true

  now(): number {
    return this.#now
  }
  schedule(): () => void {
    return () => {}
  }
  work(ms: number): void {
    this.#now += ms
    this.longestMs = Math.max(this.longestMs, this.#now - this.#turnBegan)
  }
  watch(): void {
    this.#turnBegan = this.#now
    if (this.#watching) setImmediate(() => this.watch())
  }
  end(): void {
    this.#watching = false
  }
}

async function longestTurn(items: number, workMs: (n: number) => number, where: 'loop' | 'behind a call' | 'decoding') {
  const clock = new WorkClock()
  const service = new Service({ chunkRecords: 10_000 })
  service.append(upTo(items))
  const work = (n: number) => {
    clock.work(workMs(n))
    return n
  }
  const plan = where === 'loop' ? base.map(work) : base.mapAsync(async (n) => n).map(work)
  clock.watch()
  await service.start(toOut(plan), { clock })
  await service.until('all was taken', () => service.rows.length === items)
  clock.end()
  return clock.longestMs
}

describe('the event loop', () => {
  it('is kept for 50 ms at most by many short callbacks', async () => {
    expect(await longestTurn(5_000, () => 0.25, 'loop')).toBeLessThanOrEqual(50 + 16 * 0.25)
  })

  it('is kept for 50 ms at most by callbacks that take some milliseconds', async () => {
    expect(await longestTurn(500, () => 5, 'loop')).toBeLessThanOrEqual(55)
  })

  it('is kept for 50 ms at most behind an asynchronous step', async () => {
    expect(await longestTurn(500, () => 5, 'behind a call')).toBeLessThanOrEqual(55)
  })

  it('is kept for little longer by callbacks that become slow', async () => {
    expect(await longestTurn(2_000, (n) => (n < 1_000 ? 0.1 : 5), 'loop')).toBeLessThanOrEqual(50 + 16 * 5)
  })

  it('is given back after one callback that takes longer than that', async () => {
    expect(await longestTurn(20, () => 200, 'loop')).toBeLessThanOrEqual(200)
  })
})
