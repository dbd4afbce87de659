import { describe, expect, test } from 'vitest'
import { benchEvent, expectedRows, isIgnored, isPing, isPoison, isSignalled, repeatedBy } from '../../bench/events.ts'
import { partitions } from '../../bench/fill.ts'

describe('the events', () => {
  test('are of the size that the figures are stated for', () => {
    let bytes = 0
    for (let id = 0; id < 10_000; id++) bytes += JSON.stringify(benchEvent(id + 500_000)).length
    expect(bytes / 10_000).toBeGreaterThan(180)
    expect(bytes / 10_000).toBeLessThan(195)
  })

  test('are one ping in ten, and one in a hundred to be ignored that is no ping', () => {
    const ids = Array.from({ length: 1_000 }, (_, id) => id)
    expect(ids.filter(isPing)).toHaveLength(100)
    expect(ids.filter(isIgnored)).toHaveLength(10)
    expect(ids.filter((id) => isPing(id) && isIgnored(id))).toEqual([])
    for (const id of ids) expect(benchEvent(id).kind === 'ping').toBe(isPing(id))
  })

  test('are one in ten to be signalled and one in 5,000 poison, none of them a ping', () => {
    const ids = Array.from({ length: 40_000 }, (_, id) => id)
    expect(ids.filter(isSignalled)).toHaveLength(4_000)
    expect(ids.filter((id) => isPing(id) && (isSignalled(id) || isPoison(id)))).toEqual([])
    const poison = ids.filter(isPoison)
    for (let partition = 0; partition < partitions; partition++) {
      expect(poison.filter((id) => id % partitions === partition)).toHaveLength(40_000 / 5_000 / partitions)
    }
    // What repeats the key of another must come behind it, in its partition, where it has a row.
    for (const id of poison) {
      expect([isPing(repeatedBy(id)), isPoison(repeatedBy(id))]).toEqual([false, false])
      expect(repeatedBy(id) % partitions).toBe(id % partitions)
      expect(repeatedBy(id)).toBeLessThan(id)
    }
  })

  test('what must be in the table is what a loop over them gives', () => {
    const rows = Array.from({ length: 250 }, (_, id) => benchEvent(id)).filter(({ kind }) => kind !== 'ping')
    const kept = rows.filter(({ id }) => id % 100 !== 7)
    const sum = (values: readonly number[]) => values.reduce((one, other) => one + other, 0)
    for (const [isUndone, all] of [
      [undefined, rows],
      [isIgnored, kept],
    ] as const) {
      expect(expectedRows(250, isUndone)).toEqual({
        rows: all.length,
        ids: sum(all.map(({ id }) => id)),
        cents: sum(all.map(({ amount }) => Math.round(amount * 100))),
      })
    }
  })
})
