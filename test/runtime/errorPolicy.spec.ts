import { describe, expect, test } from 'vitest'
import type { RedactableRecord } from '../../src/core/errorPolicy.ts'
import { HaltedError, json, retry, type Stream, segment, signal, stream, table, topic } from '../../src/index.ts'
import { MemoryStore, type TestDriver, testDriver } from '../../src/testing/index.ts'

interface Order {
  readonly id: number
}
const orders = topic('orders', json<Order>())
const out = table<Order>('out')
const base: Stream<Order> = stream('orders').from(orders)
const numbered = (count: number, from = 0) => Array.from({ length: count }, (_, index) => ({ id: from + index }))
const ids = (t: TestDriver) => t.rows(out).map(({ id }) => id)
const outcomes = (t: TestDriver) => t.outcomes().map(({ offset, outcome }) => `${offset} ${outcome}`)

/** Throws for an id as often as it is told, and counts what it was asked. */
class Flaky {
  readonly calls: number[] = []
  readonly #failures: Map<number, number>
  constructor(failures: Readonly<Record<number, number>>) {
    this.#failures = new Map(Object.entries(failures).map(([id, count]) => [Number(id), count]))
  }
  ask(id: number): number {
    this.calls.push(id)
    const left = this.#failures.get(id) ?? 0
    this.#failures.set(id, left - 1)
    if (left > 0) throw new Error(`order ${id} is not ready`)
    return id
  }
}

describe('an item that fails', () => {
  test('is collected at once, unless a policy says otherwise', async () => {
    const flaky = new Flaky({ 1: 1 })
    const t = testDriver(base.tap(({ id }) => void flaky.ask(id)).to(out))
    await t.sendAll(orders, numbered(3))
    expect([ids(t), outcomes(t)]).toEqual([
      [0, 2],
      ['0 done', '1 collected', '2 done'],
    ])
    await t.stop()
  })

  test('is tried again in place after pauses of less than a second, while nothing of its batch commits', async () => {
    const flaky = new Flaky({ 1: 2 })
    const policy = { retry: retry.backoff({ attempts: 3, firstMs: 200, factor: 2 }) }
    const t = testDriver(
      base
        .tap(({ id }) => void flaky.ask(id))
        .to(out)
        .errorPolicy(policy),
    )
    await t.sendAll(orders, numbered(3))
    await t.advanceBy(599)
    expect(ids(t)).toEqual([])
    await t.advanceBy(1)
    expect([ids(t), outcomes(t)]).toEqual([
      [0, 1, 2],
      ['0 done', '1 done', '2 done'],
    ])
    expect(flaky.calls.filter((id) => id === 1)).toHaveLength(3)
    await t.stop()
  })

  test('is collected with its number of tries when they were not enough', async () => {
    const flaky = new Flaky({ 1: 9 })
    const t = testDriver(
      base
        .tap(({ id }) => void flaky.ask(id))
        .to(out)
        .errorPolicy({ retry: retry.backoff({ attempts: 3, firstMs: 10 }) }),
    )
    await t.sendAll(orders, numbered(3))
    await t.advanceBy(1_000)
    expect(ids(t)).toEqual([0, 2])
    expect(t.errors()).toMatchObject([
      { offset: 1, attempts: 3, state: 'open', error: { message: 'order 1 is not ready' } },
    ])
    await t.stop()
  })

  test('is put off for a longer pause, others pass it, and it comes back', async () => {
    const flaky = new Flaky({ 1: 2 })
    const policy = { retry: retry.backoff({ attempts: 4, firstMs: 5_000, factor: 2 }) }
    const t = testDriver(
      base
        .tap(({ id }) => void flaky.ask(id))
        .to(out)
        .errorPolicy(policy),
    )
    await t.sendAll(orders, numbered(3))
    expect([ids(t), outcomes(t)]).toEqual([
      [0, 2],
      ['0 done', '1 deferred', '2 done'],
    ])
    expect(t.errors()).toMatchObject([{ offset: 1, attempts: 1, state: 'deferred' }])
    await t.sendAll(orders, numbered(1, 3))
    await t.advanceBy(5_000)
    expect(t.errors()).toMatchObject([{ offset: 1, attempts: 2, state: 'deferred' }])
    await t.advanceBy(9_999)
    expect(ids(t)).toEqual([0, 2, 3])
    await t.advanceBy(1)
    expect([ids(t), t.errors()]).toEqual([[0, 2, 3, 1], []])
    await t.stop()
  })

  test('takes along what outside calls have answered: each is made once', async () => {
    const flaky = new Flaky({ 1: 1 })
    const asked: number[] = []
    const t = testDriver(
      base
        .mapAsync(async ({ id }) => {
          asked.push(id)
          return { id, at: new Date(id) }
        })
        .tap(({ id }) => void flaky.ask(id))
        .to(table<{ id: number; at: Date }>('out'))
        .errorPolicy({ retry: retry.backoff({ attempts: 2, firstMs: 60_000 }) }),
    )
    await t.sendAll(orders, numbered(3))
    await t.advanceBy(60_000)
    expect(asked.sort()).toEqual([0, 1, 2])
    expect(t.rows(table<{ id: number; at: Date }>('out')).at(-1)).toEqual({ id: 1, at: new Date(1) })
    await t.stop()
  })

  test('is given up quietly by the soft kind', async () => {
    const flaky = new Flaky({ 1: 9 })
    const t = testDriver(
      base
        .tap(({ id }) => void flaky.ask(id))
        .to(out)
        .errorPolicy({ retry: retry.soft({ attempts: 3, firstMs: [1_000, 2_000] }) }),
    )
    await t.sendAll(orders, numbered(3))
    await t.advanceBy(60_000)
    expect([ids(t), t.errors()]).toEqual([[0, 2], []])
    expect(t.outcomes().at(-1)).toMatchObject({ offset: 1, outcome: 'ignored', reason: 'gave up after 3 tries' })
    await t.stop()
  })

  test('is not tried again for bytes that are none, and for a row that is refused', async () => {
    const t = testDriver(base.to(out).errorPolicy({ retry: retry.backoff({ attempts: 5, firstMs: 100 }) }), {
      refuses: (_, row) => (row.id === 1 ? '23514' : undefined),
    })
    await t.sendAll(orders, numbered(2))
    await t.sendBytes(orders, Buffer.from('{'))
    expect(t.errors()).toMatchObject([
      { offset: 1, attempts: 1, state: 'open' },
      { offset: 2, attempts: 1, state: 'open' },
    ])
    await t.stop()
  })
})

