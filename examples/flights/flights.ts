/**
 * The demo's plan: flights from Kafka into two tables.
 *
 *     $ npx millrace run examples/flights/flights.ts --group flights
 */
import { avro, signal, stream, table, topic } from 'millrace'
import { readAirports } from './dataset.ts'
import { flightSchema, flightSchemaId } from './schema.ts'

const airports = await readAirports()

export const flightTopic = topic(
  'flights',
  avro(flightSchema, { framing: { confluent: { [flightSchemaId]: flightSchema } } }),
)

export interface FlightTableRow {
  readonly departs_at: Date
  readonly origin: string
  readonly origin_city: string
  readonly destination: string
  readonly destination_city: string
  readonly distance_km: number
  readonly delay_minutes: number
  readonly remark: string | null
}

/** One row for each flight. It has no key: the real data repeats some rows, and so does the table. */
export const flightsTable = table<FlightTableRow>('flights', {
  create: `create table flights (
    departs_at timestamptz not null,
    origin text not null,
    origin_city text not null,
    destination text not null,
    destination_city text not null,
    distance_km integer not null,
    delay_minutes integer not null check (delay_minutes between -1440 and 2880),
    remark text,
    check (origin <> destination)
  )`,
})

export interface AirportTotalsRow {
  readonly origin: string
  readonly city: string
  readonly flights: number
  readonly delay_minutes: number
  readonly distance_km: number
}

/** Running totals for each airport of departure. */
export const airportTotals = table<AirportTotalsRow>('airport_totals', {
  key: 'origin',
  onConflict: { flights: 'add', delay_minutes: 'add', distance_km: 'add' },
  create: `create table airport_totals (
    origin text primary key,
    city text not null,
    flights bigint not null,
    delay_minutes bigint not null,
    distance_km bigint not null
  )`,
})

const kmPerMile = 1.609344

const flights = stream('flights')
  .from(flightTopic)
  .filter((flight) => flight.distance >= 100)
  .named('no short hops')
  .map((flight) => ({
    departs_at: flight.date,
    origin: flight.origin,
    destination: flight.destination,
    distance_km: Math.round(flight.distance * kmPerMile),
    delay_minutes: flight.delay,
    remark: flight.remark,
  }))
  .map((flight) => ({
    ...flight,
    origin_city: cityOf(flight.origin),
    destination_city: cityOf(flight.destination),
  }))
  .named('join airports')
  .to(flightsTable)
  .to(airportTotals, (flight) => ({
    origin: flight.origin,
    city: flight.origin_city,
    flights: 1,
    delay_minutes: flight.delay_minutes,
    distance_km: flight.distance_km,
  }))

function cityOf(iata: string): string {
  return airports.get(iata)?.city ?? signal.ignore(`unknown airport ${iata}`)
}

export default [flights]
