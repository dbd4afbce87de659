/** Windows on the real Kafka and Postgres: whatever is killed, joins and leaves, they are those of a recount, each written once. */
import { randomInt } from 'node:crypto'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { freshDatabase, freshName, freshTopic, produce } from '../../support/services.ts'
import { until } from '../../support/until.ts'
import { Cli, cli } from '../service/_cli.ts'

const plan = 'test/integration/state/statePlan.ts'
const partitions = 4
const payers = Array.from({ length: 40 }, (_, index) => `payer-${index}`)

interface Payment {
  readonly id: number
  readonly payer: string
  readonly at: number
}

/** Out of order by up to 3 s: some of them late. */
const payment = (id: number): Payment => ({
  id,
  payer: payers[id % payers.length] as string,
  at: 1_000_000 + id * 20 - ((id * 7_919) % 3_000),
})
const partitionOf = ({ payer }: Payment) => payers.indexOf(payer) % partitions

let database: Awaited<ReturnType<typeof freshDatabase>>
let topic: string
let group: string
let running: Cli[] = []

beforeEach(async () => {
  topic = await freshTopic(partitions)
  group = freshName('group')
  database = await freshDatabase('create table sums (payer text, start timestamptz, n integer)')
})
afterEach(async () => {
  for (const one of running) one.process.kill('SIGKILL')
  await Promise.all(running.map((one) => one.ended))
  running = []
})

const optionsOf = (env: Readonly<Record<string, string>> = {}) => ({
  group,
  database: database.url,
  env: {
    PAYMENTS_TOPIC: topic,
    MILLRACE_COMMIT_MAX_ITEMS: '50',
    MILLRACE_KAFKA_SESSION_TIMEOUT_MS: '6000',
    ...env,
  },
})
const send = (payments: readonly Payment[]) =>
  produce(
    topic,
    payments.map((one) => ({ partition: partitionOf(one), key: one.payer, value: JSON.stringify(one) })),
  )
const rows = () => database.query('select payer, start, n from sums order by start, payer collate "C"')

/** What plain loops over the log make of it: windows that their partition's time has passed. */
function recount(payments: readonly Payment[]) {
  const closed: { payer: string; start: Date; n: number }[] = []
  for (let partition = 0; partition < partitions; partition++) {
    let newest = Number.NEGATIVE_INFINITY
    const windows = new Map<string, { payer: string; start: number; n: number }>()
    for (const one of payments.filter((one) => partitionOf(one) === partition)) {
      newest = Math.max(newest, one.at)
      const start = Math.floor(one.at / 10_000) * 10_000
      if (start + 12_000 <= newest) continue
      const known = windows.get(`${one.payer} ${start}`) ?? { payer: one.payer, start, n: 0 }
      windows.set(`${one.payer} ${start}`, { ...known, n: known.n + 1 })
    }
    for (const { payer, start, n } of windows.values()) {
      if (start + 12_000 <= newest) closed.push({ payer, start: new Date(start), n })
    }
  }
  return closed.sort((a, b) => a.start.getTime() - b.start.getTime() || (a.payer < b.payer ? -1 : 1))
}

test('windows are those of a recount, whatever is killed, joins and leaves', { timeout: 300_000 }, async () => {
  // Each costs the session timeout: that is how long the group waits for the dead.
  const kills = Number(process.env.WINDOW_KILLS ?? 3)
  const total = 1_500 * (kills + 2)
  const all = Array.from({ length: total }, (_, id) => payment(id))
  const join = () => {
    const member = new Cli(['run', plan], optionsOf())
    running.push(member)
    return member
  }
  const position = async () => {
    const found = await database
      .query<{ at: number | null }>('select sum(next_offset)::float8 as at from millrace.progress')
      .catch(() => [])
    return found[0]?.at ?? 0
  }
  let members = [join()]
  for (let killed = 0; killed < kills; killed++) {
    const end = Math.min(total, (killed + 1) * 1_500)
    const before = killed * 1_500
    await send(all.slice(before, end))
    const enough = before + randomInt(1, 1_400)
    await until(`${killed}: the members have come further`, async () => (await position()) >= enough)
    members[0]?.process.kill('SIGKILL')
    await members[0]?.ended
    // 1 to 4 to 1 members.
    members = [...members.slice(1), join(), ...(killed === 1 ? [join(), join()] : [])]
    if (killed > 1) {
      const leaving = members.pop()
      leaving?.process.kill('SIGTERM')
      await leaving?.ended
    }
  }
  await send(all.slice(kills * 1_500))
  await until('all is committed', async () => (await position()) === total)
  for (const member of members) member.process.kill('SIGTERM')
  for (const member of members) expect((await member.ended).code).toBe(0)
  expect(await rows()).toEqual(recount(all))
})

test('what is kept can be looked at and dropped, and a plan that keeps something else is refused', async () => {
  await send(Array.from({ length: 100 }, (_, id) => payment(id)))
  const run = (env: Readonly<Record<string, string>> = {}) => cli(['run', plan, '--until-caught-up'], optionsOf(env))
  const millrace = (...args: string[]) => cli(args, optionsOf())
  expect(await run()).toMatchObject({ code: 0 })
  expect((await millrace('state', 'list')).out).toMatch(/payments +hourly +40 +\d+ +tumbling 10s; n: count/)
  const kept = { stream: 'payments', partition: 3, key: 'payer-7' }
  const shown = await millrace('state', 'hourly', '--key', 'payer-7', '--json')
  expect(JSON.parse(shown.out)).toEqual([
    { ...kept, at: '1970-01-01T00:16:30.000Z', value: [2], due: '1970-01-01T00:16:42.000Z' },
    { ...kept, at: '1970-01-01T00:16:40.000Z', value: [1], due: '1970-01-01T00:16:52.000Z' },
  ])
  expect(await database.query("select value from millrace.state_values where key = 'payer-7' order by at")).toEqual([
    { value: [2] },
    { value: [1] },
  ])
  const refused = await run({ SHAPE: 'other' })
  expect(refused.code).toBe(2)
  expect(refused.err).toMatch(
    /step "hourly" keeps another kind of state than before.*millrace state drop hourly.*MR-STATE-CHANGED/s,
  )
  expect((await millrace('state', 'drop', 'hourly')).out).toContain('Nothing has been changed')
  expect((await millrace('state', 'drop', 'hourly', '--execute')).out).toMatch(/\d+ cells are deleted/)
  expect(await run({ SHAPE: 'other' })).toMatchObject({ code: 0 })
})
