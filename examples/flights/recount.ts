/**
 * Counts again, with code of its own, what the plan must have written, and compares it with the tables.
 *
 * Nothing here comes from millrace or from the plan: the parquet file and airports.csv are read again and the plan's
 * intent is written down a second time, so that a mistake in one is seen by the other.
 */
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { asyncBufferFromFile, parquetMetadataAsync, parquetReadObjects } from 'hyparquet'
import { compressors } from 'hyparquet-compressors'
import { datasetFile } from './dataset.ts'

/** Sums of one airport of departure. */
export interface Totals {
  flights: number
  delayMinutes: number
  distanceKm: number
}

/** What the two tables hold, in a form that can be compared. */
export interface TableContents {
  readonly rows: number
  /** A sum over the rows' hashes: the same for the same rows, repeated ones included, in any order. */
  readonly checksum: string
  /** By airport of departure. */
  readonly totals: ReadonlyMap<string, Totals>
}

/** What must be in the tables, and how many flights must not. */
export interface Recount extends TableContents {
  /** Flights of under 100 miles. */
  readonly shortHops: number
}

/** Flights as they stand in the file: the recount's own input, and its tests'. */
export interface RawFlight {
  readonly date: Date
  readonly delay: number | bigint
  readonly distance: number | bigint
  readonly origin: string
  readonly destination: string
}

/** Recounts the first `limit` flights of the file. */
export async function recountFile(limit: number): Promise<Recount> {
  const counter = createRecounter()
  const file = await asyncBufferFromFile(datasetFile('flights-3m.parquet'))
  const metadata = await parquetMetadataAsync(file)
  let rowStart = 0
  for (const group of metadata.row_groups) {
    const rowEnd = Math.min(rowStart + Number(group.num_rows), limit)
    if (rowEnd <= rowStart) break
    const rows = await parquetReadObjects({ file, compressors, metadata, rowStart, rowEnd })
    for (const row of rows) counter.add(row as unknown as RawFlight)
    rowStart = rowEnd
  }
  return counter.result()
}

/** Takes flights one by one and says what must be in the tables. */
export function createRecounter(): { add(flight: RawFlight): void; result(): Recount } {
  const cities = readCities()
  const totals = new Map<string, Totals>()
  let [rows, shortHops, high, low] = [0, 0, 0, 0]
  return {
    add(flight) {
      const miles = Number(flight.distance)
      if (miles < 100) {
        shortHops++
        return
      }
      const distanceKm = Math.round(miles * 1.609344)
      const delay = Number(flight.delay)
      const { origin, destination } = flight
      const line = [
        flight.date.getTime() / 1_000,
        origin,
        cities.get(origin),
        destination,
        cities.get(destination),
        distanceKm,
        delay,
        '',
      ].join('|')
      const hash = createHash('md5').update(line).digest()
      high += hash.readUInt32BE(0) >>> 4
      low += hash.readUInt32BE(4) >>> 4
      const sums = totals.get(origin) ?? { flights: 0, delayMinutes: 0, distanceKm: 0 }
      sums.flights++
      sums.delayMinutes += delay
      sums.distanceKm += distanceKm
      totals.set(origin, sums)
      rows++
    },
    result: () => ({ rows, shortHops, checksum: `${high}:${low}`, totals }),
  }
}

/** IATA code and city: the first column and the third, counted from the left past a name that may hold commas in quotes. */
export function readCities(): Map<string, string> {
  const cities = new Map<string, string>()
  for (const line of readFileSync(datasetFile('airports.csv'), 'utf8').split(/\r?\n/).slice(1)) {
    const match = /^([^,]+),(?:"(?:[^"]|"")*"|[^,]*),("?)(.*?)\2,/.exec(line)
    if (match?.[1] !== undefined && match[3] !== undefined) cities.set(match[1], match[3])
  }
  return cities
}

/** What {@link recountTables} needs of a connection: pg's `query`. */
export interface Queryable {
  query(sql: string): Promise<{ rows: Record<string, unknown>[] }>
}

/** The same from SQL. A hash's 28 leading bits are summed as two numbers, which stay exact up to 2^25 rows. */
export async function recountTables(database: Queryable): Promise<TableContents> {
  const { rows: sums } = await database.query(`
    select count(*) as rows, coalesce(sum(('x' || substr(hash, 1, 7))::bit(28)::int), 0) as high,
      coalesce(sum(('x' || substr(hash, 9, 7))::bit(28)::int), 0) as low
    from (
      select md5(concat_ws('|', extract(epoch from departs_at)::bigint, origin, origin_city, destination,
        destination_city, distance_km, delay_minutes, coalesce(remark, ''))) as hash from flights
    ) as hashed`)
  const { rows: airports } = await database.query(
    'select origin, flights, delay_minutes, distance_km from airport_totals',
  )
  const totals = airports.map((row): [string, Totals] => [
    String(row.origin),
    {
      flights: Number(row.flights),
      delayMinutes: Number(row.delay_minutes),
      distanceKm: Number(row.distance_km),
    },
  ])
  const [sum] = sums
  return { rows: Number(sum?.rows), checksum: `${sum?.high}:${sum?.low}`, totals: new Map(totals) }
}

/** What differs between what must be and what is, a sentence each; none when they agree. */
export function differences(expected: TableContents, found: TableContents): string[] {
  const sentences: string[] = []
  if (expected.rows !== found.rows) {
    sentences.push(`flights has ${found.rows} rows and should have ${expected.rows}`)
  } else if (expected.checksum !== found.checksum) {
    sentences.push(
      `flights has the right number of rows but not the right rows (${found.checksum}, not ${expected.checksum})`,
    )
  }
  for (const origin of new Set([...expected.totals.keys(), ...found.totals.keys()])) {
    const [should, is] = [totalsText(expected.totals.get(origin)), totalsText(found.totals.get(origin))]
    if (should !== is) sentences.push(`airport_totals has ${is} for ${origin} and should have ${should}`)
  }
  return sentences
}

function totalsText(totals: Totals | undefined): string {
  if (totals === undefined) return 'nothing'
  return `${totals.flights} flights, ${totals.delayMinutes} minutes, ${totals.distanceKm} km`
}
