/** Tables that are made anew beside those that are there, and put in their place. */
import { beforeEach, describe, expect, test } from 'vitest'
import { json, type Stream, stream, table, topic } from '../../../src/index.ts'
import { createMemoryBroker, type MemoryBroker } from '../../../src/testing/memoryBroker.ts'
import { freshDatabase, freshName } from '../../support/services.ts'
import { until } from '../../support/until.ts'
import { catchUp, reparse, type Surroundings, serve, shadow } from './_reparse.ts'

interface Item {
  readonly n: number
}

const items = topic('items', json<Item>())
const parents = table<{ id: number; version: number }>('parents', { key: 'id', track: true })
const children = table<{ parent: number; version: number }>('children', { track: true })
const plain = table<{ n: number; version: number }>('plain')
const totals = table<{ k: string; n: number }>('totals', { key: 'k', onConflict: { n: 'add' }, track: true })

const setUp = `
  drop schema if exists millrace cascade;
  drop schema public cascade;
  create schema public;
  create table parents (id integer primary key, version integer check (version > 0));
  create table children (id integer generated always as identity, parent integer references parents, version integer);
  create table plain (id serial, n integer, version integer, seen timestamptz default now()) with (fillfactor = 80);
  create index plain_by_n on plain (n);
  comment on table plain is 'what was read';
  comment on column plain.n is 'a number';
  grant select on plain to public;
  create table totals (k text primary key, n integer);`
const database = await freshDatabase()

let broker: MemoryBroker
let surroundings: Surroundings

beforeEach(async () => {
  await database.query(setUp)
  broker = createMemoryBroker({ chunkRecords: 7 })
  broker.createTopic('items', 2)
  surroundings = { broker, url: database.url, group: freshName('group') }
})

let sent = 0

function send(count: number): void {
  for (let end = sent + count; sent < end; sent += 1) {
    broker.append('items', sent % 2, {
      key: null,
      value: Buffer.from(JSON.stringify({ n: sent })),
      headers: [],
      timestamp: sent,
    })
  }
}

beforeEach(() => {
  sent = 0
})

/** A plan of some version: the second knows items that the first took for others. */
const planOf = (version: number): Stream<Item> => {
  const read = stream('items')
    .from(items)
    .tap(({ n }) => {
      if (n % 10 === version) throw new Error(`version ${version} cannot read ${n}`)
    })
  return read
    .to(parents, ({ n }) => ({ id: n % 20, version }))
    .to(children, ({ n }) => ({ parent: n % 20, version }))
    .to(plain, ({ n }) => ({ n, version }))
    .to(totals, ({ n }) => ({ k: `${version} ${n % 3}`, n }))
}

async function rows() {
  return {
    parents: await database.query('select id, version from parents order by id'),
    children: await database.query('select parent, version from children order by 1, 2'),
    plain: await database.query('select n, version from plain order by n'),
    totals: await database.query('select k, n from totals order by k'),
    errors: await database.query(
      `select record_offset::int as at, partition, error_message, attempts, jsonb_array_length(history) as before
       from millrace.errors where app = $1 and state = 'open' order by partition, record_offset`,
      [surroundings.group],
    ),
  }
}

/** What a plan makes of everything, in a service that has never run another one. */
async function freshRun(version: number, count: number) {
  const all = Array.from({ length: count }, (_, n) => n)
  const made = all.filter((n) => n % 10 !== version)
  const sums = new Map<string, number>()
  for (const n of made) sums.set(`${version} ${n % 3}`, (sums.get(`${version} ${n % 3}`) ?? 0) + n)
  return {
    parents: [...new Set(made.map((n) => n % 20))].sort((a, b) => a - b).map((id) => ({ id, version })),
    children: made.map((n) => ({ parent: n % 20, version })).sort((a, b) => a.parent - b.parent),
    plain: made.map((n) => ({ n, version })),
    totals: Array.from(sums, ([k, n]) => ({ k, n })).sort((a, b) => (a.k < b.k ? -1 : 1)),
    errors: all
      .filter((n) => n % 10 === version)
      .map((n) => ({ at: Math.floor(n / 2), partition: n % 2, error_message: `version ${version} cannot read ${n}` }))
      .sort((a, b) => a.partition - b.partition || a.at - b.at)
      .map((error) => ({ ...error, attempts: 1, before: 0 })),
  }
}