describe('a replay', () => {
  test('runs the item again, in its own stream only, and settles it', async () => {
    const flaky = new Flaky({ 1: 1 })
    const dependency = segment('dependency', (given: Stream<Order>) => given.to(table<Order>('before')))
    const receipts = segment('receipts', (given: Stream<Order>) => given.to(table<Order>('after')))
    const t = testDriver(
      base
        .dependsOn(dependency)
        .tap(({ id }) => void flaky.ask(id))
        .to(out)
        .triggers(receipts),
    )
    await t.sendAll(orders, numbered(3))
    await t.replay()
    expect([ids(t), t.errors()]).toEqual([[0, 2, 1], []])
    expect(t.rows(table<Order>('before'))).toEqual(numbered(3))
    expect(t.rows(table<Order>('after'))).toEqual([{ id: 0 }, { id: 2 }, { id: 1 }])
    await t.stop()
  })

  test('of what failed in a triggered stream does nothing in the one that triggered it', async () => {
    const flaky = new Flaky({ 1: 1 })
    const receipts = segment('receipts', (given: Stream<Order>) =>
      given.tap(({ id }) => void flaky.ask(id)).to(table<Order>('after')),
    )
    const t = testDriver(base.to(out).triggers(receipts))
    await t.sendAll(orders, numbered(3))
    expect(t.errors()).toMatchObject([{ stream: 'receipts', taskStream: 'orders', offset: 1 }])
    await t.replay()
    expect([ids(t), t.errors()]).toEqual([[0, 1, 2], []])
    expect(t.rows(table<Order>('after'))).toEqual([{ id: 0 }, { id: 2 }, { id: 1 }])
    await t.stop()
  })

  test('that fails again is one item still, with one more try', async () => {
    const flaky = new Flaky({ 1: 2 })
    const t = testDriver(base.tap(({ id }) => void flaky.ask(id)).to(out))
    await t.sendAll(orders, numbered(3))
    await t.replay()
    expect(t.errors()).toMatchObject([{ offset: 1, attempts: 2 }])
    await t.replay()
    expect([ids(t), t.errors()]).toEqual([[0, 2, 1], []])
    await t.stop()
  })

  test('of an item that breaks off or asks for a retry of the batch keeps it, and holds up nobody', async () => {
    let broken = true
    const t = testDriver(
      base
        .tap(({ id }) => {
          if (id === 1 && broken) throw new Error('once')
          if (id === 1) signal.break('not now')
        })
        .to(out),
    )
    await t.sendAll(orders, numbered(3))
    broken = false
    await t.replay()
    await t.sendAll(orders, numbered(1, 3))
    expect(ids(t)).toEqual([0, 2, 3])
    expect(t.errors()[0]?.error.message).toContain(
      'signal.break() was raised for an item that comes from the error collector: not now',
    )
    await t.stop()
  })
})

