import { describe, expect, it, vi } from 'vitest'
import { sleep, systemClock } from '../../src/core/clock.ts'
import { VirtualClock } from '../../src/testing/virtualClock.ts'

describe('sleep', () => {
  it('resolves when the time has passed', async () => {
    const clock = new VirtualClock()
    const slept = sleep(clock, 100)
    clock.step(1_000)
    expect(await slept).toBe('elapsed')
  })

  it('resolves when it is aborted, and leaves no timer and no listener behind', async () => {
    const clock = new VirtualClock()
    const controller = new AbortController()
    const slept = sleep(clock, 100, controller.signal)
    controller.abort()
    expect(await slept).toBe('aborted')
    expect(clock.step(1_000)).toBe(false)
    expect(await sleep(clock, 100, controller.signal)).toBe('aborted')
  })

  it('works with the real clock', async () => {
    const before = systemClock.now()
    expect(await sleep(systemClock, 5)).toBe('elapsed')
    expect(systemClock.now()).toBeGreaterThanOrEqual(before)
    systemClock.schedule(60_000, () => {})()
  })
})

describe('the real clock', () => {
  it('goes on when the clock of the machine is set back', () => {
    const before = systemClock.now()
    expect(Math.abs(before - Date.now())).toBeLessThan(60_000)
    const machine = vi.spyOn(Date, 'now').mockReturnValue(before - 3_600_000)
    try {
      expect(systemClock.now()).toBeGreaterThanOrEqual(before)
    } finally {
      machine.mockRestore()
    }
  })
})

describe('the virtual clock', () => {
  it('lets things happen in order of their time, one a step, and stands still otherwise', () => {
    const clock = new VirtualClock(1_000)
    const seen: string[] = []
    const note = (what: string) => () => seen.push(`${what}@${clock.now()}`)
    clock.schedule(50, note('late'))
    clock.schedule(10, note('early'))
    clock.schedule(10, note('second'))
    clock.schedule(30, note('cancelled'))()
    expect(clock.now()).toBe(1_000)
    while (clock.step(1_040));
    expect(seen).toEqual(['early@1010', 'second@1010'])
    expect(clock.now()).toBe(1_040)
    while (clock.step(2_000));
    expect(seen.at(-1)).toBe('late@1050')
    expect(clock.now()).toBe(2_000)
  })

  it('never goes back', () => {
    const clock = new VirtualClock(1_000)
    clock.step(500)
    expect(clock.now()).toBe(1_000)
  })
})
