/** The API as it is promised, in order and as one module, as far as this release has it. */
import { setTimeout as wait } from 'node:timers/promises'
import fc from 'fast-check'
import { auditTime } from 'rxjs'
import { expect, expectTypeOf, describe as suite, test } from 'vitest'
import {
  avro,
  defineOperator,
  describe,
  json,
  type Operator,
  type Plan,
  type Stream,
  segment,
  signal,
  slot,
  stream,
  table,
  toMermaid,
  topic,
} from '../../src/index.ts'
import {
  assertOperatorLaws,
  createMemoryBroker,
  MemoryStore,
  sinkConformance,
  testDriver,
} from '../../src/testing/index.ts'

const FlightSchema = {
  type: 'record',
  name: 'Flight',
  fields: [
    { name: 'origin', type: 'string' },
    { name: 'distance', type: 'double' },
    { name: 'delay', type: 'double' },
    { name: 'date', type: { type: 'long', logicalType: 'timestamp-millis' } },
  ],
} as const
const knownAirports = new Set(['LAS'])

interface Weather {
  wind: number
}
const weatherAt = async (_: { origin: string }, abortSignal: AbortSignal): Promise<Weather> => {
  await wait(1, undefined, { signal: abortSignal })
  return { wind: 1 }
}

const score = <T>(group: readonly T[]): readonly T[] => group.toReversed()

const flightTopic = topic('flights', avro(FlightSchema))
const totals = table<{ origin: string; flights: number }>('airport_totals', {
  key: 'origin',
  onConflict: { flights: 'add' },
})

const flights = stream('flights')
  .from(flightTopic)
  .filter((f) => f.distance > 0)
  .map((f) => (knownAirports.has(f.origin) ? f : signal.ignore('unknown airport')))
  .mapAsync(async (f, ctx) => ({ ...f, ...(await weatherAt(f, ctx.abortSignal)) }), {
    concurrency: 16,
    order: 'key',
    timeoutMs: 2_000,
  })
  .batch({ max: 25, maxWaitMs: 500 })
  .flatMap((group) => score(group))

const saved = flights.to(table('flights')).to(totals, (f) => ({ origin: f.origin, flights: 1 }))
const [delayed, onTime] = flights.branch((f) => f.delay > 60)
const alerts = delayed.to(topic('delays', json<{ origin: string; delay: number }>(), { key: (f) => f.origin }))
const every = <T>({ size }: { size: number }): Operator<T, T> =>
  defineOperator({
    kind: 'every',
    detail: `size ${size}`,
    attach: (next) => (value, item) => next(value, item),
  })
const own = onTime.via(every({ size: 3 }))
const rx = onTime.pipe(auditTime(1_000))
const plan: Plan = [saved, alerts, own, rx]

test('types come through', () => {
  type Enriched = { origin: string; distance: number; delay: number; date: Date } & Weather
  expectTypeOf(flights).branded.toEqualTypeOf<Stream<Enriched>>()
  expectTypeOf(saved).branded.toEqualTypeOf<Stream<Enriched>>()
  expectTypeOf(own).branded.toEqualTypeOf<Stream<Enriched>>()
  expectTypeOf(rx).branded.toEqualTypeOf<Stream<Enriched>>()
  expectTypeOf(describe(plan)).toEqualTypeOf<string>()
  expectTypeOf(toMermaid(saved)).toEqualTypeOf<string>()
  expectTypeOf(saved.describe()).toEqualTypeOf<string>()
})

interface Payment {
  id: string
  amount: number
  currency: string
}

const payments = stream('payments').from(topic('payments', json<Payment>(), { tombstones: 'pass' }))
const euros = segment('euros', (paid: Stream<Payment | null>) => paid.filter((p) => p !== null && p.currency === 'EUR'))
const seen = slot('seen', () => 0)

const euroPayments: Stream<Payment | null> = payments
  .via(euros)
  .tap((p, ctx) => {
    const { record } = ctx
    ctx.scope.item.update(seen, (n) => n + 1)
    ctx.log.info({ p, topic: record.topic, partition: record.partition, offset: record.offset, key: record.key })
    if (record.timestamp > new Date(0) && record.header('x') === 'skip') signal.continue()
    if (p === null) signal.break('a hole', { resumeAfterMs: 1_000 })
    if (p.amount < 0) signal.error(new Error('negative'))
    ctx.write(table<{ id: string }>('seen'), { id: p.id })
  })
  .named('look')

test('a plan may be one stream', () => {
  expectTypeOf(euroPayments).toExtend<Plan>()
})

suite('testing', () => {
  test('the driver', async () => {
    const t = testDriver([saved, alerts], { chunk: 10, maxItems: 100, partitions: 2, now: new Date(0) })
    await t.send(flightTopic, { origin: 'LAS', distance: 100, delay: 33, date: new Date('2001-01-01T00:01Z') })
    await t.sendAll(flightTopic, [], (f, index) => ({ key: f.origin, partition: index % 2 }))
    await t.sendBytes(flightTopic, Buffer.from('x'), { headers: { h: 'x' } })
    await t.advanceTo(new Date('2001-01-01T01:10Z'))
    await t.advanceBy(500)
    expect(t.rows(totals)).toEqual([{ origin: 'LAS', flights: 1 }])
    expectTypeOf(t.rows(totals)).toEqualTypeOf<{ origin: string; flights: number }[]>()
    expectTypeOf(t.counts().done).toEqualTypeOf<number>()
    // @ts-expect-error a value of another type
    await t.send(flightTopic, { origin: 1 })
    await t.stop()
  })

  test('the laws', async () => {
    await assertOperatorLaws<number, number>((numbers) => numbers.filter((n) => n % 2 === 0), fc.integer())
    await assertOperatorLaws((numbers) => numbers.batch({ max: 3 }), fc.integer(), { groups: true, numRuns: 10 })
    await sinkConformance(
      async () => {
        const store = new MemoryStore()
        return { store, sink: totals, rows: async () => store.rows('airport_totals'), close: () => store.close() }
      },
      { transactional: true, perItemRollback: true, upsert: true },
      { rows: fc.record({ origin: fc.constantFrom('LAS', 'SEA'), flights: fc.nat(9) }) },
    )
    expectTypeOf(createMemoryBroker({ chunkRecords: 5 }).append('t', 0, {})).toEqualTypeOf<number>()
  })
})
