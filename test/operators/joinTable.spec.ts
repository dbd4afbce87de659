import { describe, expect, test } from 'vitest'
import { compacted, json, signal, stream, table, topic } from '../../src/index.ts'
import { testDriver } from '../../src/testing/index.ts'

interface Flight {
  readonly origin: string | number
  readonly n: number
}

const flights = topic('flights', json<Flight>())
const airports = compacted('airports', json<{ name: string }>())
const named = table<{ n: number; name: string | null }>('named')
const byOrigin = () =>
  stream('flights')
    .from(flights)
    .keyBy(({ origin }) => origin, { sameKey: true })
const at = (second: number) => ({ timestamp: new Date(second * 1_000) })

describe('joinTable', () => {
  test('gives the row that is there when a value comes, and nothing where there is none', async () => {
    const t = testDriver(
      byOrigin()
        .joinTable(airports, ({ n }, airport) => ({ n, name: airport.name }))
        .to(named),
    )
    await t.send(flights, { origin: 'LAS', n: 1 }, { key: 'LAS' })
    await t.send(airports, { name: 'Las Vegas' }, { key: 'LAS' })
    await t.send(flights, { origin: 'LAS', n: 2 }, { key: 'LAS' })
    await t.send(flights, { origin: 'SEA', n: 3 }, { key: 'SEA' })
    await t.send(airports, { name: 'Harry Reid' }, { key: 'LAS' })
    await t.send(flights, { origin: 'LAS', n: 4 }, { key: 'LAS' })
    await t.send(airports, null, { key: 'LAS' })
    await t.send(flights, { origin: 'LAS', n: 5 }, { key: 'LAS' })
    expect(t.rows(named)).toEqual([
      { n: 2, name: 'Las Vegas' },
      { n: 4, name: 'Harry Reid' },
    ])
    expect(t.counts()).toMatchObject({ done: 5, filtered: 3 })
    await t.stop()
  })

  test('hands values without a row on, where it is a left join', async () => {
    const plan = byOrigin()
      .joinTable(airports, ({ n }, airport) => ({ n, name: airport?.name ?? null }), { join: 'left' })
      .to(named)
    const t = testDriver(plan)
    await t.send(flights, { origin: 'LAS', n: 1 }, { key: 'LAS' })
    expect(t.rows(named)).toEqual([{ n: 1, name: null }])
    await t.stop()
  })

  test('finds rows by keys that are numbers', async () => {
    const t = testDriver(
      byOrigin()
        .joinTable(airports, ({ n }, airport) => ({ n, name: airport.name }))
        .to(named),
    )
    await t.send(airports, { name: 'seven' }, { key: '7' })
    await t.send(flights, { origin: 7, n: 1 }, { key: '7' })
    expect(t.rows(named)).toEqual([{ n: 1, name: 'seven' }])
    await t.stop()
  })

  test('gives the row of the value’s own time, as long as versions are kept', async () => {
    const plan = byOrigin()
      .joinTable(airports, ({ n }, airport) => ({ n, name: airport?.name ?? null }), {
        join: 'left',
        versions: { seconds: 10 },
      })
      .to(named)
    const t = testDriver(plan)
    for (const [second, name] of [
      [10, 'old'],
      [20, 'new'],
      [22, null],
      [24, 'again'],
    ] as const) {
      await t.send(airports, name === null ? null : { name }, { key: 'LAS', ...at(second) })
    }
    for (const [n, second] of [9, 10, 19, 20, 22, 23, 24, 60].entries()) {
      await t.send(flights, { origin: 'LAS', n }, { key: 'LAS', ...at(second) })
    }
    expect(t.rows(named).map(({ name }) => name)).toEqual([null, 'old', 'old', 'new', null, null, 'again', 'again'])
    // At 60 what was replaced before 50 is not kept any more; the next row of the key lets it go.
    await t.send(airports, { name: 'newest' }, { key: 'LAS', ...at(61) })
    await t.send(flights, { origin: 'LAS', n: 100 }, { key: 'LAS', ...at(20) })
    await t.send(flights, { origin: 'LAS', n: 101 }, { key: 'LAS', ...at(60) })
    expect(t.rows(named).slice(-2)).toEqual([
      { n: 100, name: null },
      { n: 101, name: 'again' },
    ])
    await t.stop()
  })

  test('takes a row back that is undone', async () => {
    const spoilt = stream('flights')
      .from(flights)
      .keyBy(({ origin }) => origin, { sameKey: true })
    const plan = spoilt.joinTable(airports, ({ n }, airport) => ({ n, name: airport.name })).to(named)
    // Rows of the table are items of the stream: they can be undone in a step that all values pass.
    const t = testDriver(
      plan.tap(({ n }) => {
        if (n === 2) signal.ignore()
      }),
    )
    await t.send(airports, { name: 'one' }, { key: 'LAS' })
    await t.send(flights, { origin: 'LAS', n: 2 }, { key: 'LAS' })
    await t.send(flights, { origin: 'LAS', n: 3 }, { key: 'LAS' })
    expect(t.rows(named)).toEqual([{ n: 3, name: 'one' }])
    await t.stop()
  })

  test('does not let two streams read one table in one service', () => {
    const other = stream('others')
      .from(topic('others', json<Flight>()))
      .keyBy(({ origin }) => origin, { sameKey: true })
    const one = byOrigin()
      .joinTable(airports, ({ n }, airport) => ({ n, name: airport.name }))
      .to(named)
    const two = other.joinTable(airports, ({ n }, airport) => ({ n, name: airport.name })).to(named)
    expect(() => testDriver([one, two])).toThrow(/both read topic "airports"/)
  })
})
