/** Making tables anew where plans, tables and services are not simple. */
import pg from 'pg'
import { beforeEach, describe, expect, test } from 'vitest'
import { json, retry, type Stream, signal, stream, table, topic } from '../../../src/index.ts'
import { dropReparse, planDrop } from '../../../src/reparse/openReparse.ts'
import { createMemoryBroker, type MemoryBroker } from '../../../src/testing/memoryBroker.ts'
import { freshDatabase, freshName } from '../../support/services.ts'
import { until } from '../../support/until.ts'
import { catchUp, reparse, type Surroundings, serve, shadow } from './_reparse.ts'

interface Item {
  readonly n: number
}

const items = topic('items', json<Item>())
const others = topic('others', json<Item>())
const plain = table<{ n: number; version: number }>('plain')
const counts = table<{ n: number; seen: number }>('counts')

const database = await freshDatabase()
const setUp = `
  drop schema if exists millrace cascade;
  drop schema public cascade;
  create schema public;
  create table plain (n integer primary key, version integer);
  create table counts (n integer, seen integer);`

let broker: MemoryBroker
let surroundings: Surroundings

beforeEach(async () => {
  await database.query(setUp)
  broker = createMemoryBroker({ chunkRecords: 7 })
  broker.createTopic('items', 1)
  broker.createTopic('others', 1)
  surroundings = { broker, url: database.url, group: freshName('group') }
})

function send(from: number, to: number, topicName = 'items', partition = 0): void {
  for (let n = from; n < to; n += 1) {
    broker.append(topicName, partition, {
      key: Buffer.from(String(n % 2)),
      value: Buffer.from(JSON.stringify({ n })),
      headers: [],
      timestamp: n,
    })
  }
}

/** Plans are told apart by their steps, and each version has one more. */
const planOf = (version: number, seen: (item: Item) => void = () => {}): Stream<Item> => {
  let read = stream('items').from(items)
  for (let step = 0; step < version; step += 1) read = read.filter(() => true)
  return read.tap((item) => seen(item)).to(plain, ({ n }) => ({ n, version }))
}
const rows = async () =>
  (await database.query('select n, version from plain order by n')).map(({ n, version }) => `${n} v${version}`)
const numbers = (from: number, to: number, version: number) =>
  Array.from({ length: to - from }, (_, index) => `${from + index} v${version}`)
const tables = async () =>
  (
    await database.query<{ name: string }>(
      `select relname::text as name from pg_class where relkind = 'r' and relnamespace = 'public'::regnamespace order by 1`,
    )
  ).map(({ name }) => name)

/** A session in the middle of a transaction that has read a table. End it. */
async function holding(name: string): Promise<pg.Client> {
  const reader = new pg.Client(database.url)
  await reader.connect()
  await reader.query(`begin; select from ${name}`)
  return reader
}

const swapWaits = () =>
  until('the swap waits', async () => {
    const waiting = await database.query(`select from pg_locks where not granted and mode = 'AccessExclusiveLock'`)
    return waiting.length > 0
  })

/** Runs until some items are committed, and stops. */
async function stopped(plan: Stream<unknown>, atLeast: number) {
  const stop = new AbortController()
  const report = await shadow(plan, { ...surroundings, maxItems: 5 }, undefined, {
    signal: stop.signal,
    onProgress: ({ passed }) => {
      if (passed >= atLeast) stop.abort()
    },
  })
  expect(report).toMatchObject({ state: 'stopped', swapped: [] })
  return report
}

