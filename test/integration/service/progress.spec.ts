/** `millrace progress` on the real database: planned before done, audited, and what it says is what the next run does. */
import { beforeAll, expect, test } from 'vitest'
import { freshDatabase, freshName, freshTopic, produce } from '../../support/services.ts'
import { cli } from './_cli.ts'

const plan = 'test/integration/service/ordersPlan.ts'
const count = 10
let topic: string
let database: Awaited<ReturnType<typeof freshDatabase>>
const group = freshName('group')

const millrace = (...args: string[]) => cli(args, { group, database: database.url, env: { ORDERS_TOPIC: topic } })
const rows = () => database.query('select part, count(*)::int as rows from orders group by part order by part')

beforeAll(async () => {
  topic = await freshTopic(2)
  await produce(
    topic,
    Array.from({ length: 2 * count }, (_, id) => ({ partition: id % 2, value: JSON.stringify({ id, customer: 'c' }) })),
  )
  database = await freshDatabase(`
    create table customers (name text primary key);
    create table orders (id int not null, customer text not null, part int not null);`)
})

test('before anything has run there is none', async () => {
  const { code, err } = await millrace('progress', 'show')
  expect(err).toContain('there is no progress in')
  expect(code).toBe(5)
})

test('show, set and reset', async () => {
  expect(await millrace('run', plan, '--until-caught-up')).toMatchObject({ code: 0, err: '' })
  const shown = await millrace('progress', 'show')
  expect(shown.code).toBe(0)
  const [head, ...lines] = shown.out.trimEnd().split('\n')
  expect(head?.split(/ {2,}/)).toEqual(['stream', 'source', 'partition', 'next offset', 'version', 'committed at'])
  expect(lines.map((line) => line.split(/ {2,}/).slice(0, 4))).toEqual([
    ['orders', `from:${topic}`, '0', String(count)],
    ['orders', `from:${topic}`, '1', String(count)],
  ])

  const planned = await millrace('progress', 'set', '--partition', '1', '--to', '7')
  expect(planned.out).toMatch(/orders +from:\S+ +1 +10 +7\n\nNothing has been changed/)
  expect(await database.query('select next_offset::int as at from millrace.progress order by partition')).toEqual([
    { at: 10 },
    { at: 10 },
  ])
  const done = await millrace('progress', 'set', '--partition', '1', '--to', '7', '--execute')
  expect(done.out).toContain('Done, and noted in millrace.audit.')
  expect(await millrace('run', plan, '--until-caught-up')).toMatchObject({ code: 0, err: '' })
  expect(await rows()).toEqual([
    { part: 0, rows: count },
    { part: 1, rows: count + 3 },
  ])

  const reset = await millrace('progress', 'reset', '--execute')
  expect(reset.out.match(/forgotten/g)).toHaveLength(2)
  expect(
    await database.query(
      'select action, partition, from_offset::int as from, to_offset::int as to from millrace.audit order by id',
    ),
  ).toEqual([
    { action: 'set', partition: 1, from: 10, to: 7 },
    { action: 'reset', partition: 0, from: 10, to: null },
    { action: 'reset', partition: 1, from: 10, to: null },
  ])
  // Without progress it is a first start again, onto tables that hold rows.
  const unclear = await millrace('run', plan, '--until-caught-up')
  expect(unclear.err).toContain('has no progress, but table')
  expect(unclear.code).toBe(2)
}, 120_000)

test('what matches nothing is an error', async () => {
  const { code, err } = await millrace('progress', 'reset', '--stream', 'order')
  expect(err).toContain(`there is no progress of app "${group}", stream "order"`)
  expect(code).toBe(5)
})
