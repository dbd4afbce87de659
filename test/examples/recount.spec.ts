import { describe, expect, test } from 'vitest'
import { readAirports, readFlights } from '../../examples/flights/dataset.ts'
import {
  createRecounter,
  differences,
  type RawFlight,
  readCities,
  recountFile,
  type TableContents,
} from '../../examples/flights/recount.ts'

const flight: RawFlight = {
  date: new Date('2001-01-01T00:01:00Z'),
  delay: 33n,
  distance: 2_176n,
  origin: 'LAS',
  destination: 'PHL',
}

function recount(flights: readonly RawFlight[]) {
  const counter = createRecounter()
  for (const one of flights) counter.add(one)
  return counter.result()
}

describe('the recount', () => {
  test('adds up each airport of departure in kilometres and minutes', () => {
    const other = { ...flight, delay: -13, distance: 100 }
    const { rows, totals } = recount([flight, other, { ...flight, origin: 'PHL', destination: 'LAS' }])
    expect(rows).toBe(3)
    expect(totals.get('LAS')).toEqual({ flights: 2, delayMinutes: 20, distanceKm: 3_502 + 161 })
    expect(totals.get('PHL')).toEqual({ flights: 1, delayMinutes: 33, distanceKm: 3_502 })
  })

  test('leaves short hops out, and counts them', () => {
    expect(recount([{ ...flight, distance: 99 }, flight])).toMatchObject({ rows: 1, shortHops: 1 })
  })

  test('has a checksum that knows repeated rows and does not know their order', () => {
    const other = { ...flight, delay: 34 }
    const { checksum } = recount([flight, flight, other])
    expect(recount([other, flight, flight]).checksum).toBe(checksum)
    expect(recount([flight, other, other]).checksum).not.toBe(checksum)
    expect(recount([flight, other]).checksum).not.toBe(checksum)
  })

  test.each<Partial<RawFlight>>([
    { date: new Date('2001-01-01T00:02:00Z') },
    { delay: 32 },
    { distance: 2_177 },
    { origin: 'LAX' },
    { destination: 'LAX' },
  ])('sees %o in the checksum', (change) => {
    expect(recount([{ ...flight, ...change }]).checksum).not.toBe(recount([flight]).checksum)
  })

  test('of the file is the recount of its first flights', async () => {
    const flights: RawFlight[] = []
    for await (const block of readFlights(2_000)) flights.push(...block)
    const fromFile = await recountFile(2_000)
    expect(fromFile).toEqual(recount(flights))
    expect(fromFile.rows + fromFile.shortHops).toBe(2_000)
  })

  test('knows the same cities as the plan', async () => {
    // The checksum holds the cities, so a city that one of the two reads otherwise would look like a wrong row.
    const airports = await readAirports()
    expect(readCities()).toEqual(new Map([...airports].map(([code, { city }]) => [code, city])))
  })
})

describe('differences', () => {
  const las = { flights: 2, delayMinutes: 20, distanceKm: 300 }
  const expected: TableContents = { rows: 2, checksum: '5:6', totals: new Map([['LAS', las]]) }

  test('are none between equal tables', () => {
    expect(differences(expected, { ...expected, totals: new Map([['LAS', { ...las }]]) })).toEqual([])
  })

  test('name a missing row, a wrong row and a wrong total', () => {
    expect(differences(expected, { ...expected, rows: 1 })).toEqual(['flights has 1 rows and should have 2'])
    expect(differences(expected, { ...expected, checksum: '5:7' })).toEqual([
      'flights has the right number of rows but not the right rows (5:7, not 5:6)',
    ])
    const totals = new Map([
      ['LAS', { ...las, flights: 3 }],
      ['LAX', las],
    ])
    expect(differences(expected, { ...expected, totals })).toEqual([
      'airport_totals has 3 flights, 20 minutes, 300 km for LAS and should have 2 flights, 20 minutes, 300 km',
      'airport_totals has 2 flights, 20 minutes, 300 km for LAX and should have nothing',
    ])
  })
})
