import { describe, expect, test } from 'vitest'
import {
  count,
  describe as describePlan,
  type EventTimeOptions,
  json,
  query,
  type Stream,
  segment,
  signal,
  stream,
  table,
  topic,
  tumbling,
} from '../../src/index.ts'
import { testDriver } from '../../src/testing/index.ts'

interface Flight {
  readonly origin: string
  readonly at: string
  readonly isUndone?: boolean
}

const flights = topic('flights', json<Flight>())
const hours = table<{ start: Date; flights: number }>('hours')
const flight = (at: string, more: Partial<Flight> = {}): Flight => ({
  origin: 'LAS',
  at: `2001-01-01T${at}:00Z`,
  ...more,
})
const keyed = { key: 'LAS' }
const airports = query<{ code: string }>('select code from airports where code = any($1)', { by: 'code' })
const times = { time: (one: Flight) => new Date(one.at) }

const hourly = (options: EventTimeOptions<Flight>) =>
  stream('flights')
    .from(flights, options)
    .tap(({ isUndone }) => {
      if (isUndone) signal.ignore()
    })
    .keyBy(({ origin }) => origin, { sameKey: true })
    .window(tumbling({ hours: 1 }))
    .aggregate({ flights: count() })
    .to(hours, ({ window, flights }) => ({ start: window.start, flights }))

/** Steps that hand values on when the batch closes, long after the records of later ones have passed the others. */
const holding: Readonly<Record<string, (of: Stream<Flight>) => Stream<Flight>>> = {
  process: (of) => of.process({ process: (one: Flight) => one }),
  dependsOn: (of) => of.dependsOn(segment('other', (others: Stream<Flight>) => others.map((one) => one))),
  lookup: (of) =>
    of.lookup(
      airports,
      ({ origin }) => origin,
      (one) => one,
    ),
}

describe.each(Object.entries(holding))('behind %s, which takes the whole batch', (_, hold) => {
  test.each([1, 3, 100])('nothing is late that came in order, in chunks of %i', async (chunk) => {
    const plan = hold(stream('flights').from(flights))
      .keyBy(({ origin }) => origin, { sameKey: true })
      .window(tumbling({ hours: 1 }))
      .aggregate({ flights: count() })
      .to(hours, ({ window, flights }) => ({ start: window.start, flights }))
    const t = testDriver(plan, { chunk, lookups: [[airports, []]] })
    const all = ['00:10', '00:50', '01:20', '02:20', '03:20'].map((at) => flight(at))
    await t.sendAll(flights, all, ({ at }) => ({ ...keyed, timestamp: new Date(at) }))
    expect(t.rows(hours).map(({ flights }) => flights)).toEqual([2, 1, 1])
    expect(t.commits().map(({ late }) => late)).toEqual([0])
    await t.stop()
  })
})

describe('event time of a source', () => {
  test('is that of its values, in all steps behind it', async () => {
    const t = testDriver(hourly(times))
    await t.sendAll(flights, [flight('00:10'), flight('00:50'), flight('01:00')], () => keyed)
    expect(t.rows(hours)).toEqual([{ start: new Date('2001-01-01T00:00Z'), flights: 2 }])
    await t.stop()
  })

  test('is moved by no record without a value, nor by one that is undone', async () => {
    const t = testDriver(hourly(times))
    await t.send(flights, flight('00:10'), keyed)
    await t.send(flights, null, { key: 'LAS', timestamp: new Date('2026-01-01T00:00Z') })
    await t.send(flights, flight('05:00', { isUndone: true }), keyed)
    await t.send(flights, flight('00:50'), keyed)
    expect([t.rows(hours), t.commits().reduce((sum, { late }) => sum + late, 0)]).toEqual([[], 0])
    await t.send(flights, flight('01:00'), keyed)
    expect(t.rows(hours)).toMatchObject([{ flights: 2 }])
    await t.stop()
  })

  test('waits for what may still be out of order', async () => {
    const t = testDriver(hourly({ ...times, outOfOrderness: { minutes: 5 } }))
    await t.sendAll(flights, [flight('00:10'), flight('01:04'), flight('00:59')], () => keyed)
    expect(t.rows(hours)).toEqual([])
    await t.send(flights, flight('01:05'), keyed)
    expect(t.rows(hours)).toMatchObject([{ flights: 2 }])
    await t.stop()
  })

  test('that is too far ahead is collected, also where it is that of the record', async () => {
    for (const options of [{ ...times, maxAhead: { hours: 1 } }, { maxAhead: { hours: 1 } }]) {
      const t = testDriver(hourly(options), { now: new Date('2001-01-01T00:00Z') })
      const at = (time: string) => ({ key: 'LAS', timestamp: new Date(flight(time).at) })
      await t.send(flights, flight('00:10'), at('00:10'))
      await t.send(flights, flight('01:01'), at('01:01'))
      expect(t.counts()).toMatchObject({ done: 1, collected: 1 })
      expect(t.errors()).toMatchObject([{ error: { code: 'MR-TIME-AHEAD' }, step: 'from:flights' }])
      await t.stop()
    }
  })

  test('stands in the plan', () => {
    const plan = hourly({ ...times, outOfOrderness: { minutes: 5 }, maxAhead: { days: 1 } })
    expect(describePlan(plan)).toContain('json, event time of its values, 5m out of order, 1d ahead at most')
  })

  test('says which option is wrong', () => {
    expect(() => stream('s').from(flights, { outOfOrderness: 5 } as never)).toThrow(
      '"outOfOrderness" must be an object',
    )
    expect(() => stream('s').from(flights, { timee: () => 1 } as never)).toThrow('did you mean "time"?')
    expect(() => stream('s').from([1], { time: 1 } as never)).toThrow('"time" must be a function')
  })
})

test('time of one input is none of a step that is fed by another', async () => {
  const other = topic('other', json<Flight>())
  const flying = stream('flights').from(flights, times)
  const keyedBy = (from: typeof flying) => from.keyBy(({ origin }) => origin, { sameKey: true })
  const t = testDriver([
    keyedBy(flying)
      .window(tumbling({ hours: 1 }))
      .aggregate({ flights: count() })
      .to(hours, ({ window, flights }) => ({ start: window.start, flights })),
    keyedBy(flying).joinLatest(keyedBy(stream('flights').from(other, times)), (one, two) => [one, two]),
  ])
  await t.send(flights, flight('00:10'), keyed)
  await t.send(other, flight('09:00'), keyed)
  await t.send(flights, flight('00:20'), keyed)
  expect(t.rows(hours)).toEqual([])
  await t.send(flights, flight('01:00'), keyed)
  expect(t.rows(hours)).toMatchObject([{ flights: 2 }])
  await t.stop()
})

test('a window collects what is too far ahead by the time of its record', async () => {
  const plan = stream('flights')
    .from(flights)
    .keyBy(({ origin }) => origin, { sameKey: true })
    .window(tumbling({ hours: 1 }), { maxAhead: { hours: 1 } })
    .aggregate({ flights: count() })
  const t = testDriver(plan, { now: new Date('2001-01-01T00:00Z') })
  await t.send(flights, flight('00:10'), { key: 'LAS', timestamp: new Date('2001-01-01T02:00Z') })
  expect(t.errors()).toMatchObject([{ error: { code: 'MR-TIME-AHEAD' }, step: 'aggregate' }])
  await t.stop()
})
