/**
 * Exactly once, shown on real processes: three services share four partitions and are killed while they have work.
 * A reader looks on all the time and never sees rows and progress disagree.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'
import { beforeAll, expect, test } from 'vitest'
import { brokers, type FreshDatabase, freshDatabase, freshTopic, produce } from '../../support/services.ts'
import { until } from '../../support/until.ts'
import { Member } from './members.ts'

const records = 200_000
const kills = 10
const partitions = 4
const slices = kills + 2
const accounts = 100

let database: FreshDatabase
let topic: string

beforeAll(async () => {
  topic = await freshTopic(partitions)
  database = await freshDatabase(`
    create table ledger (id int not null, part int not null, pos bigint not null, writer int not null);
    create index on ledger (part, pos);
    create table accounts (account text primary key, entries int not null, amount bigint not null);
  `)
})

test('3 services, 10 kills: no row is lost, none is doubled, and rows never disagree with progress', async () => {
  const start = () =>
    new Member({
      plan: 'test/integration/service/ledgerPlan.ts',
      group: topic,
      brokers: brokers.join(','),
      database: database.url,
      // Small batches: many commits, and so many places where a kill can strike.
      env: { LEDGER_TOPIC: topic, MILLRACE_KAFKA_SESSION_TIMEOUT_MS: '6000', MILLRACE_COMMIT_MAX_ITEMS: '500' },
    })
  const members = [start(), start(), start()]
  const reader = watch()
  let produced = 0
  let killedWithLag = 0
  try {
    for (let slice = 0; slice < slices; slice++) {
      const before = await positions()
      const count = slice === slices - 1 ? records - produced : Math.floor(records / slices)
      await produce(topic, entries(produced, count))
      produced += count
      if (killedWithLag < kills && slice > 0) {
        const victim = members.findIndex((member) => member.isAlive && member.output.includes('reading'))
        const index = (victim + killedWithLag) % members.length
        await (members[index] as Member).kill('SIGKILL')
        if ((await committed()) < produced) killedWithLag++
        members[index] = start()
      }
      // The next slice comes when every partition has committed since the kill: each one has been taken over.
      await until(`every partition goes on after slice ${slice}`, async () => {
        for (const member of members)
          if (!member.isAlive) throw new Error(`a service ended by itself:\n${member.output}`)
        const now = await positions()
        return now.length === partitions && now.every((position, part) => position > (before[part] ?? 0))
      })
    }
    await until('all is committed', async () => (await committed()) === produced)
  } finally {
    await Promise.all(members.map((member) => member.kill('SIGTERM')))
    await reader.stop()
  }
  expect(killedWithLag, 'services that were killed while they had work').toBe(kills)
  expect(reader.looks).toBeGreaterThan(kills)
  expect(reader.disagreements).toEqual([])
  expect(await recount()).toEqual({
    rows: records,
    distinct: records,
    positions: records,
    entries: records,
    amount: expectedAmount(),
  })
}, 480_000)

function entries(from: number, count: number) {
  return Array.from({ length: count }, (_, index) => {
    const id = from + index
    return {
      partition: id % partitions,
      key: String(id),
      value: JSON.stringify({ id, account: `a${id % accounts}`, amount: id % 7 }),
    }
  })
}

function expectedAmount(): number {
  let amount = 0
  for (let id = 0; id < records; id++) amount += id % 7
  return amount
}

async function positions(): Promise<number[]> {
  const [known] = await database.query<{ exists: boolean }>(
    `select to_regclass('millrace.progress') is not null as exists`,
  )
  if (!known?.exists) return []
  const rows = await database.query<{ next: string }>(
    'select next_offset as next from millrace.progress order by partition',
  )
  return rows.map(({ next }) => Number(next))
}

async function committed(): Promise<number> {
  return (await positions()).reduce((sum, next) => sum + next, 0)
}

async function recount() {
  const [row] = await database.query<Record<string, string>>(`
    select count(*) as rows, count(distinct id) as distinct, count(distinct (part, pos)) as positions,
      (select sum(entries) from accounts) as entries, (select sum(amount) from accounts) as amount
    from ledger`)
  return Object.fromEntries(Object.entries(row ?? {}).map(([name, value]) => [name, Number(value)]))
}

/** Looks every 50 ms, in one snapshot, whether rows, totals and progress say the same. */
function watch() {
  const disagreements: unknown[] = []
  const seen = { looks: 0, disagreements, stop }
  let stopped = false
  const looking = look()
  async function look() {
    const reader = new pg.Client({ connectionString: database.url })
    await reader.connect()
    while (!stopped) {
      if ((await positions()).length > 0) {
        const { rows } = await reader.query<{ rows: string; entries: string; progress: string }>(`
          select (select count(*) from ledger) as rows, (select coalesce(sum(entries), 0) from accounts) as entries,
            (select coalesce(sum(next_offset), 0) from millrace.progress) as progress`)
        const [row] = rows
        seen.looks++
        if (row?.rows !== row?.entries || row?.rows !== row?.progress) disagreements.push(row)
      }
      await sleep(50)
    }
    await reader.end()
  }
  async function stop() {
    stopped = true
    await looking
  }
  return seen
}
