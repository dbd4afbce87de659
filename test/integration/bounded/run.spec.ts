/** `run` on the real Postgres: one transaction, queries, the bound on memory. */
import { query, run, type Stream, signal, stream, table } from 'millrace'
import { beforeAll, expect, test } from 'vitest'
import { silentLogger } from '../../../src/core/logger.ts'
import { type FreshDatabase, freshDatabase } from '../../support/services.ts'

interface Thing {
  readonly id: number
  readonly word?: string
}

const things = table<Thing>('things')
const upTo = (count: number) => Array.from({ length: count }, (_, id) => ({ id }))

let database: FreshDatabase
beforeAll(async () => {
  database = await freshDatabase('create table things (id integer primary key check (id >= 0), word text)')
})

const settings = (more: object = {}) => ({ postgres: { url: database.url }, logger: silentLogger, ...more })
const count = async () => (await database.query<{ n: number }>('select count(*)::int as n from things'))[0]?.n
const clear = () => database.query('truncate things')

test('all rows come in one transaction, refused ones apart', async () => {
  const values = [...upTo(2_000), { id: -1 }, { id: 7 }, ...Array.from({ length: 5 }, (_, n) => ({ id: -2 - n }))]
  const report = await run(stream('s').from(values).to(things), settings())
  expect(report.commits).toBe(1)
  expect(report.streams).toMatchObject([{ items: 2_007, done: 2_000, collected: 7, rows: 2_000 }])
  expect(await count()).toBe(2_000)
  expect(await database.query('select count(distinct xmin::text)::int as n from things')).toEqual([{ n: 1 }])
  expect(await database.query('select record_offset::int, topic from millrace.errors order by 1 limit 2')).toEqual([
    { record_offset: 2_000, topic: 'array' },
    { record_offset: 2_001, topic: 'array' },
  ])
  expect(await database.query('select from millrace.progress')).toEqual([])
  await clear()
})

test('of a group that is refused the guilty member is found, and all else commits at once', async () => {
  await database.query(
    'create table sums (id integer references things deferrable initially deferred, size integer check (size < 100))',
  )
  const values = [1, 2, 3, 4, 100, 5, 6, 7, 8, 9].map((size) => ({ size }))
  await database.query('insert into things select generate_series(0, 200)')
  const sums = table<{ id: number; size: number }>('sums')
  const grouped = stream('s')
    .from(values)
    .batch({ max: 4 })
    .map((group) => group.reduce((total, { size }) => total + size, 0))
  const checked = await run(
    grouped.to(sums, (size) => ({ id: size, size })),
    settings(),
  )
  expect(checked).toMatchObject({ commits: 1, streams: [{ done: 9, collected: 1, errors: [{ offset: 4 }] }] })
  expect(await database.query('select size from sums order by size')).toEqual([{ size: 9 }, { size: 10 }, { size: 26 }])
  // Seen at COMMIT only, and of the last of four: the sums before it are things.
  await database.query('truncate sums; delete from things where id = 118')
  const referring = await run(
    grouped.to(sums, (size) => ({ id: size, size: 0 })),
    settings(),
  )
  expect(referring).toMatchObject({ commits: 1, streams: [{ done: 9, collected: 1, errors: [{ offset: 7 }] }] })
  await database.query('drop table sums')
  await clear()
})

test('signal.error() at the last item leaves nothing', async () => {
  const plan = stream('s')
    .from(upTo(3_000))
    .to(things)
    .tap(({ id }) => void (id === 2_999 && signal.error('no')))
  await expect(run(plan, settings())).rejects.toMatchObject({ code: 'MR-SIGNAL-ERROR' })
  expect(await count()).toBe(0)
  expect(await database.query('select from millrace.progress')).toEqual([])
})

test('a write set beyond the bound fails, and says what to do', async () => {
  const plan = () =>
    stream('s')
      .from(upTo(4_000))
      .to(things, ({ id }) => ({ id, word: 'x'.repeat(1_000) }))
  const small = { maxBytes: 2 ** 20 }
  await expect(run(plan(), settings(small))).rejects.toMatchObject({ code: 'MR-RUN-SIZE' })
  expect(await count()).toBe(0)
  const report = await run(plan(), settings({ ...small, commit: { maxItems: 500 } }))
  expect(report.commits).toBe(8)
  expect(await count()).toBe(4_000)
  await clear()
})