describe('what cannot be renamed right is refused', () => {
  test.each([
    ['a view', 'create view shown as select n from plain', /View shown would go on showing the old table/],
    [
      'a function',
      'create function f() returns bigint begin atomic select count(*) from plain; end',
      /Function f\(\) would go on/,
    ],
    [
      'a function of its rows',
      'create function g(plain) returns int language sql as $$ select 1 $$',
      /Function g\(plain\)/,
    ],
    ['a column of its rows', 'create table holds (p plain)', /Columns of holds have its rows as their type/],
    [
      'a trigger',
      `create function t() returns trigger language plpgsql as $$ begin return new; end $$;
      create trigger noted before insert on plain for each row execute function t()`,
      /Trigger noted has run for the rows/,
    ],
    ['a rule', 'create rule also as on insert to plain do also notify x', /Rule also would stay/],
    [
      'a foreign key',
      'create table refers (n integer constraint tied references plain)',
      /Foreign key tied of refers would go on/,
    ],
    [
      'a policy',
      'create policy mine on plain; alter table plain enable row level security',
      /policies \(mine, row security\)/,
    ],
    ['a publication', 'create publication told for table plain', /Publication told would go on publishing/],
    ['a replica identity', 'alter table plain replica identity full', /replica identity of its own/],
    ['a child', 'create table child () inherits (plain)', /partitioned, a partition, or inherits/],
    ['an old table', 'create table plain_before ()', /public\.plain_before is there/],
    [
      'a long name',
      `alter table plain rename to ${'p'.repeat(57)}; create table plain (n integer primary key, version integer)`,
      undefined,
    ],
  ])('%s', async (_, sql, message) => {
    send(0, 3)
    await catchUp(planOf(1), surroundings)
    await database.query(sql)
    if (message === undefined) return expect(await shadow(planOf(2), surroundings)).toMatchObject({ state: 'done' })
    await expect(shadow(planOf(2), surroundings)).rejects.toThrow(message)
    expect(await database.query('select * from millrace.reparses')).toEqual([])
    await database.query('drop publication if exists told')
  })

  test('also when it comes while the tables are made', async () => {
    send(0, 30)
    await catchUp(planOf(1), surroundings)
    await stopped(planOf(2), 10)
    await database.query('create view shown as select n from plain')
    await expect(shadow(planOf(2), surroundings)).rejects.toThrow(/View shown/)
    await database.query('drop view shown; alter table plain add column more integer')
    await expect(shadow(planOf(2), surroundings)).rejects.toThrow(
      /has changed since public\.plain_shadow was made like it.*more integer/s,
    )
    await database.query('alter table plain drop column more')
    expect(await shadow(planOf(2), surroundings)).toMatchObject({ id: 1, state: 'done' })
    expect(await rows()).toEqual(numbers(0, 30, 2))
  })

  test('and so are tables that others write', async () => {
    const shared = table<{ n: number; seen: number }>('counts', { track: true })
    const one = stream('items')
      .from(items)
      .to(shared, ({ n }) => ({ n, seen: 1 }))
    const two = stream('others')
      .from(others)
      .to(shared, ({ n }) => ({ n, seen: 2 }))
    send(0, 3)
    send(0, 3, 'others')
    await catchUp(one, surroundings)
    const elsewhere = { ...surroundings, group: freshName('group') }
    await catchUp(two, elsewhere)
    await expect(shadow(one, surroundings)).rejects.toThrow(new RegExp(`is written by group ${elsewhere.group} too`))
    await database.query('delete from millrace.progress where app = $1', [elsewhere.group])
    const both = [one, two]
    await catchUp(both, surroundings)
    await expect(shadow(both, surroundings, 'items')).rejects.toThrow(/stream "others" writes table "counts" too/)
    await expect(shadow(one, surroundings)).rejects.toThrow(/is written by stream others too/)
    expect(await shadow(both, surroundings)).toMatchObject({ state: 'done', items: 6 })
    expect(await database.query('select seen, count(*)::int as n from counts group by 1 order by 1')).toEqual([
      { seen: 1, n: 3 },
      { seen: 2, n: 3 },
    ])
  })
})

