/** The clock on the wall of the machine is nobody's business: everything is written in UTC. */
import { afterAll, beforeAll, expect, it } from 'vitest'
import { table } from '../../../sinks/table.ts'
import { createPostgresStore } from '../../../src/postgres/postgresStore.ts'
import { freshDatabase } from '../../support/services.ts'
import { Member } from './member.ts'

// Apia is 13 hours ahead, and had no 30 December 2011.
const zone = process.env.TZ
beforeAll(() => {
  process.env.TZ = 'Pacific/Apia'
})
afterAll(() => {
  if (zone === undefined) delete process.env.TZ
  else process.env.TZ = zone
})

it('times and days are those that were given, in a process far ahead of UTC', async () => {
  expect(new Date('2026-01-01T00:00:00Z').getTimezoneOffset()).toBe(-13 * 60)
  const database = await freshDatabase(
    'create table days (id integer, at timestamptz, local timestamp, day date, keyed date)',
  )
  await database.query(`alter database ${database.name} set timezone to 'Pacific/Apia'`)
  const sinks = [table('days')]
  const store = createPostgresStore({ url: database.url })
  await store.open(sinks)
  const member = await Member.claim(store, sinks)
  const times = ['2011-12-29T23:59:59.999Z', '2011-12-30T00:00:00Z', '2011-12-30T10:30:00Z', '2026-07-01T12:00:00Z']
  times.forEach((time, id) => {
    const at = new Date(time)
    member.append('days', { id, at, local: at, day: at, keyed: time.slice(0, 10) }, id)
  })
  member.append('days', { id: times.length, at: '2011-12-30 10:30' }, times.length)
  await member.commit(1)
  await store.close()
  const seen = await database.query<{ at: string; local: string; day: string; keyed: string }>(
    "select to_char(at at time zone 'UTC', 'YYYY-MM-DD HH24:MI:SS.MS') as at, local::text, day::text, keyed::text from days order by id",
  )
  expect(seen.map(({ at }) => at)).toEqual([
    '2011-12-29 23:59:59.999',
    '2011-12-30 00:00:00.000',
    '2011-12-30 10:30:00.000',
    '2026-07-01 12:00:00.000',
    '2011-12-30 10:30:00.000',
  ])
  expect(seen.slice(0, 4).map(({ local }) => local)).toEqual([
    '2011-12-29 23:59:59.999',
    '2011-12-30 00:00:00',
    '2011-12-30 10:30:00',
    '2026-07-01 12:00:00',
  ])
  for (const { day, keyed } of seen.slice(0, 4)) expect(day).toBe(keyed)
})
