/** Windows and joins on the real Kafka and Postgres: whatever is killed, joins and leaves, they are those of a recount, each written once. */
import { randomInt } from 'node:crypto'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { freshDatabase, freshName, freshTopic, produce } from '../../support/services.ts'
import { until } from '../../support/until.ts'
import { Cli, cli } from '../service/_cli.ts'

const plan = 'test/integration/state/statePlan.ts'
const joinPlan = 'test/integration/state/joinPlan.ts'
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
/** One for every third payment or so, some of them for nobody within 5 s. */
const refund = (id: number): Payment => {
  const { payer, at } = payment(id * 3)
  return { id, payer, at: at + ((id * 4_001) % 9_000) }
}
const partitionOf = ({ payer }: Payment) => payers.indexOf(payer) % partitions

let database: Awaited<ReturnType<typeof freshDatabase>>
let topic: string
let refundsTopic: string
let group: string
let running: Cli[] = []

beforeEach(async () => {
  topic = await freshTopic(partitions)
  refundsTopic = await freshTopic(partitions)
  group = freshName('group')
  database = await freshDatabase(
    'create table sums (payer text, start timestamptz, n integer); create table pairs (payment integer, refund integer)',
  )
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
    REFUNDS_TOPIC: refundsTopic,
    MILLRACE_COMMIT_MAX_ITEMS: '50',
    MILLRACE_KAFKA_SESSION_TIMEOUT_MS: '6000',
    ...env,
  },
})
const send = (payments: readonly Payment[], to = topic) =>
  produce(
    to,
    payments.map((one) => ({ partition: partitionOf(one), key: one.payer, value: JSON.stringify(one) })),
  )
const rows = () => database.query('select payer, start, n from sums order by start, payer collate "C"')

const pairs = () => database.query('select payment, refund from pairs order by payment, refund')

/** Each payment with the refunds within 5 s, or with none when its partition's time has passed all that could come. */
function recountPairs(payments: readonly Payment[], refunds: readonly Payment[]) {
  const newest = Array.from({ length: partitions }, (_, partition) =>
    Math.max(...[...payments, ...refunds].filter((one) => partitionOf(one) === partition).map(({ at }) => at)),
  )
  const given: { payment: number; refund: number | null }[] = []
  for (const one of payments) {
    const met = refunds.filter(({ payer, at }) => payer === one.payer && Math.abs(at - one.at) <= 5_000)
    for (const { id } of met) given.push({ payment: one.id, refund: id })
    const isOver = one.at + 305_000 < (newest[partitionOf(one)] ?? 0)
    if (met.length === 0 && isOver) given.push({ payment: one.id, refund: null })
  }
  return given.sort((a, b) => a.payment - b.payment || (a.refund ?? -1) - (b.refund ?? -1))
}

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

test('windows and joins are those of a recount, whatever is killed, joins and leaves', {
  timeout: 300_000,
}, async () => {
  // Each costs the session timeout: that is how long the group waits for the dead.
  const kills = Number(process.env.WINDOW_KILLS ?? 3)
  const total = 1_500 * (kills + 2)
  const all = Array.from({ length: total }, (_, id) => payment(id))
  const refunds = Array.from({ length: total / 3 }, (_, id) => refund(id))
  const sendBoth = async (from: number, to?: number) => {
    await send(all.slice(from, to))
    await send(refunds.slice(from / 3, to === undefined ? undefined : to / 3), refundsTopic)
  }
  const join = () => {
    const member = new Cli(['run', joinPlan], optionsOf())
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
    await sendBoth(before, end)
    const enough = (before * 4) / 3 + randomInt(1, 1_400)
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
  await sendBoth(kills * 1_500)
  // Everybody's time goes far on, so that what has met nobody is given.
  const last = payers
    .slice(0, partitions)
    .map((payer, id) => ({ id: total + id, payer, at: payment(total).at + 600_000 }))
  await send(last)
  const sent = [...all, ...last]
  await until('all is committed', async () => (await position()) === sent.length + refunds.length)
  for (const member of members) member.process.kill('SIGTERM')
  for (const member of members) expect((await member.ended).code).toBe(0)
  expect(await rows()).toEqual(recount(sent))
  expect(await pairs()).toEqual(recountPairs(sent, refunds))
  expect((await pairs()).some(({ refund }) => refund === null)).toBe(true)
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
