import { describe, expect, it } from 'vitest'
import { table } from '../../sinks/table.ts'
import { signal } from '../../src/core/signal.ts'
import { slot } from '../../src/core/slot.ts'
import { testDriver } from '../../src/testing/testDriver.ts'
import { base, numbers, upTo } from '../runtime/_service.ts'

const seen = slot('seen', () => [] as string[])
const count = slot('count', () => 0)
const noted = table<{ n: number; seen: string }>('noted')

describe('the scope of an item', () => {
  it('is shared by its callbacks and by nobody else', async () => {
    const note = (what: string) => (n: number, ctx: Parameters<Parameters<typeof base.tap>[0]>[1]) =>
      void ctx.scope.item.set(seen, [...ctx.scope.item.get(seen), `${what}${n}`])
    const plan = base
      .tap(note('a'))
      .filter((n, ctx) => {
        note('b')(n, ctx)
        return true
      })
      .to(noted, (n, ctx) => ({ n, seen: ctx.scope.item.get(seen).join(' ') }))
    const t = testDriver(plan)
    await t.sendAll(numbers, upTo(3))
    expect(t.rows(noted).map((row) => row.seen)).toEqual(['a0 b0', 'a1 b1', 'a2 b2'])
  })

  it('begins with a value of its own, made by the factory', async () => {
    const lists = new Set<unknown>()
    const t = testDriver(base.tap((_, ctx) => void lists.add(ctx.scope.item.get(seen))))
    await t.sendAll(numbers, upTo(3))
    expect(lists.size).toBe(3)
  })

  it('is empty again when the item runs again', async () => {
    let failures = 0
    const plan = base
      .tap((_, ctx) => void ctx.scope.item.update(count, (n) => n + 1))
      .to(noted, (n, ctx) => ({ n, seen: String(ctx.scope.item.get(count)) }))
      .tap((n) => void (n === 1 && failures++ < 2 && signal.error('again')))
    const t = testDriver(plan)
    await t.sendAll(numbers, upTo(2))
    await t.advanceBy(60_000)
    expect(t.rows(noted).map((row) => row.seen)).toEqual(['1', '1'])
  })

  it('of a group belongs to the group', async () => {
    const plan = base
      .tap((_, ctx) => ctx.scope.item.set(count, 7))
      .batch({ max: 2 })
      .tap((_, ctx) => void ctx.scope.item.update(count, (n) => n + 1))
      .to(noted, (group, ctx) => ({ n: group.length, seen: String(ctx.scope.item.get(count)) }))
    const t = testDriver(plan)
    await t.sendAll(numbers, upTo(3))
    expect(t.rows(noted)).toEqual([
      { n: 2, seen: '1' },
      { n: 1, seen: '1' },
    ])
  })

  it('cannot be used after the callback', async () => {
    let kept: Parameters<Parameters<typeof base.tap>[0]>[1] | undefined
    const t = testDriver(
      base.tap((_, ctx) => {
        kept = ctx
      }),
    )
    await t.send(numbers, 1)
    expect(() => kept?.scope.item.get(count)).toThrow(/a ctx was used after its callback had ended.*MR-CTX-SEALED/s)
    expect(() => kept?.record).toThrow('MR-CTX-SEALED')
  })
})

it('a slot is a value', () => {
  expect(Object.isFrozen(slot('x', () => 0))).toBe(true)
})
