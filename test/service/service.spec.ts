import { setImmediate as nextTurn } from 'node:timers/promises'
import { afterEach, describe, expect, test } from 'vitest'
import { json, signal, stream, table, topic } from '../../src/index.ts'
import type { Service } from '../../src/service/service.ts'
import { BrokenOffError, StalledError, StoppedError } from '../../src/service/serviceErrors.ts'
import { MemoryStore } from '../../src/testing/memoryStore.ts'
import { VirtualClock } from '../../src/testing/virtualClock.ts'
import { until } from '../support/until.ts'
import { append, createMember, filledBroker, type MemberOptions } from './_member.ts'

interface Numbered {
  readonly id: number
}

const numbers = stream('numbers').from(topic('t', json<Numbered>()))
const out = table<Numbered>('out')
const plan = numbers.to(out)

const running: Service[] = []
afterEach(async () => {
  await Promise.all(running.splice(0).map((service) => service.stop()))
})

async function member(of: typeof plan, options: MemberOptions) {
  const made = createMember(of, options)
  running.push(made.service)
  await made.service.start()
  return made
}

function ids(store: MemoryStore): number[] {
  return store
    .rows('out')
    .map(({ id }) => id as number)
    .sort((a, b) => a - b)
}

const upTo = (count: number) => Array.from({ length: count }, (_, id) => id)

describe('caughtUp', () => {
  test('resolves when everything that was there is committed', async () => {
    const { service, store } = await member(plan, { broker: filledBroker({ partitions: 3, records: 100 }) })
    await service.caughtUp()
    expect(ids(store)).toEqual(upTo(100))
    expect(service.stats()).toMatchObject({ items: 100, rows: 100, lag: 0, outcomes: { done: 100 } })
    expect(service.stats().partitions.map(({ committedTo, endOffset }) => [committedTo, endOffset])).toEqual([
      [34, 34],
      [33, 33],
      [33, 33],
    ])
  })

  test('resolves at once where there is nothing to read', async () => {
    const { service } = await member(plan, { broker: filledBroker({ partitions: 2 }) })
    await service.caughtUp()
    expect(service.stats().items).toBe(0)
  })

  test('asked again, waits for what has come since', async () => {
    const broker = filledBroker({ records: 10 })
    const { service, store } = await member(plan, { broker })
    await service.caughtUp()
    append(broker, 1, 10, 10)
    await service.caughtUp()
    expect(ids(store)).toEqual(upTo(20))
  })

  test('takes in the partitions that a rebalance brings', async () => {
    const broker = filledBroker({ partitions: 4, records: 400 })
    const store = new MemoryStore()
    // The second member is stuck until it leaves: what it was given comes to the first.
    const stuck = numbers.mapAsync(() => new Promise<Numbered>(() => {}), { timeoutMs: 1_000_000 }).to(out)
    const second = await member(stuck, { broker, store })
    const first = await member(plan, { broker, store })
    await until(
      'both have their share',
      () => first.service.stats().partitions.length === 2 && second.service.stats().partitions.length === 2,
    )
    const caughtUp = first.service.caughtUp()
    await second.service.stop()
    await caughtUp
    await until('the first has all of them', () => first.service.stats().partitions.length === 4)
    await first.service.caughtUp()
    expect(ids(store)).toEqual(upTo(400))
  })

  test('names the place of a break that does not say when to go on, after the other partitions', async () => {
    const broken = numbers.tap(({ id }) => (id === 10 ? signal.break('no rate for today') : undefined)).to(out)
    const { service, store } = await member(broken, { broker: filledBroker({ partitions: 2, records: 100 }) })
    const error = await service.caughtUp().then(
      () => undefined,
      (thrown: unknown) => thrown,
    )
    expect(error).toBeInstanceOf(BrokenOffError)
    expect((error as Error).message).toBe(
      [
        'millrace: a partition is broken off before the end',
        '  t[0]@5: no rate for today',
        '  What came before is committed. See to the cause, then start again: it goes on at that record.  MR-RUN-BROKEN',
      ].join('\n'),
    )
    expect(ids(store)).toEqual(upTo(100).filter((id) => id % 2 === 1 || id < 10))
  })

  test('waits for a break that says when to go on', async () => {
    let breaks = 1
    const broken = numbers
      .tap(({ id }) => (id === 10 && breaks-- > 0 ? signal.break('soon', { resumeAfterMs: 1 }) : undefined))
      .to(out)
    const { service, store } = await member(broken, { broker: filledBroker({ records: 20 }) })
    await service.caughtUp()
    expect(ids(store)).toEqual(upTo(20))
  })

  test('rejects when the service is stopped first', async () => {
    const stuck = numbers.mapAsync(() => new Promise<Numbered>(() => {}), { timeoutMs: 1_000_000 }).to(out)
    const { service } = await member(stuck, { broker: filledBroker({ records: 1 }) })
    const caughtUp = expect(service.caughtUp()).rejects.toBeInstanceOf(StoppedError)
    await service.stop()
    await caughtUp
    await expect(service.caughtUp()).rejects.toBeInstanceOf(StoppedError)
    await expect(service.done).resolves.toBeUndefined()
  }, 20_000)
})