test('streams run in the order of the plan', async () => {
  await database.query('create table parents (id integer primary key)')
  await database.query('create table children (id integer references parents)')
  const parents = stream('parents').from(upTo(10)).to(table<Thing>('parents'))
  const children = stream('children').from(upTo(10)).to(table<Thing>('children'))
  const report = await run([parents, children], settings())
  expect(report.collected).toBe(0)
})

test('a query is read as it was when it began, whatever the run writes', async () => {
  await run(stream('s').from(upTo(5_000)).to(things), settings())
  const rows = query<Thing>('select id from things where id >= $1 and id < $2 order by id;', { params: [100, 10_000] })
  const copied: Stream<Thing> = stream('copy')
    .from(rows)
    .map(({ id }) => ({ id: id + 5_000 }))
    .to(things)
  const report = await run(copied, settings({ commit: { maxItems: 500 } }))
  expect(report.streams).toMatchObject([{ source: 'query', items: 4_900, done: 4_900 }])
  expect(await count()).toBe(9_900)
  await clear()
})

test('a query gives values as pg does, and times without a zone in UTC', async () => {
  const seen: unknown[] = []
  const sql = `select 1::int as whole, 12345678901234567890::numeric as wide, date '2001-02-03' as day,
    timestamp '2001-02-03 04:05:06.789' as plain, timestamptz '2001-02-03 04:05:06+02' as zoned, null as nothing,
    '{"a":[1]}'::jsonb as json, $1::text as given -- the end`
  await run(
    stream('q')
      .from(query(sql, { params: ['x'], name: 'types' }))
      .tap((row) => void seen.push(row)),
    settings(),
  )
  expect(seen).toEqual([
    {
      whole: 1,
      wide: '12345678901234567890',
      day: new Date('2001-02-03T00:00:00Z'),
      plain: new Date('2001-02-03T04:05:06.789Z'),
      zoned: new Date('2001-02-03T02:05:06Z'),
      nothing: null,
      json: { a: [1] },
      given: 'x',
    },
  ])
})

test.each([
  ['is wrong', 'select from from', 'MR-PG-REFUSED'],
  ['writes', 'insert into things values (1) returning id', 'MR-PG-REFUSED'],
  ['calls two columns the same', 'select 1 as id, 2 as id', 'MR-QUERY-COLUMNS'],
  ['fails at a row', 'select 10 / (3 - n) as id from generate_series(1, 5) n', 'MR-PG-REFUSED'],
])('a query that %s fails the run', async (_, sql, code) => {
  const ran = run(stream('q').from(query<Thing>(sql)).to(things), settings())
  await expect(ran).rejects.toMatchObject({ code, place: { topic: 'query' } })
  expect(await count()).toBe(0)
})

test('a query that is cut off fails the run with its position', async () => {
  const plan = stream('q')
    .from(query<Thing>('select n as id from generate_series(0, 9999) n'))
    .mapAsync(async (row) => {
      if (row.id === 10) {
        await database.query(
          `select pg_terminate_backend(pid) from pg_stat_activity where query like 'fetch forward%' and datname = current_database()`,
        )
      }
      return row
    })
    .to(things)
  await expect(run(plan, settings())).rejects.toMatchObject({ retryable: true, place: { topic: 'query' } })
  expect(await count()).toBe(0)
})

test('a break in a query closes it', async () => {
  const plan = stream('q')
    .from(query<Thing>('select n as id from generate_series(0, 99999) n'))
    .to(things)
    .tap(({ id }) => void (id === 20 && signal.break()))
  const report = await run(plan, settings({ commit: { maxItems: 100 } }))
  expect(report.streams).toMatchObject([{ done: 20, isMoreUnread: true }])
  expect(await count()).toBe(20)
  const open = `select from pg_stat_activity where query like 'fetch forward%' and datname = current_database()`
  await expect.poll(() => database.query(open)).toEqual([])
  await clear()
})

test('a name that a service uses is refused', async () => {
  await database.query(`insert into millrace.progress (app, stream, source, partition, next_offset, version, owner)
    values ('flights', 's', 'from:flights', 0, 10, 1, gen_random_uuid())`)
  const ran = run(stream('s').from(upTo(1)).to(things), settings({ name: 'flights' }))
  await expect(ran).rejects.toMatchObject({ code: 'MR-RUN-NAME' })
})

test('a run is given up by its signal', async () => {
  const stopping = new AbortController()
  const plan = stream('s')
    .from(upTo(100))
    .mapAsync(async (row) => {
      if (row.id === 50) stopping.abort(new Error('enough'))
      return row
    })
    .to(things)
  await expect(run(plan, settings({ signal: stopping.signal }))).rejects.toThrow('enough')
  expect(await count()).toBe(0)
})
