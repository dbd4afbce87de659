import pg from 'pg'
import { afterAll, beforeEach, describe, expect, it } from 'vitest'
import { table } from '../../../sinks/table.ts'
import { StoreError, UnavailableError } from '../../../src/core/errors.ts'
import { createPostgresStore } from '../../../src/postgres/postgresStore.ts'
import { freshDatabase } from '../../support/services.ts'
import { Member } from './member.ts'

const database = await freshDatabase(`
  create table a_first (id integer primary key, size integer check (size >= 0), name varchar(3));
  create table b_second (id integer primary key, size integer check (size >= 0));
  create table parents (id integer primary key);
  create table children (id integer, parent integer references parents);
  create table later (id integer primary key deferrable initially deferred);
  create table guarded (id integer);
  create function guard() returns trigger language plpgsql as $$
    begin
      if new.id = 13 then raise exception 'thirteen is refused'; end if;
      if new.id = 14 then raise exception 'fourteen stops' using errcode = 'ZX001'; end if;
      return new;
    end $$;
  create trigger guard before insert on guarded for each row execute function guard();
  create table egg (id integer primary key, hen integer);
  create table hen (id integer primary key, egg integer references egg deferrable initially deferred);
  alter table egg add foreign key (hen) references hen deferrable initially deferred;
  create table amounts (amount numeric primary key, n integer, last text);
  create table moments (at timestamptz primary key, n integer check (n < 10));
`)

const sinks = [
  table('a_first'),
  table('b_second'),
  table('parents'),
  table('children'),
  table('later'),
  table('guarded'),
  table('egg'),
  table('hen'),
  table<{ amount: string; n: number; last: string }>('amounts', { key: 'amount', onConflict: { n: 'add' } }),
  table<{ at: string; n: number }>('moments', { key: 'at', onConflict: { n: 'add' } }),
]
const store = createPostgresStore({ url: database.url, lockTimeoutMs: 200, statementTimeoutMs: 2_000 })
await store.open(sinks)
afterAll(() => store.close())

let member: Member
beforeEach(async () => {
  await database.query(`truncate ${sinks.map(({ name }) => name).join(', ')}`)
  member = await Member.claim(store, sinks)
})

const count = async (name: string) =>
  (await database.query<{ n: number }>(`select count(*)::int as n from ${name}`))[0]?.n

describe('the first in offset order whose prefix is refused is blamed', () => {
  it('also when another table is written first and refuses a later item', async () => {
    member.append('b_second', { id: 1, size: -1 }, 3)
    member.append('a_first', { id: 1, size: -1 }, 17)
    expect(await member.blamed(20)).toEqual({ owner: 3, table: 'b_second', sqlstate: '23514' })
  })

  it('also when a check is looked at before the unique index of the rows above', async () => {
    for (const [owner, id, size] of [
      [0, 1, 1],
      [1, 2, 1],
      [2, 1, 1],
      [3, 3, 1],
      [4, 4, -1],
      [5, 5, 1],
    ] as const) {
      member.append('a_first', { id, size }, owner)
    }
    expect(await member.blamed(6)).toEqual({ owner: 2, table: 'a_first', sqlstate: '23505' })
  })

  it('also when a foreign key far above is looked at after the rows', async () => {
    member.append('parents', { id: 1 }, 0)
    for (let owner = 1; owner < 500; owner += 1) {
      member.append('children', { id: owner, parent: owner === 77 || owner === 400 ? 2 : 1 }, owner)
    }
    expect(await member.blamed(500)).toEqual({ owner: 77, table: 'children', sqlstate: '23503' })
    expect(await count('parents')).toBe(0)
  })

  it('also for what is put off until COMMIT', async () => {
    for (const [owner, id] of [
      [0, 1],
      [1, 2],
      [2, 1],
      [3, 2],
    ] as const)
      member.append('later', { id }, owner)
    expect(await member.blamed(4)).toEqual({ owner: 2, table: 'later', sqlstate: '23505' })
    expect(
      await member.blamed(4, { position: (owner) => (owner === 2 ? undefined : owner), allInOrder: false }),
    ).toMatchObject({ owner: 3 })
  })

  it('also for rows that cannot be merged, and numbers that overflow', async () => {
    member.append('moments', { at: '2001-01-01T00:00:00Z', n: 6 }, 0)
    member.append('moments', { at: '2001-01-01T00:00:00Z', n: 6 }, 1)
    member.append('moments', { at: '2001-01-01T00:00:00Z', n: -6 }, 2)
    expect(await member.blamed(3)).toEqual({ owner: 1, table: 'moments', sqlstate: '23514' })
    await member.commit(3, { position: (owner) => (owner === 1 ? undefined : owner), allInOrder: false })
    for (const owner of [0, 1, 2]) member.append('amounts', { amount: '1', n: 2 ** 30, last: '' }, owner)
    expect(await member.blamed(6)).toEqual({ owner: 1, table: 'amounts', sqlstate: '22003' })
  })

  it('by the texts that only the database can judge', async () => {
    member.append('a_first', { id: 1, size: 1, name: 'abc' }, 0)
    member.append('a_first', { id: 2, size: 1, name: 'abcd' }, 1)
    expect(await member.blamed(2)).toEqual({ owner: 1, table: 'a_first', sqlstate: '22001' })
    member.buffers.forEach((buffer) => {
      buffer.truncate(0)
    })
    member.append('moments', { at: 'no such day', n: 1 }, 7)
    expect(await member.blamed(8)).toEqual({ owner: 7, table: 'moments', sqlstate: '22007' })
  })

  it("by a trigger's own word", async () => {
    for (const id of [1, 13, 2]) member.append('guarded', { id }, id)
    expect(await member.blamed(20)).toEqual({ owner: 13, table: 'guarded', sqlstate: 'P0001' })
  })
})

