import { expect, test } from 'vitest'
import { brokenCount } from '../../examples/flights/broken.ts'
import { readFlights } from '../../examples/flights/dataset.ts'
import plan, { airportTotals, flightsTable, flightTopic } from '../../examples/flights/flights.ts'
import { flightRecords, type PlacedRecord } from '../../examples/flights/records.ts'
import { createRecounter } from '../../examples/flights/recount.ts'
import { fateComplaints, outcomeComplaints } from '../../examples/flights/verify.ts'
import { testDriver } from '../../src/testing/testDriver.ts'

/** What Postgres would say: the table's CHECKs, and NUL in a text. */
function refuses(table: string, row: Readonly<Record<string, unknown>>): string | undefined {
  if (table !== 'flights') return undefined
  const { delay_minutes: delay, origin, destination, remark } = row
  if (Number(delay) < -1_440 || Number(delay) > 2_880 || origin === destination) return '23514'
  return String(remark).includes('\u0000') ? '22021' : undefined
}

test('the plan leaves good flights in the tables and each broken record where it belongs', async () => {
  const limit = 600
  const recounter = createRecounter()
  for await (const block of readFlights(limit)) for (const flight of block) recounter.add(flight)
  const expected = recounter.result()

  const driver = testDriver(plan, { refuses, chunk: 100 })
  const placed: PlacedRecord[] = []
  const blocks = flightRecords(
    limit,
    (flight) => flightTopic.codec.encode(flight),
    (one) => placed.push(one),
  )
  for await (const records of blocks) {
    for (const { key, value } of records) await driver.sendBytes(flightTopic, value, { key })
  }

  expect(placed).toHaveLength(brokenCount)
  expect(driver.rows(flightsTable)).toHaveLength(expected.rows)
  const totals = driver
    .rows(airportTotals)
    .map(({ origin, flights, delay_minutes, distance_km }) => [
      origin,
      { flights, delayMinutes: delay_minutes, distanceKm: distance_km },
    ])
  expect(Object.fromEntries(totals)).toEqual(Object.fromEntries(expected.totals))
  expect(outcomeComplaints(expected, placed, driver.counts())).toEqual([])
  const collected = driver.errors().map(({ topic, step, error, value }) => {
    // The store in memory has no opinion of texts: it refuses NUL as Postgres itself would.
    const code = error.code === '22021' ? 'MR-SINK-TYPE' : (error.code ?? undefined)
    return { place: topic, step, code, reason: error.message, value }
  })
  expect(fateComplaints(placed, collected)).toEqual([])
  await driver.stop()
})
