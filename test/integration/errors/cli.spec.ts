/** `millrace errors` and `millrace resume` in processes of their own, beside services on the real Kafka and Postgres. */
import { randomInt } from 'node:crypto'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { freshDatabase, freshName, freshTopic, produce } from '../../support/services.ts'
import { until } from '../../support/until.ts'
import { Cli, type CliEnd, cli } from '../service/_cli.ts'

const plan = 'test/integration/errors/paymentsPlan.ts'
const payers = ['ada', 'bob', 'eve', 'joe'] as const

interface Payment {
  readonly id: number
  readonly payer: string
  readonly amount: number
}

const payment = (id: number): Payment => ({ id, payer: payers[id % payers.length] as string, amount: id % 97 })
const all = (count: number) => Array.from({ length: count }, (_, id) => payment(id))

let database: Awaited<ReturnType<typeof freshDatabase>>
let topic: string
let group: string
let running: Cli[] = []

async function freshWorld(): Promise<void> {
  topic = await freshTopic(2)
  group = freshName('group')
  database = await freshDatabase(`
    create table payments (id integer, payer text, amount integer);
    create table sums (payer text primary key, amount integer, payments integer);
    create table latest (payer text primary key, id integer);`)
}

beforeEach(freshWorld)
afterEach(async () => {
  for (const one of running) one.process.kill('SIGKILL')
  await Promise.all(running.map((one) => one.ended))
  running = []
})

const send = (payments: readonly Payment[]) =>
  produce(
    topic,
    payments.map((one) => ({ partition: one.id % 2, key: one.payer, value: JSON.stringify(one) })),
  )

type Env = Readonly<Record<string, string>>
const optionsOf = (env: Env) => ({
  group,
  database: database.url,
  env: { PAYMENTS_TOPIC: topic, MILLRACE_COMMIT_MAX_ITEMS: '20', MILLRACE_KAFKA_SESSION_TIMEOUT_MS: '6000', ...env },
})
const millrace = (...args: string[]) => cli(args, optionsOf({}))
const catchUp = (env: Env = {}): Promise<CliEnd> => cli(['run', plan, '--until-caught-up'], optionsOf(env))
function service(env: Env = {}): Cli {
  const started = new Cli(['run', plan], optionsOf(env))
  running.push(started)
  return started
}

const rows = () => database.query('select id, payer, amount from payments order by id')
const sums = () => database.query('select payer, amount, payments from sums order by payer')
const states = async () =>
  Object.fromEntries(
    (
      await database.query<{ state: string; n: number }>(
        'select state, count(*)::int as n from millrace.errors group by state',
      )
    ).map(({ state, n }) => [state, n]),
  )
const sumsOf = (payments: readonly Payment[]) =>
  payers.map((payer) => {
    const own = payments.filter((one) => one.payer === payer)
    return { payer, amount: own.reduce((sum, { amount }) => sum + amount, 0), payments: own.length }
  })