describe('parking', () => {
  const keyed = { key: 'a' }

  test('lets later items of a key wait behind one that failed, in this batch and later ones, and follow it in order', async () => {
    const flaky = new Flaky({ 1: 1 })
    const t = testDriver(
      base
        .tap(({ id }) => void flaky.ask(id))
        .to(out)
        .errorPolicy({ park: 'key' }),
    )
    await t.sendAll(orders, numbered(4), ({ id }) => (id === 2 ? { key: 'b' } : keyed))
    expect(outcomes(t)).toEqual(['0 done', '1 collected', '2 done', '3 deferred'])
    await t.sendAll(orders, numbered(2, 4), (_, index) => (index === 0 ? keyed : {}))
    expect(ids(t)).toEqual([0, 2, 5])
    await t.replay()
    expect([ids(t), t.errors()]).toEqual([[0, 2, 5, 1, 3, 4], []])
    await t.sendAll(orders, numbered(1, 6), keyed)
    expect(ids(t)).toEqual([0, 2, 5, 1, 3, 4, 6])
    await t.stop()
  })

  test('tells callbacks which items come from the collector', async () => {
    const flaky = new Flaky({ 0: 1 })
    const replayed = table<{ id: number; isReplay: boolean }>('replayed')
    const t = testDriver(
      base
        .tap(({ id }) => void flaky.ask(id))
        .mapAsync(async (order, ctx) => ({ ...order, async: ctx.isReplay }))
        .to(replayed, ({ id, async }, ctx) => ({ id, isReplay: async && ctx.isReplay })),
    )
    await t.sendAll(orders, numbered(2))
    await t.replay()
    expect(t.rows(replayed)).toEqual([
      { id: 1, isReplay: false },
      { id: 0, isReplay: true },
    ])
    await t.stop()
  })

  test('keeps them waiting while it fails again', async () => {
    const flaky = new Flaky({ 0: 2 })
    const t = testDriver(
      base
        .tap(({ id }) => void flaky.ask(id))
        .to(out)
        .errorPolicy({ park: 'key' }),
    )
    await t.sendAll(orders, numbered(3), keyed)
    await t.replay()
    expect([ids(t), t.errors().map(({ offset, state }) => `${offset} ${state}`)]).toEqual([
      [],
      ['0 open', '1 parked', '2 parked'],
    ])
    await t.replay()
    expect(ids(t)).toEqual([0, 1, 2])
    await t.stop()
  })

  test('lets an item that has waited do everything that it would have done, also in streams that its own depends on', async () => {
    const flaky = new Flaky({ 0: 1, 1: 2 })
    const before = table<Order>('before')
    const dependency = segment('dependency', (given: Stream<Order>) => given.to(before))
    const t = testDriver(
      base
        .dependsOn(dependency)
        .tap(({ id }) => void flaky.ask(id))
        .to(out)
        .errorPolicy({ park: 'key' }),
    )
    await t.sendAll(orders, numbered(2), keyed)
    await t.sendAll(orders, numbered(1, 2), keyed)
    expect(t.rows(before)).toEqual(numbered(1))
    await t.replay()
    expect([ids(t), t.errors().map(({ offset, state }) => `${offset} ${state}`)]).toEqual([[0], ['1 open', '2 parked']])
    await t.replay()
    expect([ids(t), t.errors()]).toEqual([[0, 1, 2], []])
    expect(t.rows(before)).toEqual(numbered(3))
    await t.stop()
  })

  test('counts no try of an item that was tried again in place and has to wait in the end', async () => {
    const flaky = new Flaky({ 0: 9, 1: 1 })
    const before = table<Order>('before')
    const dependency = segment('dependency', (given: Stream<Order>) => given.to(before))
    const t = testDriver(
      base
        .dependsOn(dependency)
        .tap(({ id }) => void flaky.ask(id))
        .to(out)
        .errorPolicy({ park: 'key', retry: retry.backoff({ attempts: 2, firstMs: 10 }) }),
    )
    await t.sendAll(orders, numbered(2), keyed)
    await t.advanceBy(1_000)
    expect(t.errors()).toMatchObject([
      { offset: 0, state: 'open', attempts: 2 },
      { offset: 1, state: 'parked', attempts: 0 },
    ])
    expect(t.rows(before)).toEqual(numbered(1))
    await t.stop()
  })

  test.each(['dependsOn', 'triggers'] as const)(
    'keeps an item that fell in a stream of %s while an earlier one of its key fails there again',
    async (relation) => {
      const flaky = new Flaky({ 0: 2, 1: 1 })
      const there = table<Order>('there')
      const other = segment('other', (given: Stream<Order>) => given.tap(({ id }) => void flaky.ask(id)).to(there))
      const t = testDriver(base[relation](other).to(out).errorPolicy({ park: 'key' }))
      await t.sendAll(orders, numbered(2), keyed)
      await t.replay()
      expect(t.errors().map(({ offset, state, stream }) => `${offset} ${state} in ${stream}`)).toEqual([
        '0 open in other',
        '1 parked in other',
      ])
      await t.replay()
      expect([t.rows(there), t.errors()]).toEqual([numbered(2), []])
      await t.stop()
    },
  )

  test('breaks the partition off where more would wait than may, and goes on when they do not any more', async () => {
    const flaky = new Flaky({ 0: 1 })
    const t = testDriver(
      base
        .tap(({ id }) => void flaky.ask(id))
        .to(out)
        .errorPolicy({ park: 'key', maxParked: 3 }),
    )
    await t.sendAll(orders, numbered(3), keyed)
    await t.sendAll(orders, numbered(5, 3), ({ id }) => (id === 4 ? { key: 'b' } : keyed))
    expect([ids(t), t.errors().map(({ offset, state }) => `${offset} ${state}`)]).toEqual([
      [4],
      ['0 open', '1 parked', '2 parked', '3 parked'],
    ])
    expect(t.commits().at(-1)?.reason).toBe('break')
    await t.replay()
    expect([ids(t), t.errors()]).toEqual([[4, 0, 1, 2, 3, 5, 6, 7], []])
    await t.stop()
  })

  test('lets items wait for one that was put off', async () => {
    const flaky = new Flaky({ 0: 1 })
    const t = testDriver(
      base
        .tap(({ id }) => void flaky.ask(id))
        .to(out)
        .errorPolicy({ park: 'key', retry: retry.backoff({ attempts: 3, firstMs: 2_000 }) }),
    )
    await t.sendAll(orders, numbered(3), keyed)
    expect(ids(t)).toEqual([])
    await t.advanceBy(2_000)
    expect(ids(t)).toEqual([0, 1, 2])
    await t.stop()
  })
})

