import { expect, it } from 'vitest'
import { compile } from './_compile.ts'

/** What does not compile, and the sentence that the compiler says instead. */
const misuses: Readonly<Record<string, readonly [code: string, sentence: string | RegExp]>> = {
  'map of an async function, used as a stream': [
    'flights.map(async (flight) => flight).tap(() => {})',
    'map() takes a synchronous function; use mapAsync() for one that returns a promise',
  ],
  'map of an async function, as a plan': [
    'const plan: Stream<unknown> = flights.map(async (flight) => flight)',
    'map() takes a synchronous function; use mapAsync() for one that returns a promise',
  ],
  'map of an async function, written to a table': [
    "flights.map(async (flight) => flight.delay).to(table<{ delay: number }>('t'), (delay) => ({ delay: 1 }))",
    'map() takes a synchronous function; use mapAsync() for one that returns a promise',
  ],
  'flatten of no array': [
    'flights.flatten()',
    'flatten() needs a stream of arrays; call batch() first, or use flatMap()',
  ],
  'to a table of other rows': [
    "flights.to(table<{ airport: string }>('airports'))",
    'to(sink) needs a stream of the rows of that sink; pass a function that makes the row: to(sink, (value) => ({ … }))',
  ],
  'to a table of numbers': [
    "flights.map((flight) => flight.delay).to(table<{ delay: number }>('delays'))",
    'to(sink) needs a stream of the rows of that sink; pass a function that makes the row: to(sink, (value) => ({ … }))',
  ],
  'a row with a column of another type': [
    "flights.to(table<{ delay: number }>('delays'), (flight) => ({ delay: flight.origin }))",
    /Type 'string' is not assignable to type 'number'/,
  ],
  'to a topic of other values': [
    "flights.to(topic('delays', json<{ airport: string }>()))",
    'to(topic) needs a stream of the values of that topic; pass a function that makes the value: to(topic, (value) => …)',
  ],
  'the value of a topic': [
    "flights.to(topic('delays', json<number>()), (flight) => flight.origin)",
    /Type 'string' is not assignable to type 'number'/,
  ],
  'a tombstone without a key': [
    "flights.tap((flight, ctx) => ctx.write(topic('delays', json<Flight>()), null))",
    /'null' is not assignable to parameter/,
  ],
  'a key of another type': [
    "topic('delays', json<Flight>(), { key: (flight) => flight })",
    /Type 'Flight' is not assignable to type 'EmitKey'/,
  ],
  'a row that lacks a column': [
    "flights.to(table<{ delay: number; origin: string }>('delays'), (flight) => ({ delay: flight.delay }))",
    /Property 'origin' is missing/,
  ],
  'a property that the value lacks': [
    'flights.filter((flight) => flight.dealy > 0)',
    /^line \d+: Property 'dealy' does not exist on type 'Flight'\. Did you mean 'delay'\?$/,
  ],
  'a segment of other values': [
    "flights.via(segment('numbers', (numbers: Stream<number>) => numbers.map((n) => n + 1)))",
    /'Segment<number, number>' is not assignable to parameter of type 'Segment<Flight, number>'/,
  ],
  'a predicate that gives no boolean': [
    'flights.filter((flight) => flight.origin)',
    /Type 'string' is not assignable to type 'boolean'/,
  ],
  'an option that there is not': ['flights.batch({ size: 3 })', /'size' does not exist in type/],
  'a window without keys': ['flights.window({})', 'window() needs keys: write keyBy(…).window(…)'],
  'a lookup with a query that has no key column': [
    "flights.lookup(query<{ code: string }>('select code from airports'), (flight) => flight.origin, (flight) => flight)",
    /Property 'by' is missing|'Query<\{ code: string; \}>' is not assignable/,
  ],
  'a lookup by a column that the row has not': [
    "query<{ code: string }>('select code from airports where code = any($1)', { by: 'id' })",
    /No overload matches this call|not assignable to type '"code"'/,
  ],
  'a lookup by a key that is none': [
    "flights.lookup(query<{ code: string }>('select code', { by: 'code' }), (flight) => flight, (flight) => flight)",
    /Type 'Flight' is not assignable to type 'LookupKey'/,
  ],
  'a source of a query with a key column': [
    "stream('s').from(query<{ code: string }>('select code', { by: 'code' }))",
    /'LookupQuery<\{ code: string; \}>' is not assignable/,
  ],
  'a trigger of other values': [
    "flights.triggers(segment('numbers', (numbers: Stream<number>) => numbers.map((n) => n + 1)))",
    /'Segment<number, number>' is not assignable to parameter of type 'Segment<Flight, unknown>'/,
  ],
  'a pipe without process': ['flights.process({ prepare: (values) => values })', /Property 'process' is missing/],
  'an error policy with an option that there is not': [
    'flights.errorPolicy({ retries: 3 })',
    /'retries' does not exist in type 'ErrorPolicyOptions'/,
  ],
  'a stream where a value is meant': [
    'flights.to(flights as never as Stream<Flight>, (flight) => flight)',
    /is not assignable to parameter of type 'Sink/,
  ],
}

