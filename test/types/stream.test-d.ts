import { auditTime, map as rxMap } from 'rxjs'
import { describe, expectTypeOf, test } from 'vitest'
import { table } from '../../sinks/table.ts'
import { json } from '../../src/codecs/index.ts'
import type { AsyncItemContext, ItemContext } from '../../src/core/context.ts'
import { defineOperator } from '../../src/core/operator.ts'
import { signal } from '../../src/core/signal.ts'
import { slot } from '../../src/core/slot.ts'
import { type Plan, type Segment, type Stream, segment, stream } from '../../src/stream.ts'
import { topic } from '../../src/topic.ts'

interface Flight {
  readonly origin: string
  readonly delay: number
  readonly gate: string | null
}

const flights = stream('flights').from(topic('flights', json<Flight>()))

test("a source gives the codec's type", () => {
  expectTypeOf(flights).toEqualTypeOf<Stream<Flight>>()
  expectTypeOf(stream('s').from(topic('t', json<Flight>(), { tombstones: 'pass' }))).toEqualTypeOf<
    Stream<Flight | null>
  >()
})

describe('filter', () => {
  test('keeps the type with a plain predicate', () => {
    expectTypeOf(flights.filter((flight) => flight.delay > 0)).toEqualTypeOf<Stream<Flight>>()
  })
  test('narrows with a type guard', () => {
    const gated = (flight: Flight): flight is Flight & { gate: string } => flight.gate !== null
    expectTypeOf(flights.filter(gated)).toEqualTypeOf<Stream<Flight & { gate: string }>>()
    const gates = flights.map((flight) => flight.gate)
    expectTypeOf(gates.filter((gate) => gate !== null)).toEqualTypeOf<Stream<string>>()
  })
})

describe('map', () => {
  test('gives what the callback gives', () => {
    expectTypeOf(flights.map((flight) => flight.delay)).toEqualTypeOf<Stream<number>>()
    expectTypeOf(flights.map((_, ctx) => ctx)).toEqualTypeOf<Stream<ItemContext>>()
  })
  test('is left alone by signals', () => {
    expectTypeOf(
      flights.map((flight) => (flight.gate === null ? signal.ignore('no gate') : flight.gate)),
    ).toEqualTypeOf<Stream<string>>()
    expectTypeOf(flights.map(() => signal.continue())).toEqualTypeOf<Stream<never>>()
  })
  test('narrows behind a signal', () => {
    const gates = flights.map((flight) => {
      if (flight.gate === null) signal.ignore()
      return flight.gate
    })
    expectTypeOf(gates).toEqualTypeOf<Stream<string>>()
  })
  test('takes any and unknown for what they are', () => {
    const anything = JSON.parse as (text: string) => unknown
    expectTypeOf(flights.map(() => anything(''))).toEqualTypeOf<Stream<unknown>>()
  })
  test('works in generic helpers', () => {
    const pairs = <T>(of: Stream<T>): Stream<readonly [T, T]> => of.map((value) => [value, value] as const)
    expectTypeOf(pairs(flights)).toEqualTypeOf<Stream<readonly [Flight, Flight]>>()
    const twice = <T>(of: Stream<T>): Stream<T> =>
      of
        .batch({ max: 2 })
        .flatten()
        .flatMap((value) => [value, value])
    expectTypeOf(twice(flights)).toEqualTypeOf<Stream<Flight>>()
  })
})

test('mapAsync gives what the promise gives', () => {
  expectTypeOf(flights.mapAsync(async (flight) => flight.delay)).toEqualTypeOf<Stream<number>>()
  expectTypeOf(flights.mapAsync((flight) => flight.delay)).toEqualTypeOf<Stream<number>>()
  expectTypeOf(flights.mapAsync(async (flight) => (flight.delay > 0 ? flight : signal.break('later')))).toEqualTypeOf<
    Stream<Flight>
  >()
  flights.mapAsync((_, ctx) => {
    expectTypeOf(ctx).toEqualTypeOf<AsyncItemContext>()
    expectTypeOf(ctx.abortSignal).toEqualTypeOf<AbortSignal>()
    expectTypeOf(ctx).not.toHaveProperty('trigger')
  })
})

test('flatMap, tap, batch and flatten', () => {
  expectTypeOf(flights.flatMap((flight) => flight.origin.split(''))).toEqualTypeOf<Stream<string>>()
  expectTypeOf(
    flights.flatMap(function* (flight) {
      yield flight.delay
    }),
  ).toEqualTypeOf<Stream<number>>()
  expectTypeOf(flights.tap(() => 1)).toEqualTypeOf<Stream<Flight>>()
  expectTypeOf(flights.batch({ max: 3, by: (flight) => flight.origin })).toEqualTypeOf<Stream<Flight[]>>()
  expectTypeOf(flights.batch({ max: 3 }).flatten()).toEqualTypeOf<Stream<Flight>>()
  expectTypeOf(flights.map(() => [1, 'a'] as const).flatten()).toEqualTypeOf<Stream<1 | 'a'>>()
})

