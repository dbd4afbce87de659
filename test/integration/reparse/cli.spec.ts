/** `millrace reparse` in processes of its own, on the real Kafka and Postgres: planned before done, and whatever kills it. */
import { randomInt } from 'node:crypto'
import { beforeAll, describe, expect, test } from 'vitest'
import { freshDatabase, freshName, freshTopic, produce } from '../../support/services.ts'
import { until } from '../../support/until.ts'
import { Cli, cli } from '../service/_cli.ts'

const plan = 'test/integration/reparse/flightsPlan.ts'
/** Of each kind of reparse. Ten of them take two minutes. */
const kills = Number(process.env.REPARSE_KILLS ?? 3)
const records = 12_000
const partitions = 2
const origins = ['las', 'ord', 'sfo'] as const

interface Flight {
  readonly id: number
  readonly origin: string
  readonly delay: number
}

const flight = (id: number): Flight => ({ id, origin: origins[id % 3] as string, delay: (id * 37) % 150 })
const all = (count: number) => Array.from({ length: count }, (_, id) => flight(id))

let database: Awaited<ReturnType<typeof freshDatabase>>
let topic: string
let group: string

async function scene(count: number) {
  topic = await freshTopic(partitions)
  group = freshName('group')
  database = await freshDatabase(`
    create table flights (id integer, origin text, delay integer);
    create table delayed (id integer, minutes integer);
    create table totals (origin text primary key, flights integer, longest integer, last integer);`)
  await send(all(count))
}

const send = (flights: readonly Flight[]) =>
  produce(
    topic,
    flights.map((one) => ({ partition: one.id % partitions, value: JSON.stringify(one) })),
  )

const optionsOf = (version: 1 | 2) => ({
  group,
  database: database.url,
  env: { FLIGHTS_TOPIC: topic, VERSION: String(version), MILLRACE_COMMIT_MAX_ITEMS: '150' },
})
const millrace = (version: 1 | 2, ...args: string[]) => cli(args, optionsOf(version))

const isIgnored = ({ id }: Flight) => id % 100 === 7
const isNoResult = ({ id }: Flight) => id % 100 === 8

const isMade = (one: Flight) => !isIgnored(one) && !isNoResult(one)

/** What is there when these flights were run again by the second version, and those were not. */
function expected(again: readonly Flight[], before: readonly Flight[] = []) {
  const old = [...before, ...again.filter(isIgnored)]
  const now = again.filter(isMade)
  const totals = new Map<string, { flights: number; longest: number }>()
  const count = (origin: string, { delay }: Flight) => {
    const { flights, longest } = totals.get(origin) ?? { flights: 0, longest: 0 }
    totals.set(origin, { flights: flights + 1, longest: Math.max(longest, delay) })
  }
  for (const one of old) count(one.origin, one)
  for (const one of now) count(one.origin.toUpperCase(), one)
  const delayed = [...old.filter(({ delay }) => delay > 0), ...now.filter(({ delay }) => delay > 60)]
  return {
    flights: [...old, ...now].sort((a, b) => a.id - b.id),
    delayed: delayed.map(({ id, delay }) => ({ id, minutes: delay })).sort((a, b) => a.id - b.id),
    totals: Array.from(totals, ([origin, sums]) => ({ origin, ...sums })).sort((a, b) =>
      a.origin < b.origin ? -1 : 1,
    ),
  }
}

async function found() {
  return {
    flights: await database.query('select id, origin, delay from flights order by id'),
    delayed: await database.query('select id, minutes from delayed order by id'),
    totals: await database.query('select origin, flights, longest from totals order by origin collate "C"'),
  }
}

describe('on a few flights', () => {
  beforeAll(() => scene(300))

  test('says what it would do, does it, and knows what was done', async () => {
    expect(await millrace(1, 'run', plan, '--until-caught-up')).toMatchObject({ code: 0, err: '' })
    const first = await found()

    const planned = await millrace(2, 'reparse', plan, '--partition', '1', '--to-offset', '100')
    expect(planned).toMatchObject({ code: 0, err: '' })
    expect(planned.out).toMatch(/flights +1 +0 +100 +100/)
    expect(planned.out).toMatch(/public\.flights +100 +100\n/)
    expect(planned.out).toContain('Nothing has been changed')
    expect(planned.out).toContain('process: its batch and context scopes')
    expect(await found()).toEqual(first)

    const done = await millrace(2, 'reparse', plan, '--partition', '1', '--to-offset', '100', '--execute')
    expect(done).toMatchObject({ code: 0 })
    expect(done.out).toMatch(/reparse 1: 100 items, \d+ rows; /)
    expect(done.err).toContain('100%  100 of 100 records')
    const isAgain = ({ id }: Flight) => id % 2 === 1 && id < 200
    expect(await found()).toEqual(
      expected(
        all(300).filter(isAgain),
        all(300).filter((one) => !isAgain(one)),
      ),
    )

    const listed = await millrace(2, 'reparse', 'list', '--group', group)
    expect(listed.out).toMatch(/1 +done +flights +\{"partition":1,"toOffset":100\}/)
    expect(
      await database.query('select action, partition, from_offset::int, to_offset::int from millrace.audit'),
    ).toEqual([{ action: 'reparse', partition: 1, from_offset: 0, to_offset: 100 }])
    const json = await millrace(2, 'reparse', plan, '--key', 'nobody', '--json')
    expect(JSON.parse(json.out)).toMatchObject({ plan: { group, ranges: [{ records: 150 }, { records: 150 }] } })
  })

  test('says what is wrong with what it is asked', async () => {
    const refused = async (...args: string[]) => (await millrace(2, 'reparse', plan, ...args)).err
    expect(await refused('--stream', 'cars')).toContain('the plan has no stream "cars"')
    expect(await refused('--from-time', 'yesterday')).toContain('--from-time must be a time, but is "yesterday"')
    expect(await refused('--resume', '1')).toContain('It is done.')
    expect(await refused('--resume', '1', '--key', 'x')).toContain('takes no selection of its own')
    expect(await refused('--from-offset', '-1')).toContain('--from-offset must be a whole number')
  })
})

