/** What is wrong between a plan and its tables is said before the first record, by the name of the thing. */
import { afterAll, describe, expect, it } from 'vitest'
import { table } from '../../../sinks/table.ts'
import { MillraceError, StoreError } from '../../../src/core/errors.ts'
import type { Sink } from '../../../src/core/sink.ts'
import { createPostgresStore } from '../../../src/postgres/postgresStore.ts'
import { freshDatabase } from '../../support/services.ts'
import { Member } from './member.ts'

const database = await freshDatabase(`
  create schema reporting;
  create table reporting.elsewhere (id integer);
  create table flights (origin text, destination text, delay integer, date timestamptz);
  create table required (id integer not null, name text not null, made timestamptz not null default now());
  create table totals (origin text, n integer, name text, unique (origin, n));
  create unique index on totals (name) where n > 0;
  create table made (id integer generated always as identity, twice integer generated always as (1) stored, name text);
  create view seen as select * from flights;
  create table "Odd Name" ("Some Column" integer, "quo""te" text);
  create table forbidden (id integer primary key);
`)
const store = createPostgresStore({ url: database.url })
afterAll(() => store.close())

async function refusalOf(sink: Sink<never>, by = store): Promise<string> {
  try {
    await by.open([sink])
  } catch (error) {
    if (error instanceof StoreError) return error.message
    throw error
  }
  return 'accepted'
}

describe('at start', () => {
  it('a missing table is named, with where it was looked for and where there is one', async () => {
    expect(await refusalOf(table('elsewhere'))).toBe(
      'millrace: table "elsewhere" does not exist\n' +
        '  Looked for in the schemas public; there is reporting.elsewhere.\n' +
        "  Create it, name its schema, or let millrace create it: table('elsewhere', { create: 'create table elsewhere (…)' }).  MR-SINK-TABLE",
    )
    expect(await refusalOf(table('reporting.elsewhere'))).toBe('accepted')
  })

  it('a stated column that is missing is named, with what is written and what there is', async () => {
    expect(await refusalOf(table('flights', { columns: ['origin', 'destination', 'delay', 'delayed'] }))).toBe(
      'millrace: table "flights" has no column "delayed"\n' +
        '  The plan writes origin, destination, delay, delayed; the table has origin, destination, delay, date.\n' +
        "  Add the column, or choose what is written: .to(table('flights'), f => ({ … })).  MR-SINK-COLUMN",
    )
    expect(await refusalOf(table('flights', { key: 'nothing' }))).toContain('MR-SINK-COLUMN')
  })

  it.each([
    ['a name that is none', table('a b c'), 'table "a b c" does not exist'],
    ['a view', table('seen'), 'MR-SINK-TABLE'],
    ['a key without a unique index', table('totals', { key: 'origin' }), 'Unique are (origin, n) and (name).'],
    ['a key with a partial index only', table('totals', { key: 'name' }), 'MR-SINK-KEY'],
    ['a generated column', table('made', { columns: ['twice'] }), 'MR-SINK-GENERATED'],
    ['an identity that is always generated', table('made', { columns: ['id'] }), 'MR-SINK-GENERATED'],
    ['a column that is needed and not written', table('required', { columns: ['id'] }), 'needs "name"'],
    [
      'a rule that the type does not know',
      table('totals', { key: ['origin', 'n'], onConflict: { name: 'add' } }),
      'MR-SINK-RULE',
    ],
    [
      'a create statement that is refused',
      table('gone', { create: 'create table gone (id nonsense)' }),
      'MR-SINK-CREATE',
    ],
    [
      'a create statement for another table',
      table('gone', { create: 'create table other (id integer)' }),
      'made none of that name',
    ],
  ])('%s is refused', async (_, sink, text) => {
    expect(await refusalOf(sink)).toContain(text)
  })

  it('a table that the user may not write is refused with the grant that is missing', async () => {
    const role = `reader_${database.name}`
    await database.query(`create role ${role} login password 'secret'; grant usage on schema millrace to ${role};
      grant select on all tables in schema millrace to ${role}`)
    const url = new URL(database.url)
    url.username = role
    url.password = 'secret'
    const reader = createPostgresStore({ url: url.href })
    expect(await refusalOf(table('forbidden'), reader)).toContain('grant insert on public.forbidden')
    expect(await refusalOf(table('forbidden', { key: 'id' }), reader)).toContain('grant select, insert, update')
    await reader.close()
    await database.query(`drop owned by ${role}; drop role ${role}`)
  })

  it('a missing table is made by its statement, once, also when several start together', async () => {
    const sink = table('fresh', { create: 'create table fresh (id integer primary key)' })
    const stores = [0, 1, 2].map(() => createPostgresStore({ url: database.url }))
    await Promise.all(stores.map((each) => each.open([sink])))
    await Promise.all(stores.map((each) => each.close()))
    expect(await store.open([sink]).then(() => store.holdRows([sink]))).toEqual([])
  })
})

describe('at the first row', () => {
  it('a column that the table lacks stops before anything commits', async () => {
    const sinks = [table('flights')]
    await store.open(sinks)
    const member = await Member.claim(store, sinks)
    expect(() => member.append('flights', { origin: 'LAS', delayed: 1 }, 0)).toThrow(StoreError)
    expect(await store.holdRows(sinks)).toEqual([])
  })

  it('quoted names work as in SQL', async () => {
    const sinks = [table('"Odd Name"')]
    await store.open(sinks)
    const member = await Member.claim(store, sinks)
    member.append('"Odd Name"', { 'Some Column': 1, 'quo"te': 'x' }, 0)
    await member.commit(1)
    expect(await database.query('select * from "Odd Name"')).toEqual([{ 'Some Column': 1, 'quo"te': 'x' }])
  })
})

describe('while it runs', () => {
  it.each([
    ['plain rows', table('moving', { create: 'create table moving (id integer, name text)' })],
    [
      'upserts',
      table('moving_too', { key: 'id', create: 'create table moving_too (id integer primary key, name text)' }),
    ],
  ])('a column that goes away under %s is named, and nothing commits', async (_, sink) => {
    await store.open([sink])
    const member = await Member.claim(store, [sink])
    member.append(sink.name, { id: 1, name: 'a' }, 0)
    await database.query(`alter table ${sink.name} rename column name to title`)
    const error = await member.commit(1).catch((thrown: unknown) => thrown)
    expect(error).toBeInstanceOf(StoreError)
    expect(error instanceof MillraceError && error.message).toContain(`table "${sink.name}" has no column "name"`)
    expect(await store.holdRows([sink])).toEqual([])
    // The catalog was read again: buffers made from now on know the new name.
    const next = await Member.claim(store, [sink])
    next.append(sink.name, { id: 1, title: 'a' }, 0)
    await next.commit(1)
  })
})