describe('the error budget', () => {
  const failing = base.tap(() => {
    throw new Error('a bad deploy')
  })

  test('halts the stream after so many in a row, with those behind still to be read', async () => {
    const t = testDriver(failing.to(out).errorPolicy({ budget: { inARow: 5 } }), { chunk: 3 })
    await expect(t.sendAll(orders, numbered(20))).rejects.toThrow(
      /stream "orders" is halted: 5 items in a row were collected, the last one with: a bad deploy \(stream "orders", orders\[0\]\).*MR-HALTED/s,
    )
    expect(t.errors().map(({ offset }) => offset)).toEqual([0, 1, 2, 3, 4])
    await t.stop()
  })

  test('counts over batches, and any item that stands begins the row anew', async () => {
    const t = testDriver(
      base
        .tap(({ id }) => {
          if (id !== 3) throw new Error('bad')
        })
        .to(out)
        .errorPolicy({ budget: { inARow: 4 } }),
      { chunk: 1 },
    )
    for (const order of numbered(7)) await t.send(orders, order)
    expect(t.errors()).toHaveLength(6)
    await expect(t.send(orders, { id: 7 })).rejects.toBeInstanceOf(HaltedError)
    await t.stop()
  })

  test('is used up by half of the last 1,000 items', async () => {
    const t = testDriver(
      base
        .tap(({ id }) => {
          if (id % 4 < 3) throw new Error('bad')
        })
        .errorPolicy({}),
    )
    await expect(t.sendAll(orders, numbered(1_000))).rejects.toThrow('501 of the last 1000 items were collected')
    await t.stop()
  })

  test('false never halts', async () => {
    const t = testDriver(failing.errorPolicy({ budget: false }))
    await t.sendAll(orders, numbered(300))
    expect(t.errors()).toHaveLength(300)
    await t.stop()
  })
})

