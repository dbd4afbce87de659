/**
 * The real input of the demo: three million US flights of 2001, in the order of their departure, and the airports of the
 * country, both from the npm package `vega-datasets`.
 */
import { readFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { asyncBufferFromFile, parquetMetadataAsync, parquetReadObjects } from 'hyparquet'
import { compressors } from 'hyparquet-compressors'

/** A flight as the parquet file has it, its integers made numbers. */
export interface FlightRow {
  /** Departure to the minute. The file states no zone; it is read as UTC. */
  readonly date: Date
  /** Minutes late; below 0 when early. */
  readonly delay: number
  /** Miles. */
  readonly distance: number
  /** IATA codes. */
  readonly origin: string
  readonly destination: string
}

export interface Airport {
  readonly iata: string
  readonly name: string
  readonly city: string
  readonly state: string
}

/** Number of flights in the file. */
export const allFlights = 3_000_000

const require = createRequire(import.meta.url)

/** The path of one of the package's data files, which it has but does not export. */
export function datasetFile(name: string): string {
  return join(dirname(require.resolve('vega-datasets')), '..', 'data', name)
}

/**
 * The first `limit` flights in blocks of at most `blockSize`.
 *
 * One row group of the file (about 270,000 flights) is in memory at a time, because that is what parquet decodes at once.
 *
 * @param limit how many flights; all of them when the file has fewer
 * @param blockSize flights in a block; default 10,000
 */
export async function* readFlights(limit: number, blockSize = 10_000): AsyncGenerator<FlightRow[]> {
  const file = await asyncBufferFromFile(datasetFile('flights-3m.parquet'))
  const metadata = await parquetMetadataAsync(file)
  let rowStart = 0
  for (const group of metadata.row_groups) {
    const rowEnd = Math.min(rowStart + Number(group.num_rows), limit)
    if (rowEnd <= rowStart) return
    const rows = await parquetReadObjects({ file, compressors, metadata, rowStart, rowEnd })
    for (let at = 0; at < rows.length; at += blockSize) yield rows.slice(at, at + blockSize).map(toFlight)
    rowStart = rowEnd
  }
}

function toFlight(row: Record<string, unknown>): FlightRow {
  const { date, delay, distance, origin, destination } = row
  if (!(date instanceof Date) || typeof origin !== 'string' || typeof destination !== 'string') {
    throw new Error(`flights-3m.parquet does not have the columns it used to have: ${Object.keys(row).join(', ')}`)
  }
  return { date, delay: Number(delay), distance: Number(distance), origin, destination }
}

/** The airports by their IATA code. */
export async function readAirports(): Promise<Map<string, Airport>> {
  const [header = [], ...lines] = parseCsv(await readFile(datasetFile('airports.csv'), 'utf8'))
  const column = (name: string) => {
    const index = header.indexOf(name)
    if (index < 0) throw new Error(`airports.csv has no column "${name}"`)
    return index
  }
  const [iata, name, city, state] = [column('iata'), column('name'), column('city'), column('state')]
  const airports = new Map<string, Airport>()
  for (const line of lines) {
    const code = line[iata] ?? ''
    airports.set(code, { iata: code, name: line[name] ?? '', city: line[city] ?? '', state: line[state] ?? '' })
  }
  return airports
}

/** Lines of fields; a field in quotes may hold commas, and quotes as two of them. */
export function parseCsv(text: string): string[][] {
  const lines = text.split(/\r?\n/).filter((line) => line !== '')
  return lines.map((line) => {
    const fields = `,${line}`.matchAll(/,(?:"((?:[^"]|"")*)"|([^,]*))/g)
    return Array.from(fields, ([, quoted, plain]) => quoted?.replaceAll('""', '"') ?? plain ?? '')
  })
}
