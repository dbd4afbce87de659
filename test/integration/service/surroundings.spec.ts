/** What is wrong around a service is said in so many words, with an exit code that is not 0, and nothing hangs. */
import { createServer } from 'node:net'
import pg from 'pg'
import { beforeAll, describe, expect, test } from 'vitest'
import { exitCodes } from '../../../src/cli/exitCodes.ts'
import { databaseUrl, freshDatabase, freshName, freshTopic, produce } from '../../support/services.ts'
import { type CliOptions, cli } from './_cli.ts'
import { findPgbouncer, startPgbouncer } from './_pgbouncer.ts'

const plan = 'test/integration/service/ordersPlan.ts'
const tables = `
  create table customers (name text primary key);
  create table orders (id int not null, customer text not null references customers, part int not null);
`
const count = 200
let topic: string

beforeAll(async () => {
  topic = await freshTopic(2)
  await produce(topic, orders(0, count))
})

function orders(from: number, to: number) {
  return Array.from({ length: to - from }, (_, index) => {
    const id = from + index
    return { partition: id % 2, key: String(id), value: JSON.stringify({ id, customer: `c${id % 7}` }) }
  })
}

function run(options: CliOptions, ...flags: string[]) {
  const { env, ...rest } = options
  return cli(['run', plan, '--until-caught-up', ...flags], {
    group: freshName('group'),
    ...rest,
    env: { ORDERS_TOPIC: topic, ...env },
  })
}

/** A port of this machine on which nothing listens. */
async function closedPort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await new Promise((resolve) => server.once('listening', resolve))
  const { port } = server.address() as { port: number }
  await new Promise((resolve) => server.close(resolve))
  return port
}

function inUrl(url: string, change: (url: URL) => void): string {
  const changed = new URL(url)
  change(changed)
  return changed.href
}

describe('Kafka', () => {
  test('that cannot be reached', async () => {
    const database = await freshDatabase(tables)
    const at = `127.0.0.1:${await closedPort()}`
    const { code, err } = await run({
      brokers: at,
      database: database.url,
      env: { MILLRACE_KAFKA_CONNECT_TIMEOUT_MS: '2000' },
    })
    expect(err).toContain(`Kafka cannot be reached at ${at}`)
    expect(err).toContain('nothing listens there')
    expect(err).toContain('MR-KAFKA-UNREACHABLE')
    expect(code).toBe(exitCodes.unavailable)
  })

  test('without the topic: the one that is near is named', async () => {
    const database = await freshDatabase(tables)
    const { code, err } = await run({ database: database.url, env: { ORDERS_TOPIC: `${topic}s` } })
    expect(err).toContain(`the topic "${topic}s" does not exist`)
    expect(err).toContain(`There is a topic "${topic}".`)
    expect(code).toBe(exitCodes.refused)
  })
})

describe('Postgres', () => {
  test('that cannot be reached', async () => {
    const at = `127.0.0.1:${await closedPort()}`
    const { code, err } = await run({ database: `postgres://somebody:geheim@${at}/orders` })
    expect(err).toContain(`Postgres at ${at}/orders cannot be reached`)
    expect(err).toContain('MR-PG-UNREACHABLE')
    expect(err).not.toContain('geheim')
    expect(code).toBe(exitCodes.unavailable)
  })

  test('that does not accept the password', async (context) => {
    const wrong = inUrl(databaseUrl, (url) => {
      url.password = 'wrong'
    })
    context.skip(await accepts(wrong), 'this Postgres trusts every password')
    const { code, err } = await run({ database: wrong })
    expect(err).toMatch(/Postgres at .* does not accept the password of user ".*"/)
    expect(err).toContain('MR-PG-PASSWORD')
    expect(code).toBe(exitCodes.refused)
  })

  test('without the database', async () => {
    const { code, err } = await run({
      database: inUrl(databaseUrl, (url) => {
        url.pathname = '/nowhere'
      }),
    })
    expect(err).toContain('MR-PG-DATABASE')
    expect(code).toBe(exitCodes.refused)
  })

  test('that is read-only', async () => {
    const database = await freshDatabase(tables)
    await database.query(`alter database ${database.name} set default_transaction_read_only = on`)
    const { code, err } = await run({ database: database.url })
    expect(err).toContain('takes no writes')
    expect(err).toContain('default_transaction_read_only is on')
    expect(code).toBe(exitCodes.refused)
  })

  test('behind a pooler that changes the server between transactions', async (context) => {
    const missing = findPgbouncer()
    context.skip(missing !== undefined, missing)
    const database = await freshDatabase(tables)
    const pooler = await startPgbouncer(database.url, 'transaction')
    try {
      const { code, err } = await run({ database: pooler.url })
      expect(err).toContain('is a pooler that changes the server between transactions')
      expect(err).toContain('pool_mode = session')
      expect(code).toBe(exitCodes.refused)
    } finally {
      await pooler.stop()
    }
  })

  test('behind a pooler that keeps sessions', async (context) => {
    const missing = findPgbouncer()
    context.skip(missing !== undefined, missing)
    const database = await freshDatabase(tables)
    const pooler = await startPgbouncer(database.url, 'session')
    try {
      expect(await run({ database: pooler.url })).toMatchObject({ code: 0, err: '' })
      expect(await database.query('select count(*)::int as count from orders')).toEqual([{ count }])
    } finally {
      await pooler.stop()
    }
  })
})