describe('what is put in place', () => {
  test('is what a fresh run makes, and goes on with the new plan', async () => {
    send(60)
    await catchUp(planOf(1), surroundings)
    const report = await shadow(planOf(2), surroundings)
    expect(report).toMatchObject({ id: 1, state: 'done', items: 60 })
    expect(report.swapped).toEqual(
      ['children', 'parents', 'plain', 'totals'].map((name) => ({
        name: `public.${name}`,
        before: `public.${name}_before`,
      })),
    )
    expect(await rows()).toEqual(await freshRun(2, 60))
    expect(await database.query('select count(*)::int as n from plain_before')).toEqual([{ n: 54 }])

    send(30)
    await catchUp(planOf(2), surroundings)
    expect(await rows()).toEqual(await freshRun(2, 90))
    // What is tracked is found again, also of what the first plan had made.
    const tracked = (version: number) =>
      stream('items')
        .from(items)
        .to(totals, ({ n }) => ({ k: `${version}`, n }))
    await reparse(tracked(4), surroundings)
    expect(await database.query('select * from totals')).toEqual([{ k: '4', n: (89 * 90) / 2 }])
    expect(await database.query('select * from children')).toEqual([])
    expect(
      await database.query(
        `select relname::text from pg_class where relnamespace = 'public'::regnamespace and relname like '%shadow%'`,
      ),
    ).toEqual([])
    expect(await database.query(`select app from millrace.progress where app <> $1`, [surroundings.group])).toEqual([])
    expect(await database.query('select * from millrace.shadows')).toEqual([])
  })

  test('is the same table in everything that can be told of it', async () => {
    const told = () =>
      database.query(
        `select c.relname::text, c.reloptions, c.relacl::text, obj_description(c.oid) as comment,
           (select json_agg(json_build_array(a.attname, a.atttypid::regtype::text, a.attnotnull, a.attidentity, col_description(c.oid, a.attnum),
              pg_get_expr(d.adbin, d.adrelid)) order by a.attnum)
            from pg_attribute a left join pg_attrdef d on (d.adrelid, d.adnum) = (a.attrelid, a.attnum)
            where a.attrelid = c.oid and a.attnum > 0) as columns,
           (select json_agg(json_build_array(i.indexrelid::regclass::text, pg_get_indexdef(i.indexrelid)) order by 1) from (
              select * from pg_index i where i.indrelid = c.oid order by i.indexrelid::regclass::text) i) as indexes,
           (select json_agg(json_build_array(k.conname, pg_get_constraintdef(k.oid))) from (
              select * from pg_constraint k where k.conrelid = c.oid and k.contype <> 'n' order by conname) k) as constraints,
           (select array_agg(pg_get_serial_sequence(c.oid::regclass::text, a.attname) order by a.attnum) from pg_attribute a
            where a.attrelid = c.oid and a.attnum > 0) as sequences
         from pg_class c where c.oid in ('parents'::regclass, 'children'::regclass, 'plain'::regclass, 'totals'::regclass) order by 1`,
      )
    send(10)
    await catchUp(planOf(1), surroundings)
    const before = await told()
    await shadow(planOf(2), surroundings)
    expect(await told()).toEqual(before)
    await database.query('drop table parents_before, children_before, plain_before, totals_before')
    await database.query('insert into plain (n) values (1)')
    send(10)
    await catchUp(planOf(2), surroundings)
    // Once more, over names that have been used.
    await shadow(planOf(5), surroundings)
    expect(await told()).toEqual(before)
  })

  test('holds what the service does meanwhile, and the service goes on with it', async () => {
    send(200)
    const app = await serve(planOf(2), { ...surroundings, maxItems: 20 })
    try {
      await app.caughtUp()
      let more = 0
      const report = await shadow(planOf(2), { ...surroundings, maxItems: 25 }, undefined, {
        onProgress: () => {
          if (more++ < 10) send(20)
        },
      })
      expect(report.state).toBe('done')
      send(20)
      const count = sent
      // Sooner than a partition is claimed again that somebody else may have.
      await until('the service goes on', async () => (await rows()).plain.length === count * 0.9, 20_000)
      const { errors, ...made } = await rows()
      const { errors: expected, ...fresh } = await freshRun(2, count)
      expect(made).toEqual(fresh)
      // Those that had failed before have failed twice.
      const places = (all: readonly object[]) => all.map((error) => ({ ...error, attempts: 0, before: 0 }))
      expect(places(errors)).toEqual(places(expected))
      expect(errors[0]).toMatchObject({ attempts: 2, before: 1 })
    } finally {
      await app.stop()
    }
    const ids = await database.query<{ ids: number }>(
      `select count(distinct mr_task)::int as ids from children union all select count(*)::int from millrace.tracked_tasks where app = $1`,
      [surroundings.group],
    )
    expect(ids).toEqual([{ ids: 2 }, { ids: 2 }])
  })
})