describe('a failure', () => {
  test('stops the service, which says why, and is what waits for it is told', async () => {
    const failing = numbers.tap(({ id }) => (id === 7 ? signal.error(new Error('rates are down')) : undefined)).to(out)
    const { service, store, lines } = await member(failing, { broker: filledBroker({ records: 20 }) })
    const caughtUp = service.caughtUp().catch((thrown: unknown) => thrown)
    await expect(service.done).rejects.toThrow('rates are down')
    expect(String(await caughtUp)).toContain('rates are down')
    await service.stop()
    expect(ids(store)).toEqual([])
    expect(lines.find(({ level }) => level === 'error')).toMatchObject({ message: 'the service stops' })
    expect(lines.at(-1)).toMatchObject({ level: 'info', message: 'stopped' })
  })

  test('at the start leaves nothing open', async () => {
    let closed = 0
    class ClosedStore extends MemoryStore {
      override async open(): Promise<void> {
        throw new Error('no such table')
      }
      override async close(): Promise<void> {
        closed++
      }
    }
    const { service } = createMember(plan, { broker: filledBroker(), store: new ClosedStore() })
    await expect(service.start()).rejects.toThrow('no such table')
    expect(closed).toBe(1)
  })
})

describe('stop', () => {
  test('commits what is open, and does so once', async () => {
    const grouped = numbers.batch({ max: 1_000, maxWaitMs: 1_000_000 }).flatten().to(out)
    const { service, store } = await member(grouped, { broker: filledBroker({ records: 20 }) })
    await until('the group is open', () => service.stats().partitions[0]?.state === 'waiting')
    await Promise.all([service.stop(), service.stop()])
    expect(ids(store)).toEqual(upTo(20))
    await service.done
  })

  test('does not wait for a start that hangs', async () => {
    class HangingStore extends MemoryStore {
      override open(): Promise<void> {
        return new Promise(() => {})
      }
    }
    const { service } = createMember(plan, { broker: filledBroker(), store: new HangingStore() })
    const started = service.start()
    await service.stop()
    await started
  })

  test('ends in time whatever hangs', async () => {
    const clock = new VirtualClock()
    class HangingStore extends MemoryStore {
      override close(): Promise<void> {
        return new Promise(() => {})
      }
      override commit(): Promise<void> {
        return new Promise(() => {})
      }
    }
    const { service, messages } = createMember(plan, {
      broker: filledBroker({ records: 5 }),
      store: new HangingStore(),
      clock,
    })
    await service.start()
    await until('the batch is being committed', () => service.stats().partitions[0]?.state === 'committing')
    const stopped = service.stop()
    let done = false
    void stopped.then(() => {
      done = true
    })
    await until('it has ended', async () => {
      clock.step(8_000)
      return done
    })
    expect(clock.now()).toBeLessThanOrEqual(8_000)
    expect(messages('warn')).toEqual([
      'what was open did not end in time: it is rolled back',
      'the database connections did not close in time',
    ])
  })
})

describe('the watchdog', () => {
  test('stops a service that has records and commits nothing', async () => {
    const clock = new VirtualClock()
    const stuck = numbers.mapAsync(() => new Promise<Numbered>(() => {}), { timeoutMs: 1_000_000_000 }).to(out)
    const { service } = await member(stuck, { broker: filledBroker({ records: 5 }), clock, stallAfterMs: 60_000 })
    let error: unknown
    void service.done.catch((thrown: unknown) => {
      error = thrown
    })
    for (let steps = 0; error === undefined && steps < 10_000; steps++) {
      clock.step(1_000_000)
      await nextTurn()
    }
    expect(error).toBeInstanceOf(StalledError)
    expect((error as Error).message).toMatch(
      /^millrace: nothing was committed for \d+ s, though the log goes on to 5 \(t\[0\]@0\)\n/,
    )
    expect(clock.now()).toBeGreaterThanOrEqual(60_000)
  })

  test('lets a service be that has nothing to do, is parked, or goes on', async () => {
    const clock = new VirtualClock()
    const broker = filledBroker({ partitions: 2, records: 0 })
    const parking = numbers.tap(({ id }) => (id === 1 ? signal.break('enough') : undefined)).to(out)
    const { service, store } = await member(parking, { broker, clock, stallAfterMs: 4_000 })
    const beat = async () => {
      for (let turn = 0; turn < 20; turn++) await nextTurn()
    }
    let next = 0
    for (let second = 0; second < 60; second++) {
      const end = clock.now() + 1_000
      while (clock.step(end)) await beat()
      if (second > 20) append(broker, 2, next++, 1)
      await beat()
    }
    expect(service.stats().partitions.map(({ state }) => state)).toEqual(['waiting', 'parked'])
    expect(ids(store).length).toBeGreaterThan(10)
  })
})