/** Waits until a command has committed some more, and kills it. */
async function killLater(what: string, args: readonly string[], position: () => Promise<number>): Promise<void> {
  const before = await position()
  const running = new Cli(args, optionsOf(2))
  const enough = before + randomInt(1, Math.floor(records / (kills + 4)))
  await until(`${what} has come further`, async () => (await position()) >= enough || running.process.exitCode !== null)
  expect(running.process.exitCode).toBeNull()
  running.process.kill('SIGKILL')
  await running.ended
}

describe(`killed ${kills} times`, () => {
  beforeAll(() => scene(records))

  test('ends as if nobody had killed it, while the service goes on', { timeout: 300_000 }, async () => {
    expect(await millrace(1, 'run', plan, '--until-caught-up')).toMatchObject({ code: 0, err: '' })
    const service = new Cli(['run', plan], optionsOf(1))
    const position = async () => {
      const [row] = await database.query<{ at: number | null }>(
        `select sum(next_offset)::float8 as at from millrace.progress where stream <> 'flights'`,
      )
      return row?.at ?? 0
    }
    for (let killed = 0; killed < kills; killed += 1) {
      await killLater(`reparse ${killed}`, ['reparse', plan, '--execute', '--json'], position)
      await send([flight(records + killed)])
    }
    const last = await millrace(2, 'reparse', plan, '--execute')
    expect(last.code).toBe(0)
    expect(last.out).toContain('Goes on with reparse 1, which was interrupted.')
    await until('the service has done what came meanwhile', async () => {
      const [row] = await database.query<{ done: number }>(
        `select count(*)::int as done from flights where id >= ${records}`,
      )
      return row?.done === kills
    })
    service.process.kill('SIGTERM')
    expect((await service.ended).code).toBe(0)
    const later = Array.from({ length: kills }, (_, index) => flight(records + index))
    expect(await found()).toEqual(expected(all(records), later))
    expect(await database.query('select state from millrace.reparses')).toEqual([{ state: 'done' }])
    expect(await database.query(`select * from millrace.progress where stream <> 'flights'`)).toEqual([])
  })
})

describe(`into new tables, killed ${kills} times`, () => {
  beforeAll(() => scene(records))

  test('ends as a fresh run does, while the service goes on', { timeout: 300_000 }, async () => {
    expect(await millrace(1, 'run', plan, '--until-caught-up')).toMatchObject({ code: 0, err: '' })
    const service = new Cli(['run', plan], optionsOf(2))
    await until('the service runs', () => service.has('reading'))
    const command = ['reparse', plan, '--shadow', '--execute']
    const position = async () => {
      const [row] = await database.query<{ at: number | null }>(
        'select sum(next_offset)::float8 as at from millrace.progress where app <> $1',
        [group],
      )
      return row?.at ?? 0
    }
    for (let killed = 0; killed < kills; killed += 1) {
      await killLater(`reparse ${killed}`, command, position)
      await send([flight(records + killed)])
    }
    const last = await millrace(2, ...command)
    expect(last).toMatchObject({ code: 0 })
    expect(last.out).toContain('Goes on with reparse 1, which was interrupted.')
    expect(last.out).toContain('drop table public.delayed_before, public.flights_before, public.totals_before;')
    await send([flight(records + kills)])
    await until('the service goes on with the new tables', async () => {
      const [row] = await database.query<{ done: number }>(
        `select count(*)::int as done from flights where id >= ${records}`,
      )
      return row?.done === all(records + kills + 1).filter((one) => one.id >= records && isMade(one)).length
    })
    service.process.kill('SIGTERM')
    expect((await service.ended).code).toBe(0)
    expect(await found()).toEqual(expected(all(records + kills + 1).filter((one) => !isIgnored(one))))
    expect(await database.query('select state from millrace.reparses')).toEqual([{ state: 'done' }])
    expect(await database.query('select distinct app from millrace.progress')).toEqual([{ app: group }])
    expect(await database.query('select count(*)::int as n from flights_before')).toEqual([
      { n: expect.toSatisfy((n: number) => n >= records) },
    ])
  })
})
