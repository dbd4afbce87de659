import { describe, expect, it } from 'vitest'
import { signal } from '../../src/core/signal.ts'
import { base, Service, toOut, upTo } from './_service.ts'

/** Breaks at a number until it is told not to. */
const breaking = (at: number, options?: { resumeAfterMs: number }) => {
  const state = { broken: 0, until: Number.POSITIVE_INFINITY }
  const plan = toOut(
    base.tap((n) => {
      if (n === at && state.broken < state.until) {
        state.broken++
        signal.break('closed', options)
      }
    }),
  )
  return { state, plan }
}

describe('a break', () => {
  it('leaves progress at the item that broke, and the next service begins there', async () => {
    const service = new Service()
    service.append(upTo(5))
    const { plan, state } = breaking(3)
    const { runner } = await service.start(plan)
    await service.settle()
    expect([service.rows, await service.progress()]).toEqual([upTo(3), { 0: 3 }])
    expect(runner.tasks.map((task) => task.state)).toEqual(['parked'])
    await runner.stop(1_000)
    state.until = 1
    await service.start(plan)
    await service.settle()
    expect([service.rows, await service.progress()]).toEqual([upTo(5), { 0: 5 }])
    await service.stop()
  })

  it('at the first item commits nothing, and says where it stands', async () => {
    const service = new Service()
    service.append(upTo(2))
    const { reports } = await service.start(breaking(0).plan)
    await service.settle()
    expect([service.rows, await service.progress(), service.store.commits]).toEqual([[], { 0: 0 }, 0])
    expect(reports).toMatchObject([{ reason: 'break', items: 0, inputs: [{ nextOffset: 0 }] }])
    await service.stop()
  })

  it('that goes on after a while does so at the item that broke, as often as it breaks', async () => {
    const service = new Service()
    service.append(upTo(5))
    const { plan, state } = breaking(3, { resumeAfterMs: 1_000 })
    state.until = 3
    await service.start(plan)
    await service.advance(2_999)
    expect([service.rows, state.broken]).toEqual([upTo(3), 3])
    await service.advance(1)
    expect([service.rows, await service.progress()]).toEqual([upTo(5), { 0: 5 }])
    await service.stop()
  })

  it('holds up its own partition only', async () => {
    const service = new Service({ partitions: 2 })
    service.append(upTo(5))
    service.append(upTo(5, 100), 1)
    await service.start(breaking(2).plan)
    await service.settle()
    expect(service.rows.toSorted((a, b) => a - b)).toEqual([0, 1, ...upTo(5, 100)])
    expect(await service.progress()).toEqual({ 0: 2, 1: 5 })
    await service.stop()
  })

  it('counts at the first of several items, whichever step they break in', async () => {
    const service = new Service()
    service.append(upTo(8))
    const plan = toOut(
      base
        .tap((n) => void (n === 6 && signal.break()))
        .mapAsync(async (n) => (n === 4 ? signal.break() : n))
        .tap((n) => void (n === 2 && signal.break())),
    )
    await service.start(plan)
    await service.settle()
    expect([service.rows, await service.progress()]).toEqual([upTo(2), { 0: 2 }])
    await service.stop()
  })

  it('shows groups only what comes before it', async () => {
    const service = new Service()
    service.append(upTo(8))
    const seen: number[][] = []
    const plan = [
      toOut(
        base
          .batch({ max: 3 })
          .tap((group) => void seen.push(group))
          .flatten(),
      ),
      base.tap((n) => void (n === 5 && signal.break())),
    ]
    await service.start(plan)
    await service.settle()
    expect(service.rows).toEqual(upTo(5))
    expect(seen.at(-1)).toEqual([3, 4])
    await service.stop()
  })

  it('does not keep a service from stopping', async () => {
    const service = new Service()
    service.append(upTo(5))
    const { plan } = breaking(3, { resumeAfterMs: 3_600_000 })
    const { runner } = await service.start(plan)
    await service.settle()
    expect(runner.tasks.map((task) => task.state)).toEqual(['paused'])
    await runner.stop(1_000)
    expect(runner.tasks).toEqual([])
  })
})
