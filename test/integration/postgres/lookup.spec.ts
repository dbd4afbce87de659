/** Rows that a stream looks up in the database that it writes to. */
import { expect, test } from 'vitest'
import { evaluate, json, query, run, stream, table, topic } from '../../../src/index.ts'
import { createMemoryBroker } from '../../../src/testing/memoryBroker.ts'
import { freshDatabase, freshName } from '../../support/services.ts'
import { catchUp } from '../reparse/_reparse.ts'

interface Flight {
  readonly n: number
  readonly origin: string | number | null
}
interface Airport {
  readonly code: string
  readonly name: string
  readonly opened: Date
}

const { url, query: sql } = await freshDatabase(`
  create table airports (code text, id integer, name text, opened date);
  insert into airports values ('LAS', 1, 'Harry Reid', '1948-12-19'), ('SEA', 2, 'Seattle-Tacoma', '1949-07-09');
  create table named (n integer, name text, opened timestamptz);`)
const named = table<{ n: number; name: string | null; opened: Date | null }>('named')
const byCode = query<Airport>('select code, name, opened from airports where code = any($1)', { by: 'code' })
const byId = query<{ id: number; name: string; opened: Date }>(
  'select id, name, opened from airports where id = any($1) and name like $2',
  { by: 'id', params: ['Harry%'] },
)
const flights = topic('flights', json<Flight>())

const looked = (by: typeof byCode | typeof byId, of = stream('flights').from(flights)) =>
  of
    .lookup(
      by as typeof byCode,
      ({ origin }) => origin,
      ({ n }, airport) => ({ n, name: airport?.name ?? null, opened: airport?.opened ?? null }),
    )
    .to(named)

const rows = () => sql('select n, name, opened from named order by n')

async function serve(by: typeof byCode | typeof byId, values: readonly Flight[]): Promise<void> {
  await sql('truncate named')
  const broker = createMemoryBroker({ chunkRecords: 10 })
  broker.createTopic('flights', 1)
  for (const value of values) {
    broker.append('flights', 0, { key: null, value: Buffer.from(JSON.stringify(value)), headers: [], timestamp: 0 })
  }
  await catchUp(looked(by), { broker, url, group: freshName('group'), maxItems: 100 })
}

const lasVegas = { name: 'Harry Reid', opened: new Date('1948-12-19T00:00Z') }
const nothing = { name: null, opened: null }

test('a service finds them, and dates are in UTC', async () => {
  await serve(byCode, [
    { n: 1, origin: 'LAS' },
    { n: 2, origin: 'XXX' },
    { n: 3, origin: null },
  ])
  expect(await rows()).toEqual([
    { n: 1, ...lasVegas },
    { n: 2, ...nothing },
    { n: 3, ...nothing },
  ])
})

test('keys of another type and further parameters go to the query, and a key that it refuses is collected', async () => {
  await serve(byId, [
    { n: 1, origin: 1 },
    { n: 2, origin: 'one' },
    { n: 3, origin: '1' },
    { n: 4, origin: 2 },
  ])
  expect(await rows()).toEqual([
    { n: 1, ...lasVegas },
    { n: 3, ...lasVegas },
    { n: 4, ...nothing },
  ])
  const collected = await sql('select record_offset::int as at, error_code, step from millrace.errors')
  expect(collected).toEqual([{ at: 1, error_code: 'MR-LOOKUP-KEY', step: 'lookup' }])
})

test('run() and evaluate() find them too', async () => {
  await sql('truncate named')
  await run(looked(byCode, stream('flights').from([{ n: 1, origin: 'LAS' }])), { postgres: { url } })
  expect(await rows()).toEqual([{ n: 1, ...lasVegas }])
  const record = { value: Buffer.from('{"n":2,"origin":"LAS"}') }
  const { output } = await evaluate(looked(byCode), { step: 'lookup', record, postgres: { url } })
  expect(output).toEqual([{ n: 2, ...lasVegas }])
})

test.each([
  ['is no SQL', query<Airport>('selekt code', { by: 'code' }), 'MR-LOOKUP-QUERY'],
  [
    'names no table',
    query<Airport>('select code from harbours where code = any($1)', { by: 'code' }),
    'MR-LOOKUP-QUERY',
  ],
  ['takes no keys', query<Airport>('select code from airports', { by: 'code' }), 'MR-LOOKUP-QUERY'],
  [
    'has not its column',
    query<Airport>('select name from airports where code = any($1)', { by: 'code' }),
    'MR-LOOKUP-COLUMN',
  ],
])('a query that %s fails at the start, before the first record', async (_, wrong, code) => {
  const seen: unknown[] = []
  const plan = looked(
    wrong,
    stream('flights')
      .from([{ n: 1, origin: 'LAS' }])
      .tap((value) => seen.push(value)),
  )
  const failed = run(plan, { postgres: { url } })
  await expect(failed).rejects.toMatchObject({ code, place: { stream: 'flights', step: 'lookup' } })
  expect(seen).toEqual([])
})
