import { describe, expect, test } from 'vitest'
import { count, json, type KeyedStream, max, signal, stream, table, topic } from '../../src/index.ts'
import { testDriver } from '../../src/testing/index.ts'

interface Payment {
  readonly payer: string
  readonly id: number
  readonly amount: number
}

const payments = topic('payments', json<Payment>())
const out = table<Record<string, unknown>>('out')
const base = stream('payments').from(payments)
const keyed: KeyedStream<string, Payment> = base.keyBy(({ payer }) => payer, { sameKey: true })
const pay = (payer: string, amount: number, id = 0): Payment => ({ payer, id, amount })
const byPayer = ({ payer }: Payment) => ({ key: payer })

describe('stateful', () => {
  test('keeps a value for each key, and gives what it answers', async () => {
    const t = testDriver(
      keyed
        .stateful({ name: 'balance', initial: () => 0 }, (payment, state) =>
          payment.amount === 0 ? undefined : { payer: state.key, sum: state.update((sum) => sum + payment.amount) },
        )
        .to(out),
    )
    await t.sendAll(payments, [pay('ada', 1), pay('bob', 10), pay('ada', 0)], byPayer)
    await t.sendAll(payments, [pay('ada', 2), pay('bob', 20)], byPayer)
    expect(t.rows(out)).toEqual([
      { payer: 'ada', sum: 1 },
      { payer: 'bob', sum: 10 },
      { payer: 'ada', sum: 3 },
      { payer: 'bob', sum: 30 },
    ])
    expect(t.counts()).toMatchObject({ done: 4, filtered: 1 })
    await t.stop()
  })

  test('forgets a key that is deleted, and one whose time to live has passed in event time', async () => {
    const t = testDriver(
      keyed
        .stateful({ name: 'seen', initial: () => 0, ttl: { seconds: 10 } }, ({ amount }, state) => {
          if (amount < 0) state.delete()
          else state.update((n) => n + 1)
          return { n: state.get() }
        })
        .to(out),
    )
    const at = (seconds: number) => ({ key: 'ada', timestamp: new Date(seconds * 1_000) })
    for (const [amount, seconds] of [
      [1, 0],
      [1, 1],
      [-1, 2],
      [1, 3],
      [1, 12],
      [1, 23],
    ] as const) {
      await t.send(payments, pay('ada', amount), at(seconds))
    }
    // Set at 12, it is kept until before 22.
    expect(t.rows(out).map(({ n }) => n)).toEqual([1, 2, 0, 1, 2, 1])
    await t.stop()
  })

  test('is undone with its item, whenever that falls', async () => {
    const sums = keyed.stateful({ name: 'sums', initial: () => 0 }, ({ id, amount }, state) => ({
      id,
      sum: state.update((sum) => sum + amount),
    }))
    const t = testDriver(
      sums
        .tap(({ id }) => void (id === 1 && signal.ignore()))
        .mapAsync(async (value) => value)
        .tap(({ id }) => void (id === 2 && signal.ignore()))
        .to(out),
    )
    await t.sendAll(
      payments,
      [0, 1, 2, 3].map((id) => pay('ada', 10 ** id, id)),
      byPayer,
    )
    expect(t.rows(out)).toEqual([
      { id: 0, sum: 1 },
      { id: 3, sum: 1_001 },
    ])
    await t.stop()
  })

  test('refuses state that cannot be kept, and a key that is none', async () => {
    const t = testDriver(
      keyed.stateful({ name: 'x', initial: () => null as unknown }, (_, state) => state.set(new URL('http://a'))),
    )
    await expect(t.send(payments, pay('ada', 1), { key: 'ada' })).rejects.toThrow(
      /state cannot hold.*object of a class.*MR-STATE-VALUE/s,
    )
    const wrong = testDriver(base.keyBy(({ amount }) => amount / 0, { sameKey: true }).aggregate({ n: count() }))
    await wrong.send(payments, pay('ada', 1), { key: 'Infinity' })
    expect(wrong.errors()[0]?.error.message).toMatch(/a key must be a text, a finite number/)
    expect(() => keyed.stateful({ name: '', initial: () => 0 }, () => 1)).toThrow(/stateful\(\): "name" must be/)
    await wrong.stop()
  })
})

test('reduce makes one value of all', async () => {
  const t = testDriver(
    keyed
      .reduce((most, next) => (next.amount > most.amount ? next : most))
      .to(out, ({ key, value }) => ({ key, most: value.amount })),
  )
  await t.sendAll(payments, [pay('ada', 2), pay('ada', 5), pay('ada', 3)], byPayer)
  expect(t.rows(out).map(({ most }) => most)).toEqual([2, 5, 5])
  await t.stop()
})

test('aggregate gives figures of all values so far', async () => {
  const t = testDriver(keyed.aggregate({ n: count(), most: max(({ amount }) => amount) }).to(out))
  await t.sendAll(payments, [pay('ada', 2), pay('bob', 9), pay('ada', 5)], byPayer)
  expect(t.rows(out)).toEqual([
    { key: 'ada', n: 1, most: 2 },
    { key: 'bob', n: 1, most: 9 },
    { key: 'ada', n: 2, most: 5 },
  ])
  await t.stop()
})

test('dedupe drops what comes again within a time', async () => {
  const t = testDriver(
    keyed.dedupe({ by: ({ id }) => id, within: { seconds: 10 } }).to(out, ({ id, amount }) => ({ id, amount })),
  )
  const at = (seconds: number) => ({ key: 'ada', timestamp: new Date(seconds * 1_000) })
  await t.send(payments, pay('ada', 1, 1), at(0))
  await t.send(payments, pay('ada', 2, 1), at(10))
  await t.send(payments, pay('ada', 3, 2), at(10))
  await t.send(payments, pay('ada', 4, 1), at(11))
  expect(t.rows(out).map(({ amount }) => amount)).toEqual([1, 3, 4])
  expect(t.counts()).toMatchObject({ done: 3, filtered: 1 })
  await t.stop()
})