describe('branch and merge', () => {
  test('know both sides of a guard', () => {
    const kinds = flights.map((flight) => flight.gate)
    const [gates, none] = kinds.branch((gate): gate is string => gate !== null)
    expectTypeOf(gates).toEqualTypeOf<Stream<string>>()
    expectTypeOf(none).toEqualTypeOf<Stream<null>>()
    expectTypeOf(gates.merge(none)).toEqualTypeOf<Stream<string | null>>()
    expectTypeOf(
      gates.merge(
        none,
        kinds.map(() => 1),
      ),
    ).toEqualTypeOf<Stream<string | null | number>>()
  })
  test('keep the type without one', () => {
    const [late, early] = flights.branch((flight) => flight.delay > 0)
    expectTypeOf(late).toEqualTypeOf<Stream<Flight>>()
    expectTypeOf(early).toEqualTypeOf<Stream<Flight>>()
  })
})

test('to passes the value on, and takes rows of the table', () => {
  const totals = table<{ origin: string; flights: number }>('totals', { key: 'origin', onConflict: { flights: 'add' } })
  expectTypeOf(flights.to(totals, (flight) => ({ origin: flight.origin, flights: 1 }))).toEqualTypeOf<Stream<Flight>>()
  expectTypeOf(flights.to(table('flights'))).toEqualTypeOf<Stream<Flight>>()
  expectTypeOf(flights.to(table<{ origin: string }>('origins'))).toEqualTypeOf<Stream<Flight>>()
})

test('to a topic passes the value on, and takes values of the topic', () => {
  const delays = topic('delays', json<Flight>(), { key: (flight) => flight.origin })
  expectTypeOf(flights.to(delays)).toEqualTypeOf<Stream<Flight>>()
  expectTypeOf(flights.to(topic('wider', json<{ origin: string }>()))).toEqualTypeOf<Stream<Flight>>()
  expectTypeOf(flights.to(topic('numbers', json<number>()), (flight) => flight.delay)).toEqualTypeOf<Stream<Flight>>()
  flights.tap((flight, ctx) => {
    ctx.write(delays, flight)
    ctx.write(delays, flight, { key: 1n, headers: { trace: 'x', raw: Buffer.alloc(1) } })
    ctx.write(delays, null, { key: flight.origin })
  })
})

test("via takes operators and segments of the stream's values", () => {
  const delays = defineOperator<Flight, number>({
    kind: 'delays',
    attach: (next) => (flight, item) => next(flight.delay, item),
  })
  expectTypeOf(flights.via(delays)).toEqualTypeOf<Stream<number>>()
  const origins = segment('origins', (of: Stream<{ readonly origin: string }>) => of.map(({ origin }) => origin))
  expectTypeOf(origins).toEqualTypeOf<Segment<{ readonly origin: string }, string>>()
  expectTypeOf(flights.via(origins)).toEqualTypeOf<Stream<string>>()
})

test('pipe takes RxJS operators', () => {
  expectTypeOf(flights.pipe(auditTime(1_000))).toEqualTypeOf<Stream<Flight>>()
  expectTypeOf(flights.pipe((values) => values.pipe(rxMap((flight) => flight.delay)))).toEqualTypeOf<Stream<number>>()
})

test('scopes know their slots', () => {
  const seen = slot('seen', () => new Set<string>())
  flights.tap((flight, ctx) => {
    expectTypeOf(ctx.scope.item.get(seen)).toEqualTypeOf<Set<string>>()
    ctx.scope.item.update(seen, (known) => known.add(flight.origin))
    // @ts-expect-error a slot takes its own values only
    ctx.scope.item.set(seen, 1)
    expectTypeOf(ctx.scope.batch.get(seen)).toEqualTypeOf<Set<string>>()
    expectTypeOf(ctx.scope.context.update(seen, (known) => known)).toEqualTypeOf<Set<string>>()
  })
})

test('plans are streams of anything', () => {
  expectTypeOf([flights, flights.map((flight) => flight.delay)]).toExtend<Plan>()
  expectTypeOf(flights).toExtend<Plan>()
  expectTypeOf<Stream<Flight & { more: 1 }>>().toExtend<Stream<Flight>>()
  expectTypeOf<Stream<unknown>>().not.toExtend<Stream<Flight>>()
})

test("a chain of twelve steps ends in the record's type, with no any", () => {
  const chain = flights
    .filter((flight) => flight.delay > 0)
    .map((flight) => ({ ...flight, hours: flight.delay / 60 }))
    .tap((flight, ctx) => ctx.log.debug({ flight }, 'seen'))
    .flatMap((flight) => [flight])
    .mapAsync(async (flight, ctx) => ({ ...flight, key: ctx.idempotencyKey }), { concurrency: 4, order: 'none' })
    .batch({ max: 25, maxWaitMs: 500, by: (flight) => flight.origin })
    .map((group) => group.map((flight) => ({ ...flight, group: group.length })))
    .flatten()
    .to(table<{ origin: string; hours: number }>('hours'), (flight) => ({ origin: flight.origin, hours: flight.hours }))
    .filter((flight): flight is typeof flight & { gate: string } => flight.gate !== null)
    .map(({ gate, hours, group }) => ({ gate, hours, group }))
    .named('last')
  expectTypeOf(chain).toEqualTypeOf<Stream<{ gate: string; hours: number; group: number }>>()
  expectTypeOf(chain).not.toBeAny()
})