describe('interrupted', () => {
  test('it goes on; with another plan it begins anew, and drops what it had made', async () => {
    send(0, 40)
    await catchUp(planOf(1), surroundings)
    await stopped(planOf(2), 10)
    expect(await tables()).toEqual(['counts', 'plain', 'plain_shadow'])
    const seen: number[] = []
    const again = await stopped(
      planOf(3, ({ n }) => seen.push(n)),
      20,
    )
    expect(again.id).toBe(2)
    expect(seen[0]).toBe(0)
    expect(await rows()).toEqual(numbers(0, 40, 1))
    expect(await shadow(planOf(2), surroundings)).toMatchObject({ id: 3, state: 'done', items: 40 })
    expect(await rows()).toEqual(numbers(0, 40, 2))
    expect(await tables()).toEqual(['counts', 'plain', 'plain_before'])
  })

  test('it reads nothing twice', async () => {
    send(0, 40)
    await catchUp(planOf(1), surroundings)
    const first = await stopped(planOf(2), 10)
    const second = await shadow(planOf(2), surroundings)
    expect(second.id).toBe(first.id)
    expect(first.items + second.items).toBe(40)
    expect(await rows()).toEqual(numbers(0, 40, 2))
  })

  test('it can be given up', async () => {
    send(0, 40)
    await catchUp(planOf(1), surroundings)
    const { id } = await stopped(planOf(2), 10)
    await expect(reparse(planOf(2), surroundings)).rejects.toThrow(/is not tracked/)
    const postgres = { url: database.url }
    const { reparse: found, tables: made } = await planDrop(postgres, surroundings.group, id)
    expect(made).toEqual(['public.plain_shadow'])
    await dropReparse(postgres, found)
    expect(await tables()).toEqual(['counts', 'plain'])
    expect(await database.query('select app from millrace.progress')).toEqual([{ app: surroundings.group }])
    await expect(planDrop(postgres, surroundings.group, id)).rejects.toThrow(/It is dropped/)
  })

  test('by a break nothing is put in place, and it goes on there', async () => {
    send(0, 10)
    await catchUp(planOf(1), surroundings)
    let isBroken = true
    const plan = planOf(2, ({ n }) => {
      if (n === 6 && isBroken) signal.break('not yet')
    })
    await expect(shadow(plan, surroundings)).rejects.toThrow(/signal.break\(\) has stopped partition 0/)
    expect(await rows()).toEqual(numbers(0, 10, 1))
    isBroken = false
    expect(await shadow(plan, surroundings)).toMatchObject({ id: 1, state: 'done', items: 4 })
    expect(await rows()).toEqual(numbers(0, 10, 2))
  })
})

describe('a service', () => {
  test('of another plan halts at the swap, until it is started with the new one', async () => {
    send(0, 10)
    await catchUp(planOf(1), surroundings)
    await shadow(planOf(2), surroundings)
    send(10, 12)
    await expect(catchUp(planOf(1), surroundings)).rejects.toThrow(/put tables in place that another plan has made/)
    await catchUp(planOf(2), surroundings)
    expect(await rows()).toEqual(numbers(0, 12, 2))
  })

  test('that was set back has to come so far again', async () => {
    send(0, 40)
    await catchUp(planOf(1), surroundings)
    await stopped(planOf(2), 20)
    await database.query('update millrace.progress set next_offset = 3, fingerprint = null where app = $1', [
      surroundings.group,
    ])
    await expect(shadow(planOf(2), surroundings)).rejects.toThrow(/the service is at 3 of stream "items", partition 0/)
    await database.query('update millrace.progress set next_offset = 40 where app = $1', [surroundings.group])
    expect(await shadow(planOf(2), surroundings)).toMatchObject({ state: 'done' })
    expect(await rows()).toEqual(numbers(0, 40, 2))
  })

  test('reads a partition that was added meanwhile', async () => {
    broker.createTopic('wide', 2)
    const wide = (version: number) =>
      stream('wide')
        .from(topic('wide', json<Item>()))
        .to(plain, ({ n }) => ({ n, version }))
    send(0, 40, 'wide', 0)
    send(40, 60, 'wide', 1)
    await catchUp(wide(1), surroundings)
    const [row] = await database.query('delete from millrace.progress where partition = 1 returning *')
    const reader = await holding('plain')
    const running = shadow(wide(2), surroundings)
    await swapWaits()
    // As if it had been claimed just now.
    await database.query(
      'insert into millrace.progress select * from jsonb_populate_record(null::millrace.progress, $1)',
      [JSON.stringify(row)],
    )
    await reader.end()
    expect(await running).toMatchObject({ state: 'done', items: 60 })
    expect(await rows()).toEqual(numbers(0, 60, 2))
  })

  test('keeps what waits in the collector', async () => {
    send(0, 6)
    let isDown = true
    const waits = (attempts: number) =>
      stream('items')
        .from(items)
        .errorPolicy({ retry: retry.backoff({ attempts, firstMs: 3_600_000 }) })
        .tap(({ n }) => {
          if (n === 3 && isDown) throw new Error('down')
        })
        .to(plain, ({ n }) => ({ n, version: attempts }))
    await catchUp(waits(5), surroundings)
    await shadow(waits(6), surroundings)
    expect(
      await database.query('select app, state, record_offset::int as at, attempts from millrace.errors order by id'),
    ).toEqual([{ app: surroundings.group, state: 'deferred', at: 3, attempts: 2 }])
    isDown = false
    await database.query('update millrace.errors set retry_at = now()')
    await catchUp(waits(6), surroundings)
    await until('it came back', async () => (await rows()).length === 6)
    expect(await rows()).toEqual(numbers(0, 6, 6))
  })
})

