import { afterAll, beforeEach, expect, it } from 'vitest'
import { table } from '../../../sinks/table.ts'
import { createPostgresStore } from '../../../src/postgres/postgresStore.ts'
import { freshDatabase } from '../../support/services.ts'
import { Member, task } from './member.ts'

const database = await freshDatabase(`
  create table totals (k text primary key, n bigint);
  create table checked (k text primary key, n bigint check (n > -1000000));
  create table amounts (amount numeric primary key, last integer, flights integer);
`)
const sinks = [
  table<{ k: string; n: number }>('totals', { key: 'k', onConflict: { n: 'add' } }),
  table<{ k: string; n: number }>('checked', { key: 'k', onConflict: { n: 'add' } }),
  table<{ amount: string; last: number; flights: number }>('amounts', {
    key: 'amount',
    onConflict: { flights: 'add' },
  }),
]
const store = createPostgresStore({ url: database.url })
await store.open(sinks)
afterAll(() => store.close())
beforeEach(() => database.query('truncate totals, checked, amounts'))

it.each(['totals', 'checked'])(
  'two writers of the same rows of %s in opposite order never wait for each other in a circle',
  async (name) => {
    const keys = Array.from({ length: 3_000 }, (_, index) => `key ${index}`)
    const rounds = 8
    const write = async (partition: number, order: readonly string[]) => {
      const member = await Member.claim(store, sinks, { ...task, partition })
      for (let round = 1; round <= rounds; round += 1) {
        order.forEach((k, owner) => {
          member.append(name, { k, n: 1 }, owner)
        })
        // Some keys come twice, which a table with a check takes in a second round.
        for (const k of order.slice(0, 100)) member.append(name, { k, n: 1 }, order.length)
        await member.commit(round)
      }
    }
    await Promise.all([write(0, keys), write(1, keys.toReversed())])
    const [seen] = await database.query<{ n: string }>(`select sum(n) as n from ${name}`)
    expect(Number(seen?.n)).toBe(2 * rounds * (keys.length + 100))
  },
)

it('keys that are one to Postgres are one also in a batch that takes several statements', async () => {
  const member = await Member.claim(store, sinks)
  member.append('amounts', { amount: '9.0', last: 1, flights: 1 }, 0)
  for (let amount = 10; amount < 10_010; amount += 1)
    member.append('amounts', { amount: String(amount), last: 2, flights: 1 }, 1)
  member.append('amounts', { amount: '9', last: 3, flights: 1 }, 2)
  member.append('amounts', { amount: '09', last: 4, flights: 1 }, 3)
  await member.commit(4)
  expect(await database.query('select last, flights from amounts where amount = 9')).toEqual([{ last: 4, flights: 3 }])
  expect(await database.query('select count(*)::int as n from amounts')).toEqual([{ n: 10_001 }])
})