const head = `import { json, query, type Sink, segment, type Stream, signal, stream, table, topic } from 'millrace'
interface Flight { readonly origin: string; readonly delay: number }
declare const flights: Stream<Flight>
`

const { errors } = compile({
  right: `${head}export default flights.map((flight) => flight.delay)`,
  ...Object.fromEntries(Object.entries(misuses).map(([name, [code]]) => [name, `${head}${code}\nexport {}`])),
})

for (const [name, [, sentence]] of Object.entries(misuses)) {
  it(`${name} does not compile, and the error says so`, () => {
    const [first = ''] = errors.get(name) ?? []
    if (typeof sentence === 'string') expect(first).toContain(sentence)
    else expect(first).toMatch(sentence)
  })
}

it('what is right compiles', () => {
  expect(errors.get('right')).toEqual([])
})

/** Ten steps whose values grow, as in a plan of somebody's. */
const steps = (round: number) => `
  .filter((v) => v.distance > ${round})
  .map((v) => ({ ...v, late${round}: v.delay > ${round} }))
  .tap((v, ctx) => ctx.log.debug({ origin: v.origin }))
  .flatMap((v) => [v])
  .mapAsync(async (v) => ({ ...v, asked${round}: await Promise.resolve(${round}) }), { concurrency: 4 })
  .to(table<{ origin: string; delay: number }>('t${round}'), (v) => ({ origin: v.origin, delay: v.delay }))
  .batch({ max: ${round + 1} })
  .flatten()
  .filter((v): v is typeof v & { origin: 'LAS' } => v.origin === 'LAS')
  .map((v) => ({ ...v, origin: v.origin as string }))`

const chain = (rounds: number) => `import { json, stream, table, topic } from 'millrace'
interface Flight { readonly origin: string; readonly delay: number; readonly distance: number }
export const plan = stream('flights').from(topic('flights', json<Flight>()))${Array.from({ length: rounds }, (_, round) => steps(round)).join('')}
`

it('a step costs at most 100 type instantiations', { timeout: 30_000 }, () => {
  // What the libraries and the first use of each method cost is in both, and cancels out.
  const [short, long] = [3, 6].map((rounds) => compile({ chain: chain(rounds) }))
  expect([short?.errors.get('chain'), long?.errors.get('chain')]).toEqual([[], []])
  const each = ((long?.instantiations ?? 0) - (short?.instantiations ?? 0)) / 30
  expect(each).toBeGreaterThan(0)
  expect(each).toBeLessThanOrEqual(100)
})

it('hovering over the end of a chain of twelve steps shows the record', { timeout: 30_000 }, () => {
  const text = `${head}export const chain = flights
  .filter((flight) => flight.delay > 0)
  .map((flight) => ({ ...flight, hours: flight.delay / 60 }))
  .tap((flight, ctx) => ctx.log.debug({ flight }, 'seen'))
  .flatMap((flight) => [flight])
  .mapAsync(async (flight, ctx) => ({ ...flight, key: ctx.idempotencyKey }))
  .batch({ max: 25, maxWaitMs: 500 })
  .map((group) => group.map((flight) => ({ ...flight, of: group.length })))
  .flatten()
  .to(table<{ origin: string; hours: number }>('hours'), ({ origin, hours }) => ({ origin, hours }))
  .filter((flight) => flight.of > 1)
  .map(({ origin, hours, of }) => ({ origin, hours, of }))
  .named('last')`
  const compiled = compile({ chain: text })
  expect(compiled.errors.get('chain')).toEqual([])
  expect(compiled.hover('chain', 'chain')).toBe('Stream<{ origin: string; hours: number; of: number; }>')
})