describe('steps with state', () => {
  const counted = (by: number): Stream<unknown> =>
    stream('items')
      .from(items)
      .keyBy(({ n }) => String(n % 2), { sameKey: true })
      .stateful({ name: 'counter', initial: () => 0 }, ({ n }, state) => ({
        n,
        seen: state.update((seen) => seen + by),
      }))
      .to(counts)
  const counting = (count: number, by: number) =>
    Array.from({ length: count }, (_, n) => ({ n, seen: (Math.floor(n / 2) + 1) * by }))
  const seen = () => database.query('select n, seen from counts order by n')
  const kept = () =>
    database.query('select app, stream, step, key, value::text from millrace.state_values order by key')

  test('give what a fresh run gives, and go on with it', async () => {
    send(0, 20)
    await catchUp(counted(1), surroundings)
    expect(await seen()).toEqual(counting(20, 1))
    const report = await shadow(counted(10), { ...surroundings, maxItems: 6 })
    expect(report).toMatchObject({ state: 'done', items: 20 })
    expect(await seen()).toEqual(counting(20, 10))
    expect(await kept()).toEqual(
      ['0', '1'].map((key) => ({
        app: surroundings.group,
        stream: 'items',
        step: 'counter',
        key,
        value: '100',
      })),
    )
    send(20, 30)
    await catchUp(counted(10), surroundings)
    expect(await seen()).toEqual(counting(30, 10))
  })

  test('go on in a service that runs meanwhile', async () => {
    send(0, 20)
    const app = await serve(counted(1), surroundings)
    try {
      await app.caughtUp()
      await shadow(counted(1), { ...surroundings, maxItems: 6 })
      send(20, 30)
      await until('the service goes on', async () => (await seen()).length === 30)
    } finally {
      await app.stop()
    }
    expect(await seen()).toEqual(counting(30, 1))
  })

  test('are not run again by ranges', async () => {
    send(0, 20)
    await catchUp(counted(1), surroundings)
    await expect(reparse(counted(1), surroundings, { fromOffset: 3 })).rejects.toThrow(/step that keeps state/)
  })
})

test('tables that no step names are made anew too', async () => {
  const unnamed = (version: number) =>
    stream('items')
      .from(items)
      .tap(({ n }, ctx) => ctx.write(plain, { n, version }))
  send(0, 5)
  await catchUp(unnamed(1), surroundings)
  const report = await shadow(unnamed(2), surroundings)
  expect(report.swapped).toEqual([{ name: 'public.plain', before: 'public.plain_before' }])
  expect(await rows()).toEqual(numbers(0, 5, 2))
})

test('a swap waits for whoever uses the tables', async () => {
  send(0, 5)
  await catchUp(planOf(1), surroundings)
  const reader = await holding('plain')
  const running = shadow(planOf(2), surroundings)
  await swapWaits()
  await reader.end()
  expect(await running).toMatchObject({ state: 'done' })
  expect(await rows()).toEqual(numbers(0, 5, 2))
})