it('survives a line that is refused while many more are on their way', async () => {
  member.append('a_first', { id: -1, size: -1 }, 0)
  for (let owner = 1; owner < 300_000; owner += 1)
    member.append('a_first', { id: owner, size: owner, name: 'abc' }, owner)
  expect(await member.blamed(300_000)).toEqual({ owner: 0, table: 'a_first', sqlstate: '23514' })
  expect(await count('a_first')).toBe(0)
})

it('stops at an SQLSTATE that is in no table', async () => {
  member.append('guarded', { id: 14 }, 0)
  await expect(member.commit(1)).rejects.toBeInstanceOf(StoreError)
  expect(await count('guarded')).toBe(0)
})

it('takes rows that point at each other, where the database does', async () => {
  member.append('egg', { id: 1, hen: 1 }, 0)
  member.append('hen', { id: 1, egg: 1 }, 0)
  await member.commit(1)
  expect([await count('egg'), await count('hen')]).toEqual([1, 1])
  member.append('egg', { id: 2, hen: 1 }, 0)
  member.append('egg', { id: 3, hen: 9 }, 1)
  expect(await member.blamed(2)).toEqual({ owner: 1, table: 'egg', sqlstate: '23503' })
})

it('merges keys that are written differently and equal to Postgres', async () => {
  for (const [owner, amount] of [
    [0, '1.0'],
    [1, '2'],
    [2, '1'],
    [3, '1.00'],
  ] as const) {
    member.append('amounts', { amount, n: 10 ** owner, last: `${owner}` }, owner)
  }
  await member.commit(4)
  expect(await database.query('select amount::float, n, last from amounts order by 1')).toEqual([
    { amount: 1, n: 1101, last: '3' },
    { amount: 2, n: 10, last: '1' },
  ])
  member.append('moments', { at: '2001-01-01T12:00:00+02', n: 1 }, 0)
  member.append('moments', { at: '2001-01-01T10:00:00Z', n: 2 }, 1)
  await member.commit(6)
  expect(await database.query('select n from moments')).toEqual([{ n: 3 }])
})

it('is tried again when a row is locked by somebody else, and nobody is blamed', async () => {
  await database.query("insert into moments values ('2001-01-01Z', 1)")
  member.append('moments', { at: '2001-01-01T00:00:00Z', n: 1 }, 0)
  const holder = new pg.Client(database.url)
  await holder.connect()
  await holder.query('begin; select * from moments for update')
  await expect(member.commit(1)).rejects.toBeInstanceOf(UnavailableError)
  await holder.end()
  await member.commit(1)
  expect(await database.query('select n from moments')).toEqual([{ n: 2 }])
})
