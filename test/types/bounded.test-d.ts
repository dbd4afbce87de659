import { expectTypeOf, test } from 'vitest'
import { lines, query } from '../../src/bounded/index.ts'
import { json } from '../../src/codecs/index.ts'
import type { LookupQuery } from '../../src/core/lookup.ts'
import { type RunReport, run } from '../../src/service/run.ts'
import { type Stream, stream } from '../../src/stream.ts'

interface Flight {
  readonly origin: string
}

async function* later(): AsyncGenerator<Flight> {}

test('an input gives its type', () => {
  const s = stream('s')
  expectTypeOf(s.from([1, 2])).toEqualTypeOf<Stream<number>>()
  expectTypeOf(s.from([1, null])).toEqualTypeOf<Stream<number | null>>()
  expectTypeOf(s.from(['a'] as const)).toEqualTypeOf<Stream<'a'>>()
  expectTypeOf(s.from(new Set(['a']))).toEqualTypeOf<Stream<string>>()
  expectTypeOf(s.from(later(), { name: 'flights' })).toEqualTypeOf<Stream<Flight>>()
  expectTypeOf(s.from(lines('x', json<Flight>()))).toEqualTypeOf<Stream<Flight>>()
  expectTypeOf(s.from(query<Flight>('select origin from flights'))).toEqualTypeOf<Stream<Flight>>()
})

test('a query with a key column is for lookup() alone', () => {
  const byCode = query<{ code: string; name: string }>('select code, name from airports where code = any($1)', {
    by: 'code',
  })
  const flights = stream('flights').from([{ origin: 'LAS' }])
  const looked = flights.lookup(
    byCode,
    (f) => f.origin,
    (f, airport) => ({ ...f, airport: airport?.name }),
    { ttl: { minutes: 5 } },
  )
  expectTypeOf(byCode).toEqualTypeOf<LookupQuery<{ code: string; name: string }>>()
  expectTypeOf(looked).toEqualTypeOf<Stream<{ airport: string | undefined; origin: string }>>()
  // @ts-expect-error it is asked for the rows of keys
  stream('s').from(byCode)
  // @ts-expect-error it has no such column
  query<Flight>('select origin from flights', { by: 'orgin' })
  // @ts-expect-error nothing says by which column rows are found
  flights.lookup(query<Flight>('select origin from flights'), (f) => f.origin, String)
})

test('what is none is refused', () => {
  // @ts-expect-error a number cannot be read
  stream('s').from(5)
  // @ts-expect-error a row is an object
  query<number>('select 1')
})

test('run answers with a report', () => {
  expectTypeOf(run).returns.resolves.toEqualTypeOf<RunReport>()
  const plan = stream('s').from([1])
  // @ts-expect-error postgres has to be said
  run(plan, {})
})