test('an error policy is that of the whole stream', () => {
  const part = segment('part', (given: Stream<Order>) => given.errorPolicy({ park: 'key' }))
  expect(() => base.via(part)).toThrow(/errorPolicy\(\) inside of a segment.*MR-PLAN-POLICY/s)
  expect(() => testDriver([base.errorPolicy({ park: 'key' }), base.to(out).errorPolicy({ budget: false })])).toThrow(
    /stream "orders" has 2 error policies.*MR-PLAN-POLICY/s,
  )
  expect(() => base.errorPolicy({ retry: { attempts: 3 } as never })).toThrow(/must be made by retry\.backoff\(\)/)
  expect(() => retry.backoff({ attempts: 0 })).toThrow(/"attempts" must be a whole number from 1 to 1000/)
  expect(() => retry.soft({ attempts: 2, firstMs: [5, 1] })).toThrow(/"firstMs" must be a number of at least 0, or two/)
})

test('what is changed before it is kept is never run again by itself', () => {
  const redact = (record: RedactableRecord) => ({ ...record, value: null })
  const refused = /"redact" cannot be together with "park", or with a retry that may pause.*MR-PLAN-OPTION/s
  expect(() => base.errorPolicy({ redact, park: 'key' })).toThrow(refused)
  expect(() => base.errorPolicy({ redact, retry: retry.soft({ attempts: 2 }) })).toThrow(refused)
  expect(() => base.errorPolicy({ redact, retry: retry.backoff({ attempts: 4, firstMs: 250 }) })).toThrow(refused)
  expect(() => base.errorPolicy({ redact, retry: retry.backoff({ attempts: 2, firstMs: 950, jitter: 0.1 }) })).toThrow(
    refused,
  )
  base.errorPolicy({ redact, retry: retry.backoff({ attempts: 3, firstMs: 250 }) })
  base.errorPolicy({ redact, retry: retry.backoff({ attempts: 1, firstMs: 5_000 }) })
})

test('what the collector keeps can be changed before', async () => {
  const t = testDriver(
    base
      .tap(() => {
        throw new Error('bad')
      })
      .errorPolicy({ redact: (record) => ({ ...record, value: Buffer.from('***'), key: null }) }),
  )
  await t.send(orders, { id: 1 }, { key: 'somebody' })
  expect(t.errors()).toMatchObject([{ key: null, value: Buffer.from('***') }])
  await t.stop()
})

test('a store remembers who is halted, for the plan that was halted', async () => {
  const store = new MemoryStore()
  const task = { app: 'app', stream: 's', partition: 0 }
  const claim = await store.claim(task, [{ source: 'from:t', nextOffset: 0, fingerprint: null }])
  const halted = { reason: 'too many', plan: 'abc' }
  await store.commit({
    claim,
    progress: [],
    buffers: [],
    position: () => undefined,
    allInOrder: true,
    collected: [],
    settled: [],
    budget: '3',
    halted,
  })
  expect(await store.claim(task, [])).toMatchObject({ budget: '3', halted })
  store.resume()
  expect(await store.claim(task, [])).toMatchObject({ budget: null, halted: null })
})