test('items of the error collector go when they have been settled for long, and no others', async () => {
  const clock = new VirtualClock()
  const store = new MemoryStore({ clock: () => clock.now() })
  let broken = true
  const failing = numbers.tap(({ id }) => {
    if (id < 1_500 ? broken : id === 1_999) throw new Error('not now')
  })
  const parts = { keepErrorsMs: 7_200_000 }
  const made = await member(failing.errorPolicy({ budget: false }).to(out), {
    broker: filledBroker({ records: 2_000 }),
    store,
    clock,
    parts,
  })
  const kept = () => store.collector.kept.map(({ state }) => state)
  const beatUntil = async (condition: () => boolean) => {
    for (let beats = 0; !condition() && beats < 10_000; beats++) {
      clock.step(clock.now() + 100)
      await nextTurn()
    }
  }
  await beatUntil(() => kept().length === 1_501)
  broken = false
  store.collector.replay()
  await beatUntil(() => kept().filter((state) => state === 'done').length === 1_500)
  expect(store.plans.get('numbers')).toMatchObject({ hash: expect.stringMatching(/^[0-9a-f]{16}$/), orderSteps: [] })
  const moved = async (ms: number) => {
    for (const limit = clock.now() + ms; clock.step(limit); ) await nextTurn()
  }
  await moved(7_000_000)
  expect(kept()).toHaveLength(1_501)
  await moved(1_200_000)
  expect(kept()).toEqual(['open'])
  await made.service.stop()
})

describe('the log', () => {
  test('has each commit, the first few that were undone, and their reasons', async () => {
    const choosy = numbers
      .tap(({ id }) => {
        if (id % 10 === 1) signal.ignore('one')
        if (id % 10 === 2) throw new Error(`two: ${id}`)
      })
      .to(out)
    const { service, lines, messages } = await member(choosy, { broker: filledBroker({ records: 100 }) })
    await service.caughtUp()
    expect(messages('debug')).toContain('committed')
    expect(lines.filter(({ level }) => level === 'warn').map(({ fields, message }) => [message, fields])).toEqual([
      ['item ignored', { stream: 'numbers', topic: 't', partition: 0, offset: 1, reason: 'one' }],
      ['item collected', { stream: 'numbers', topic: 't', partition: 0, offset: 2, step: 'tap', error: 'two: 2' }],
      ['item ignored', { stream: 'numbers', topic: 't', partition: 0, offset: 11, reason: 'one' }],
      ['item collected', { stream: 'numbers', topic: 't', partition: 0, offset: 12, step: 'tap', error: 'two: 12' }],
      ['item ignored', { stream: 'numbers', topic: 't', partition: 0, offset: 21, reason: 'one' }],
    ])
    await service.stop()
    expect(lines.at(-1)?.fields).toMatchObject({
      items: 100,
      rows: 80,
      outcomes: { done: 80, ignored: 10, collected: 10 },
      ignored: { one: 10 },
    })
  })

  test('has a summary every 10 s while there is something to say', async () => {
    const clock = new VirtualClock()
    const broker = filledBroker({ records: 50 })
    const { service, lines } = await member(plan, { broker, clock })
    await until('it is done', () => service.stats().items === 50)
    const pass = async (ms: number) => {
      const end = clock.now() + ms
      while (clock.step(end)) await nextTurn()
    }
    await pass(30_000)
    const summaries = lines.filter(({ message }) => message === 'summary')
    expect(summaries.map(({ fields }) => fields)).toEqual([
      { items: 50, itemsPerSecond: 5, rows: 50, commits: 1, outcomes: { done: 50 }, lag: 0 },
    ])
  })
})
