/** What a plan writes to topics commits with its item, is sent then, and goes with it. */
import { expect, test } from 'vitest'
import { json, type RecordView, segment, signal, slot, stream, table, text, topic } from '../../src/index.ts'
import { testDriver } from '../../src/testing/index.ts'

interface Flight {
  readonly origin: string
  readonly delay: number
}

const flights = topic('flights', json<Flight>())
const delays = topic('delays', json<Flight>(), { key: (flight) => flight.origin })
const names = topic('names', text())
const saved = table<Flight>('saved')

const las: Flight = { origin: 'LAS', delay: 33 }
const sfo: Flight = { origin: 'SFO', delay: -1 }

test('to(topic) sends each value with its key and the time of its record, and passes it on', async () => {
  const t = testDriver(stream('s').from(flights).to(delays).to(saved))
  await t.sendAll(flights, [las, sfo], { timestamp: new Date(5_000) })
  expect(t.emitted(delays)).toEqual([
    { partition: 0, key: 'LAS', value: las, timestamp: new Date(5_000), headers: {} },
    { partition: 0, key: 'SFO', value: sfo, timestamp: new Date(5_000), headers: {} },
  ])
  expect(t.rows(saved)).toEqual([las, sfo])
  expect(t.commits()[0]).toMatchObject({ rows: 2, emits: 2 })
})

test('a function makes the value where it is written', async () => {
  const t = testDriver(
    stream('s')
      .from(flights)
      .to(names, ({ origin }, ctx) => `${origin}@${ctx.record.offset}`),
  )
  await t.sendAll(flights, [las, sfo])
  expect(t.emitted(names).map(({ key, value }) => [key, value])).toEqual([
    [null, 'LAS@0'],
    [null, 'SFO@1'],
  ])
})

test('ctx.write takes a key and headers, and null for a tombstone', async () => {
  const t = testDriver(
    stream('s')
      .from(flights)
      .tap((flight, ctx) => {
        ctx.write(delays, flight, { key: 7, headers: { trace: 'x', raw: Buffer.from('y') } })
        ctx.write(delays, null, { key: Buffer.from('gone') })
        ctx.write(delays, flight)
      }),
  )
  await t.send(flights, las)
  expect(t.emitted(delays).map(({ key, value, headers }) => [key, value, headers])).toEqual([
    ['7', las, { trace: 'x', raw: 'y' }],
    ['gone', null, {}],
    ['LAS', las, {}],
  ])
})

test('what an asynchronous callback writes is sent in the turn of its item', async () => {
  const t = testDriver(
    stream('s')
      .from(flights)
      .mapAsync(async (flight, ctx) => {
        for (let turn = flight.delay; turn > 0; turn--) await Promise.resolve()
        ctx.write(delays, flight)
      }),
  )
  await t.sendAll(flights, [las, sfo, las])
  expect(t.emitted(delays).map(({ key }) => key)).toEqual(['LAS', 'SFO', 'LAS'])
})

test('an item that is undone sends nothing, whoever undid it and however late', async () => {
  const base = stream('s').from(flights).to(delays)
  const t = testDriver(
    [
      base.tap(({ delay }) => {
        if (delay < 0) signal.ignore('early')
      }),
      base.mapAsync(async ({ origin }) => {
        if (origin === 'PDX') throw new Error('no')
      }),
      base.to(saved),
    ],
    { refuses: (_, row) => (row.origin === 'JFK' ? '23514' : undefined) },
  )
  await t.sendAll(flights, [
    sfo,
    las,
    { origin: 'PDX', delay: 1 },
    { origin: 'JFK', delay: 1 },
    { origin: 'SEA', delay: 2 },
  ])
  expect(t.emitted(delays).map(({ key }) => key)).toEqual(['LAS', 'SEA'])
  expect(t.counts()).toMatchObject({ done: 2, ignored: 1, collected: 2 })
})

