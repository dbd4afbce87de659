/** What the demo puts into the topic: real flights with broken records among them, in an order that never changes. */
import { type BrokenRecord, brokenCount, brokenPositions, brokenRecord } from './broken.ts'
import { readFlights } from './dataset.ts'
import type { Flight } from './schema.ts'

export interface FlightRecord {
  /** The airport of departure. */
  readonly key: string
  readonly value: Buffer | null
  /** Departure, in milliseconds since the epoch. */
  readonly timestamp: number
}

/** A broken record in its place; its bytes are how the demo finds it in the error collector again. */
export type PlacedRecord = Omit<BrokenRecord, 'key'>

/** Number of records that {@link flightRecords} gives for so many flights. */
export function recordCount(flights: number): number {
  return flights + brokenCount
}

/**
 * The first `limit` flights as records, in blocks, with the broken ones among them.
 *
 * @param encode a good flight's bytes, framing included
 * @param onBroken is told each broken record that was placed
 */
export async function* flightRecords(
  limit: number,
  encode: (flight: Flight) => Buffer,
  onBroken: (record: PlacedRecord) => void = () => {},
): AsyncGenerator<FlightRecord[]> {
  const positions = brokenPositions(limit)
  let broken = 0
  let position = 0
  for await (const rows of readFlights(limit)) {
    const records: FlightRecord[] = []
    for (const row of rows) {
      const flight: Flight = { ...row, remark: null }
      const timestamp = flight.date.getTime()
      records.push({ key: flight.origin, value: encode(flight), timestamp })
      while (positions[broken] === position) {
        const { key, ...placed } = brokenRecord(broken, flight, encode)
        onBroken(placed)
        records.push({ key, value: placed.value, timestamp })
        broken++
      }
      position++
    }
    yield records
  }
}