describe('tables', () => {
  test('that point at each other are written in an order that fits', async () => {
    const database = await freshDatabase(tables)
    expect(await run({ database: database.url })).toMatchObject({ code: 0, err: '' })
    expect(
      await database.query('select count(*)::int as orders, count(distinct customer)::int as customers from orders'),
    ).toEqual([{ orders: count, customers: 7 }])
  })

  test('that are missing', async () => {
    const database = await freshDatabase(
      'create table customers (name text primary key); create schema other; create table other.orders (id int)',
    )
    const { code, err } = await run({ database: database.url })
    expect(err).toContain('table "orders" does not exist')
    expect(err).toContain('there is other.orders')
    expect(code).toBe(exitCodes.refused)
  })

  test('that lack a column: nothing is committed, and it goes on when the column is there', async () => {
    const database = await freshDatabase(tables)
    const group = freshName('group')
    const options = { group, database: database.url, env: { ORDERS_EXTRA: 'remark' } }
    const { code, err } = await run(options)
    expect(err).toContain('table "orders" has no column "remark"')
    expect(err).toContain('MR-SINK-COLUMN')
    expect(code).toBe(exitCodes.refused)
    expect(await database.query('select * from orders')).toEqual([])
    await database.query('alter table orders add column remark text')
    expect(await run(options)).toMatchObject({ code: 0, err: '' })
    expect(await database.query('select count(*)::int as count from orders')).toEqual([{ count }])
  })

  test('whose column has another type: the stream is halted before it has moved its topic into the collector', async () => {
    const database = await freshDatabase(tables.replace('id int', 'id uuid'))
    const { code, err } = await run({ database: database.url })
    expect(err).toContain('is halted: 100 items in a row were collected')
    expect(err).toMatch(/column "id" of table "orders" is uuid and cannot take|invalid input syntax for type uuid/)
    expect(code).toBe(exitCodes.halted)
    const errors = 'select count(*)::int as count from millrace.errors group by partition order by count desc'
    expect((await database.query(errors))[0]).toEqual({ count: 100 })
    expect(await database.query('select * from customers')).toEqual([])
  })

  test('that hold rows, though the group has no progress: it must be said where to begin', async () => {
    const database = await freshDatabase(tables)
    await database.query(`insert into customers values ('c0')`)
    const group = freshName('group')
    const { code, err } = await run({ group, database: database.url })
    expect(err).toContain(`group "${group}" has no progress, but table customers holds rows`)
    expect(err).toContain('--from earliest')
    expect(code).toBe(exitCodes.usage)
    expect(await run({ group, database: database.url }, '--from', 'latest')).toMatchObject({ code: 0 })
    expect(await database.query('select * from orders')).toEqual([])
  })
})

test('a break ends the run with a code of its own; the next run goes on at that record', async () => {
  const database = await freshDatabase(tables)
  const group = freshName('group')
  const broken = await run({ group, database: database.url, env: { ORDERS_BREAK_AT: '100' } })
  expect(broken.err).toContain(`${topic}[0]@50: no more today`)
  expect(broken.code).toBe(exitCodes.broken)
  expect(
    await database.query('select count(*)::int as count, max(id) filter (where part = 0) as last from orders'),
  ).toEqual([{ count: 150, last: 98 }])
  expect(await run({ group, database: database.url })).toMatchObject({ code: 0, err: '' })
  expect(await database.query('select count(*)::int as count, count(distinct id)::int as ids from orders')).toEqual([
    { count, ids: count },
  ])
})

async function accepts(url: string): Promise<boolean> {
  const client = new pg.Client(url)
  try {
    await client.connect()
    return true
  } catch {
    return false
  } finally {
    await client.end()
  }
}