test('an item of the error collector that is replayed sends what it emits then', async () => {
  let mended = false
  const t = testDriver(
    stream('s')
      .from(flights)
      .to(delays)
      .tap(() => {
        if (!mended) throw new Error('not yet')
      }),
  )
  await t.sendAll(flights, [las])
  expect(t.emitted(delays)).toEqual([])
  mended = true
  await t.replay()
  expect(t.emitted(delays).map(({ value }) => value)).toEqual([las])
})

test('emits are in the order of items, whatever the steps: of a dependent stream, the own, a triggered one', async () => {
  const write = (name: string) =>
    segment<Flight, Flight>(name, (values) => values.to(names, ({ origin }) => `${name} ${origin}`))
  const plan = stream('s')
    .from(flights)
    .dependsOn(write('before'))
    .to(names, ({ origin }) => `own ${origin}`)
    .triggers(write('after'))
  const t = testDriver(plan)
  await t.sendAll(flights, [las, sfo])
  const airports = ['LAS', 'SFO']
  expect(t.emitted(names).map(({ value }) => value)).toEqual(
    airports.flatMap((origin) => ['before', 'own', 'after'].map((name) => `${name} ${origin}`)),
  )
})

test('records of a key are in one partition, those without one are dealt out', async () => {
  const t = testDriver(
    stream('s')
      .from(flights)
      .to(delays)
      .to(names, ({ origin }) => origin),
    { partitions: 3 },
  )
  const sent = Array.from({ length: 60 }, (_, at) => ({ origin: `A${at % 7}`, delay: at }))
  await t.sendAll(flights, sent)
  const partitions = new Map<string, Set<number>>()
  for (const { key, partition } of t.emitted(delays)) {
    partitions.set(String(key), (partitions.get(String(key)) ?? new Set()).add(partition))
  }
  expect([...partitions.values()].every(({ size }) => size === 1)).toBe(true)
  expect(new Set(t.emitted(names).map(({ partition }) => partition)).size).toBe(3)
})

test('what the context scope holds travels along, and who emitted it emits again when that is undone', async () => {
  const seen = slot('seen', () => 0)
  const plan = stream('s')
    .from(flights)
    .tap((_, ctx) => void ctx.scope.context.update(seen, (count) => count + 1))
    .to(names, ({ origin }) => origin)
    .to(saved)
  const t = testDriver(plan, { refuses: (_, row) => (row.origin === 'SFO' ? '23514' : undefined) })
  await t.sendAll(flights, [las, sfo, { origin: 'SEA', delay: 2 }])
  expect(t.emitted(names).map(({ value, headers }) => [value, headers])).toEqual([
    ['LAS', { 'millrace-context': '{"seen":1}' }],
    ['SEA', { 'millrace-context': '{"seen":2}' }],
  ])
})

test('a value that cannot be encoded, a tombstone without a key and headers of ours fall with their item alone', async () => {
  const wrong: readonly ((write: (value: never, options?: never) => void, record: RecordView) => void)[] = [
    (write) => write(7 as never),
    (write) => write(null as never),
    (write) => write('x' as never, { headers: { 'millrace-task': 'mine' } } as never),
    (write) => write('x' as never, { key: {} } as never),
    (write) => write('x'.repeat(2_000_000) as never),
  ]
  const t = testDriver(
    stream('s')
      .from(flights)
      .tap(({ delay }, ctx) => wrong[delay]?.((value, options) => ctx.write(names, value, options), ctx.record))
      .to(names, ({ origin }) => origin),
  )
  await t.sendAll(
    flights,
    [...wrong, undefined].map((_, delay) => ({ origin: `A${delay}`, delay })),
  )
  expect(t.errors().map(({ error }) => error.code)).toEqual([
    'MR-ENCODE-TEXT',
    'MR-EMIT-KEY',
    'MR-EMIT-HEADER',
    'MR-EMIT-KEY',
    'MR-EMIT-SIZE',
  ])
  expect(t.emitted(names).map(({ value }) => value)).toEqual([`A${wrong.length}`])
})
