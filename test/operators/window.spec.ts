import { describe, expect, test } from 'vitest'
import { count, json, mean, stream, sum, table, topic, tumbling } from '../../src/index.ts'
import { testDriver } from '../../src/testing/index.ts'

interface Flight {
  readonly origin: string
  readonly delay: number
  readonly date: string
}

const flights = topic('flights', json<Flight>())
const delays = table<{ origin: string; window_start: Date; flights: number; delay: number }>('delays')
const lateFlights = table<Flight>('late_flights')

const hourly = stream('flights')
  .from(flights)
  .keyBy((flight) => flight.origin, { sameKey: true })
  .window(tumbling({ hours: 1 }), { time: ({ date }) => new Date(date), grace: { minutes: 10 } })
  .aggregate({ flights: count(), delay: mean((flight) => flight.delay) })
const saved = hourly.to(delays, ({ key, window, ...rest }) => ({ origin: key, window_start: window.start, ...rest }))
const late = hourly.late().to(lateFlights)

const flight = (origin: string, at: string, delay: number): Flight => ({ origin, delay, date: `2001-01-01T${at}:00Z` })
const keyed = { key: 'LAS' }

describe('a window', () => {
  test('gives its results when event time has passed it, also without another record', async () => {
    const t = testDriver(saved)
    await t.send(flights, flight('LAS', '00:01', 33), keyed)
    await t.advanceTo(new Date('2001-01-01T01:09:59Z'))
    expect(t.rows(delays)).toEqual([])
    await t.advanceTo(new Date('2001-01-01T01:10Z'))
    expect(t.rows(delays)).toEqual([
      { origin: 'LAS', window_start: new Date('2001-01-01T00:00Z'), flights: 1, delay: 33 },
    ])
    await t.send(flights, flight('LAS', '00:30', 5), keyed)
    expect(t.rows(delays)).toHaveLength(1)
    expect(t.counts()).toMatchObject({ done: 1, filtered: 1 })
    await t.stop()
  })

  test('gives what comes too late by a way of its own, and counts it', async () => {
    const t = testDriver([saved, late])
    await t.send(flights, flight('LAS', '00:01', 33), keyed)
    await t.send(flights, flight('LAS', '01:10', 10), keyed)
    await t.send(flights, flight('LAS', '00:59', 7), keyed)
    expect(t.rows(delays)).toMatchObject([{ flights: 1, delay: 33 }])
    expect(t.rows(lateFlights)).toEqual([flight('LAS', '00:59', 7)])
    expect(t.counts().done).toBe(3)
    expect(t.commits().map(({ late }) => late)).toEqual([0, 0, 1])
    await t.stop()
  })

  test('collects what has no time, is too far ahead, or is keyed otherwise than its record', async () => {
    const plan = stream('flights')
      .from(flights)
      .keyBy((one) => one.origin, { sameKey: true })
      .window(tumbling({ hours: 1 }), { time: ({ date }) => new Date(date), maxAhead: { days: 1 } })
      .aggregate({ delay: sum((one) => one.delay) })
    const t = testDriver(plan, { now: new Date('2001-01-01T00:00Z') })
    await t.send(flights, { origin: 'LAS', delay: 1, date: 'yesterday' }, keyed)
    await t.send(flights, { origin: 'LAS', delay: 1, date: '2001-01-02T00:00:00.001Z' }, keyed)
    await t.send(flights, flight('SFO', '00:00', 1), keyed)
    await t.send(flights, flight('SFO', '00:00', 1))
    await t.send(flights, flight('LAS', '00:00', 1), keyed)
    expect(
      t.errors().map(({ error }) => `${error.code} ${error.message.split('\n')[0]}`.replace('millrace: ', '')),
    ).toEqual([
      'MR-TIME "time" must give a Date or milliseconds since the epoch, but gave null (stream "flights", step "aggregate", flights[0]@0)',
      'MR-TIME-AHEAD event time 2001-01-02T00:00:00.001Z is more than 86400000 ms ahead of the clock (stream "flights", step "aggregate", flights[0]@1)',
      'MR-KEY-RECORD the value is keyed by "SFO", and its record by "LAS" (stream "flights", step "aggregate", flights[0]@2)',
      'MR-KEY-RECORD the value is keyed by "SFO", and its record by null (stream "flights", step "aggregate", flights[0]@3)',
    ])
    expect(t.counts()).toMatchObject({ collected: 4, done: 1 })
    await t.stop()
  })

  test('whose result fails collects the result, and undoes no item', async () => {
    const broken = hourly.map(({ flights: n }): { n: number } => {
      if (n === 2) throw new Error('two')
      return { n }
    })
    const t = testDriver(broken)
    await t.sendAll(flights, [flight('LAS', '00:01', 1), flight('LAS', '00:02', 2), flight('LAS', '03:00', 3)], keyed)
    expect(t.counts()).toMatchObject({ done: 3, collected: 0 })
    expect(t.errors()).toMatchObject([
      { offset: -1, key: Buffer.from('LAS'), timestamp: new Date('2001-01-01T00:00Z'), error: { message: 'two' } },
    ])
    await t.stop()
  })

  test.each([
    ['sizes of 0', () => tumbling({ hours: 0 }), 'tumbling() must be at least 1 ms'],
    ['no duration', () => tumbling(5 as never), 'tumbling() must be a duration, but is 5'],
    ['unknown units', () => tumbling({ hour: 1 } as never), 'tumbling() has no option "hour"; did you mean "hours"?'],
    [
      'no windows',
      () =>
        stream('s')
          .from(flights)
          .keyBy(({ origin }) => origin, { sameKey: true })
          .window({} as never)
          .aggregate({}),
      'window() takes a description of windows',
    ],
    [
      'no aggregator',
      () =>
        stream('s')
          .from(flights)
          .keyBy(({ origin }) => origin, { sameKey: true })
          .aggregate({ n: 5 as never }),
      'aggregate(): "n" must be an aggregator',
    ],
    [
      'the name of what is there',
      () =>
        stream('s')
          .from(flights)
          .keyBy(({ origin }) => origin, { sameKey: true })
          .aggregate({ key: count() }),
      '"key" is what each result has anyway',
    ],
    [
      'other emits',
      () =>
        stream('s')
          .from(flights)
          .keyBy(({ origin }) => origin, { sameKey: true })
          .window(tumbling({ hours: 1 }), { emit: 'never' as never })
          .aggregate({}),
      `"emit" must be 'close', 'update' or { every: … }, but is "never"`,
    ],
  ])('refuses %s', (_, make, sentence) => {
    expect(make).toThrow(sentence)
  })

  test('needs a name where there are two', () => {
    const one = stream('s')
      .from(flights)
      .keyBy(({ origin }) => origin, { sameKey: true })
    const twice = () => testDriver([one.aggregate({ n: count() }), one.aggregate({ m: count() })])
    expect(twice).toThrow(/two steps that keep state are called "aggregate".*MR-PLAN-STATE-NAME/s)
    expect(() => testDriver([one.aggregate({ n: count() }), one.aggregate({ m: count() }).named('m')])).not.toThrow()
  })
})
