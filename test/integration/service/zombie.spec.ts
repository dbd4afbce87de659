/** A process that sleeps through its session and wakes up with a batch in its hands must not commit it. */
import pg from 'pg'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { freshDatabase, freshTopic, produce, services } from '../../support/services.ts'
import { until } from '../../support/until.ts'
import { Member } from './members.ts'

const partitions = 4
const records = 40_000

let database: Awaited<ReturnType<typeof freshDatabase>>
let topic: string
let client: pg.Client

beforeAll(async () => {
  database = await freshDatabase()
  topic = await freshTopic(partitions)
  client = new pg.Client({ connectionString: database.url })
  await client.connect()
  await client.query(`
    create table ledger (id int not null, part int not null, pos bigint not null, writer int not null);
    create index on ledger (part, pos);
    create table accounts (account text primary key, entries int not null, amount bigint not null);
  `)
})

afterAll(async () => {
  await client?.end()
  await database?.drop()
})

test('a stopped process that goes on after its partitions were taken over writes nothing more', async () => {
  const start = () =>
    new Member({
      plan: 'test/integration/service/ledgerPlan.ts',
      group: topic,
      brokers: services().brokers.join(','),
      database: database.url,
      env: { LEDGER_TOPIC: topic, MILLRACE_KAFKA_SESSION_TIMEOUT_MS: '6000', MILLRACE_COMMIT_MAX_ITEMS: '100' },
    })
  const zombie = start()
  const members = [zombie]
  try {
    // Batches of 100 make 400 transactions: the process is stopped while most of them are still to come.
    await produce(topic, entries(), { partitions })
    await until('the first process has begun', async () => (await committed()) > 0)
    zombie.process.kill('SIGSTOP')
    const atStop = await committed()
    expect(atStop, 'the process was stopped while it had work').toBeLessThan(records)

    const heir = start()
    members.push(heir)
    await until('another process has done the rest', async () => (await committed()) === records)
    const beforeWake = await rowsOf(zombie)

    zombie.process.kill('SIGCONT')
    await until('the zombie notices', () => /another owner|revoked|rebalanc|left the group/i.test(zombie.output) || !zombie.isAlive)
    // Both take part again: whatever the zombie had in hand has been refused or dropped by the time it commits anew.
    await produce(topic, entries(1_000, records), { partitions })
    await until('the rest comes too', async () => (await committed()) === records + 1_000)

    const { rows } = await client.query<{ rows: string; distinct: string }>('select count(*) as rows, count(distinct id) as distinct from ledger')
    expect(rows[0]).toEqual({ rows: String(records + 1_000), distinct: String(records + 1_000) })
    const late = await client.query<{ count: string }>('select count(*) from ledger where writer = $1 and id < $2', [zombie.pid, records])
    expect(Number(late.rows[0]?.count), 'rows of the zombie among those of before').toBe(beforeWake)
  } finally {
    zombie.process.kill('SIGCONT')
    await Promise.all(members.map((member) => member.kill('SIGKILL')))
  }
}, 180_000)

function* entries(count = records, from = 0) {
  for (let id = from; id < from + count; id++) {
    yield { partition: id % partitions, key: String(id), value: JSON.stringify({ id, account: `a${id % 100}`, amount: 1 }) }
  }
}

async function committed(): Promise<number> {
  const known = await client.query<{ exists: boolean }>(`select to_regclass('millrace.progress') is not null as exists`)
  if (!known.rows[0]?.exists) return 0
  const { rows } = await client.query<{ sum: string }>('select coalesce(sum(next_offset), 0) as sum from millrace.progress')
  return Number(rows[0]?.sum)
}

async function rowsOf(member: Member): Promise<number> {
  const { rows } = await client.query<{ count: string }>('select count(*) from ledger where writer = $1', [member.pid])
  return Number(rows[0]?.count)
}
