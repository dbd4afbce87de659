/** How a service ends when it is told to: quickly, with exit code 0, and with rows that equal progress. */
import { createServer, type Server } from 'node:net'
import { afterEach, beforeAll, describe, expect, test } from 'vitest'
import { freshDatabase, freshName, freshTopic, produce } from '../../support/services.ts'
import { until } from '../../support/until.ts'
import { Cli, type CliOptions, cli } from './_cli.ts'

const plan = 'test/integration/service/ordersPlan.ts'
const tables = `
  create table customers (name text primary key);
  create table orders (id int not null, customer text not null references customers, part int not null);
`
const partitions = 4
const backlog = 200_000
const limitMs = 10_000
let topic: string
const running: Cli[] = []

beforeAll(async () => {
  topic = await freshTopic(partitions)
  await produce(
    topic,
    Array.from({ length: backlog }, (_, id) => ({
      partition: id % partitions,
      key: String(id),
      value: JSON.stringify({ id, customer: `c${id % 50}` }),
    })),
  )
}, 120_000)

afterEach(() => {
  for (const { process } of running.splice(0)) process.kill('SIGKILL')
})

function service(options: CliOptions, ...flags: string[]): Cli {
  const made = new Cli(['run', plan, ...flags], { ...options, env: { ORDERS_TOPIC: topic, ...options.env } })
  running.push(made)
  return made
}

async function endOf(of: Cli): Promise<{ code: number | null; signal: NodeJS.Signals | null; ms: number }> {
  const from = performance.now()
  const { code, signal } = await of.ended
  return { code, signal, ms: performance.now() - from }
}

async function state(database: Awaited<ReturnType<typeof freshDatabase>>) {
  const [row] = await database.query<{ rows: number; ids: number; progress: number }>(`
    select count(*)::int as rows, count(distinct id)::int as ids,
      (select sum(next_offset)::int from millrace.progress) as progress from orders`)
  return row
}

test.each(['SIGTERM', 'SIGINT'] as const)(
  '%s in the middle of a backlog: what is open is committed, the group is left',
  async (signal) => {
    const database = await freshDatabase(tables)
    const group = freshName('group')
    const of = service(
      { group, database: database.url, env: { MILLRACE_COMMIT_MAX_ITEMS: '500' } },
      '--log-level',
      'debug',
    )
    await until('it has committed some', () => of.has('committed'))
    of.process.kill(signal)
    const { code, ms } = await endOf(of)
    expect({ code, err: of.err }).toEqual({ code: 0, err: '' })
    expect(ms).toBeLessThan(limitMs)
    const atEnd = await state(database)
    expect(atEnd?.rows).toBeGreaterThan(0)
    expect(atEnd?.rows, 'it was stopped in the middle').toBeLessThan(backlog)
    expect(atEnd?.progress).toBe(atEnd?.rows)
    expect(of.log().find(({ msg }) => msg === 'stopped')).toMatchObject({ level: 'info', items: atEnd?.rows })

    // The group was left: the next member need not wait for a session to time out.
    const next = await cli(['run', plan, '--until-caught-up'], {
      group,
      database: database.url,
      env: { ORDERS_TOPIC: topic },
    })
    expect(next).toMatchObject({ code: 0, err: '' })
    expect(await state(database)).toEqual({ rows: backlog, ids: backlog, progress: backlog })
  },
  120_000,
)

test('SIGTERM while calls are under way that do not end: they are given up, nothing of them is committed', async () => {
  const database = await freshDatabase(tables)
  const env = { ORDERS_SLOW_MS: '1000000' }
  const of = service({ group: freshName('group'), database: database.url, env })
  await until('it calls', () => of.has('calling'))
  of.process.kill('SIGTERM')
  const { code, ms } = await endOf(of)
  expect(code).toBe(0)
  expect(ms).toBeLessThan(limitMs)
  expect(await state(database)).toEqual({ rows: 0, ids: 0, progress: 0 })
}, 60_000)

test.each([
  ['SIGTERM', 143],
  ['SIGINT', 130],
] as const)(
  'a second signal ends the process at once: %s',
  async (signal, expected) => {
    const database = await freshDatabase(tables)
    const of = service({ group: freshName('group'), database: database.url, env: { ORDERS_SLOW_MS: '1000000' } })
    await until('it calls', () => of.has('calling'))
    of.process.kill('SIGTERM')
    await until('it is stopping', () => of.has('stopping'))
    of.process.kill(signal)
    expect(await endOf(of)).toMatchObject({ code: expected, signal: null })
    expect(of.has('stopped')).toBe(false)
  },
  60_000,
)

describe('while it is starting', () => {
  let silent: Server
  afterEach(() => {
    silent.close()
  })

  test('SIGTERM does not wait for a database that gives no answer', async () => {
    let connected = false
    silent = createServer(() => {
      connected = true
    }).listen(0, '127.0.0.1')
    await new Promise((resolve) => silent.once('listening', resolve))
    const { port } = silent.address() as { port: number }
    const env = { MILLRACE_POSTGRES_CONNECT_TIMEOUT_MS: '1000000' }
    const of = service({ group: freshName('group'), database: `postgres://somebody@127.0.0.1:${port}/d`, env })
    await until('it connects', () => connected)
    of.process.kill('SIGTERM')
    const { code, ms } = await endOf(of)
    expect(code).toBe(0)
    expect(ms).toBeLessThan(limitMs)
  }, 60_000)
})