test('shows what failed, and runs it again beside the service', async () => {
  await send(all(30))
  expect(await catchUp({ BROKEN: '0' })).toMatchObject({ code: 0 })
  expect(await rows()).toEqual(all(30).filter(({ id }) => id % 3 !== 0))

  const listed = await millrace('errors', 'list')
  expect(listed).toMatchObject({ code: 0, err: '' })
  expect(listed.out).toMatch(/10 +open +payments +first .* [0-9a-f]{16} +\d+ +RangeError: no rate for payment \d+\n/)
  const [one] = JSON.parse((await millrace('errors', 'list', '--items', '--limit', '1', '--json')).out)
  expect(one).toMatchObject({
    state: 'open',
    stream: 'payments',
    step: 'first',
    attempts: 1,
    error: { name: 'RangeError' },
  })
  const shown = await millrace('errors', 'show', one.id)
  expect(shown.out).toContain(`item ${one.id}: open`)
  expect(shown.out).toContain('test/integration/errors/paymentsPlan.ts')
  expect(shown.out).toMatch(/value \(JSON, \d+ bytes\)\n {2}\{/)
  expect(JSON.parse((await millrace('errors', 'stats', '--json')).out)).toMatchObject({
    streams: [{ stream: 'payments', states: { open: 10 }, groups: 1 }],
    halted: [],
  })

  const planned = await millrace('errors', 'replay', '--fingerprint', one.fingerprint.slice(0, 4))
  expect(planned.out).toContain('10 items in 1 group to be replayed.')
  expect(planned.out).toMatch(/Steps where order matters:\n.* payments {2}to:latest: .*the last row of a key wins/s)
  expect(planned.out).toContain('Nothing has been changed. Add --execute to do it.')
  expect(await states()).toEqual({ open: 10 })

  // The plan is not mended: they fail again, with their history, and are not doubled.
  const broken = service({ BROKEN: '0' })
  expect((await millrace('errors', 'replay', '--execute')).out).toContain('10 items are asked for')
  await until('they have failed again', async () => {
    const [row] = await database.query<{ n: number }>(
      `select count(*)::int as n from millrace.errors where state = 'open' and attempts = 2 and jsonb_array_length(history) = 1`,
    )
    return row?.n === 10
  })
  broken.process.kill('SIGTERM')
  expect((await broken.ended).code).toBe(0)

  service()
  await millrace('errors', 'replay', '--execute')
  await until('they are done', async () => (await states()).done === 10)
  expect(await states()).toEqual({ done: 10 })
  expect(await rows()).toEqual(all(30))
  expect(await sums()).toEqual(sumsOf(all(30)))
  expect(
    await database.query('select action, sum(items)::int as items from millrace.audit group by action order by action'),
  ).toEqual([{ action: 'errors replay', items: 20 }])
})

test('settles and deletes items without running them', async () => {
  await send(all(24))
  await catchUp({ BROKEN: '1' })
  expect((await millrace('errors', 'ignore', '--key', 'bob', '--execute')).out).toContain(
    '2 items are settled as ignored',
  )
  expect((await millrace('errors', 'delete', '--key', 'ada')).out).toContain('2 items in 1 group to be deleted.')
  expect((await millrace('errors', 'delete', '--key', 'ada', '--execute')).out).toContain('2 items are deleted')
  expect(await states()).toEqual({ open: 4, ignored: 2 })
  expect((await millrace('errors', 'prune', '--older-than', '1h')).out).toContain('There is nothing to be deleted.')
  await database.query(
    `update millrace.errors set settled_at = settled_at - interval '2 hours' where state = 'ignored'`,
  )
  expect((await millrace('errors', 'prune', '--older-than', '1h', '--execute')).out).toContain('2 items are deleted')
  expect(await states()).toEqual({ open: 4 })
})

describe('a stream that is halted', () => {
  const resumed = ['resume', '--stream', 'payments'] as const

  test('says so with an exit code of its own, stays so over restarts, and goes on when it is told', async () => {
    await send(all(40))
    const env = { BROKEN: '0', BUDGET: '1' }
    const first = await catchUp(env)
    expect(first.code).toBe(6)
    expect(first.err).toMatch(/stream "payments" is halted: 1 item was collected.*millrace resume.*MR-HALTED/s)
    expect((await catchUp(env)).code).toBe(6)
    const { halted } = JSON.parse((await millrace('errors', 'stats', '--json')).out)
    expect(halted[0]).toMatchObject({ stream: 'payments' })
    expect((await millrace(...resumed)).out).toContain('Nothing has been changed. Add --execute')
    expect((await catchUp(env)).code).toBe(6)
    expect((await millrace(...resumed, '--execute')).out).toMatch(/partitions? runs? again/)
    const collected = (await states()).open ?? 0
    expect((await catchUp(env)).code).toBe(6)
    expect((await states()).open).toBeGreaterThan(collected)
  })

  test('runs with another plan', async () => {
    await send(all(40))
    expect((await catchUp({ BROKEN: '0', BUDGET: '1' })).code).toBe(6)
    expect((await catchUp({ BROKEN: '5', BUDGET: '1', VERSION: 'second' })).code).toBe(0)
    expect((await rows()).length + ((await states()).open ?? 0)).toBe(40)
  })
})

test('breaks a partition off in which too many wait, over restarts, until they are replayed beside the service', async () => {
  await send(all(60))
  const env = { PARK: '1', MAX_PARKED: '5' }
  const first = await catchUp({ BROKEN: '0', ...env })
  expect(first.code).toBe(4)
  expect(first.err).toMatch(
    new RegExp(
      `2 partitions are broken off.*\\[1]@\\d+: 5 items wait .*millrace errors list --group ${group} --stream payments,`,
      's',
    ),
  )
  const before = await states()
  expect(before.parked).toBe(10)
  expect((await millrace('errors', 'list')).out).toMatch(
    /10 +parked +payments .* Parked: waits behind an earlier item of its key\n/,
  )
  expect((await catchUp(env)).code).toBe(4)
  expect(await states()).toEqual(before)

  service(env)
  await millrace('errors', 'replay', '--execute')
  await until('all have gone through', async () => (await rows()).length === 60)
  expect(await states()).toEqual({ done: Object.values(before).reduce((sum, count) => sum + count, 0) })
  expect(await sums()).toEqual(sumsOf(all(60)))
})

describe.each([
  ['', {}],
  [', and what waits behind them', { PARK: '1' }],
])('items that are run again%s', (_, env) => {
  // Each costs the session timeout: that is how long the group waits for the dead.
  const kills = Number(process.env.REPLAY_KILLS ?? 2)
  const records = kills * 900

  /** Collects a third of the items, or with parking more, and runs them again in a service that is killed so many times. */
  async function replayAll(kills: number, extra: number) {
    await send(all(records))
    expect(await catchUp({ BROKEN: '0', ...env })).toMatchObject({ code: 0 })
    const kept = Object.values(await states()).reduce((sum, count) => sum + count, 0)
    await millrace('errors', 'replay', '--execute')
    const done = async () => (await states()).done ?? 0
    const doneAtKills: number[] = []
    let last = service(env)
    for (let killed = 0; killed < kills; killed++) {
      const enough = (await done()) + randomInt(1, Math.ceil(kept / (kills * 2)))
      await until(`replay ${killed} has come further`, async () => (await done()) >= enough)
      last.process.kill('SIGKILL')
      await last.ended
      doneAtKills.push(await done())
      await send([payment(records + killed)])
      last = service(env)
    }
    for (let one = kills; one < extra; one++) await send([payment(records + one)])
    await until('all are done', async () => (await rows()).length >= records + extra && (await done()) === kept)
    last.process.kill('SIGTERM')
    expect((await last.ended).code).toBe(0)
    const collector = await database.query(
      `select partition, record_offset::int as at, state, attempts,
         replace(step, $1, 'topic') as step, error_message, jsonb_array_length(history) as earlier
       from millrace.errors order by partition, record_offset`,
      [topic],
    )
    return { kept, doneAtKills, end: { rows: await rows(), sums: await sums(), collector } }
  }

  test(`end as if nobody had killed the service ${kills} times`, { timeout: 300_000 }, async () => {
    const { kept, doneAtKills, end } = await replayAll(kills, kills)
    // Each of them hit a service that had run some of the items, and not all.
    expect(doneAtKills.every((done, index) => done > (doneAtKills[index - 1] ?? 0) && done < kept)).toBe(true)
    expect(end.rows).toEqual(all(records + kills))
    expect(end.sums).toEqual(sumsOf(all(records + kills)))
    await freshWorld()
    expect(end).toEqual((await replayAll(0, kills)).end)
  })
})
