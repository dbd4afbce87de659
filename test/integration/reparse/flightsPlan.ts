/** A plan of two versions, for tests that run it again: `VERSION` says which. */
import { json, type Stream, segment, signal, stream, table, topic } from '../../../src/index.ts'

interface Flight {
  readonly id: number
  readonly origin: string
  readonly delay: number
}

const isSecond = process.env.VERSION === '2'

const flights = table<Flight>('flights', { track: true })
const delayed = table<{ id: number; minutes: number }>('delayed', { track: true })
const totals = table<{ origin: string; flights: number; longest: number; last: number }>('totals', {
  key: 'origin',
  onConflict: { flights: 'add', longest: 'max' },
  track: true,
})

// The first version counts delays that are none; the second leaves them out, and finds some flights wrong.
const alerts = segment('alerts', (given: Stream<Flight>) =>
  given.filter(({ delay }) => delay > (isSecond ? 60 : 0)).to(delayed, ({ id, delay }) => ({ id, minutes: delay })),
)

export default stream('flights')
  .from(topic(process.env.FLIGHTS_TOPIC ?? 'flights', json<Flight>()))
  .process({
    process(flight) {
      if (isSecond && flight.id % 100 === 7) return signal.ignore('not believed any more')
      return isSecond && flight.id % 100 === 8 ? undefined : flight
    },
  })
  .to(flights)
  .to(totals, ({ id, origin, delay }) => ({
    origin: isSecond ? origin.toUpperCase() : origin,
    flights: 1,
    longest: delay,
    last: id,
  }))
  .triggers(alerts)
