/** A process that sleeps through its session and wakes up with a batch in its hands must not commit it. */
import { beforeAll, expect, test } from 'vitest'
import { brokers, type FreshDatabase, freshDatabase, freshTopic, produce } from '../../support/services.ts'
import { until } from '../../support/until.ts'
import { Member } from './members.ts'

const partitions = 4
const records = 40_000

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

test('a stopped process that goes on after its partitions were taken over writes nothing more', async () => {
  const start = () =>
    new Member({
      plan: 'test/integration/service/ledgerPlan.ts',
      group: topic,
      brokers: brokers.join(','),
      database: database.url,
      env: { LEDGER_TOPIC: topic, MILLRACE_KAFKA_SESSION_TIMEOUT_MS: '6000', MILLRACE_COMMIT_MAX_ITEMS: '100' },
    })
  const zombie = start()
  const members = [zombie]
  try {
    // Batches of 100 make 400 transactions: the process is stopped while most of them are still to come.
    await produce(topic, entries())
    await until('the first process has begun', async () => (await committed()) > 0)
    zombie.process.kill('SIGSTOP')
    const atStop = await committed()
    expect(atStop, 'the process was stopped while it had work').toBeLessThan(records)

    const heir = start()
    members.push(heir)
    await until('another process has done the rest', async () => (await committed()) === records)
    const beforeWake = await rowsOf(zombie)

    zombie.process.kill('SIGCONT')
    // It takes part again: whatever it had in hand has been refused or dropped by the time it reads anew.
    const joinsBefore = joins(zombie)
    await until('the zombie has joined again', () => joins(zombie) > joinsBefore)
    await produce(topic, entries(1_000, records))
    await until('the rest comes too', async () => (await committed()) === records + 1_000)

    const [row] = await database.query<{ rows: string; distinct: string }>(
      'select count(*) as rows, count(distinct id) as distinct from ledger',
    )
    expect(row).toEqual({ rows: String(records + 1_000), distinct: String(records + 1_000) })
    expect(await rowsOf(zombie, records), 'rows of the zombie among those of before').toBe(beforeWake)
  } finally {
    zombie.process.kill('SIGCONT')
    await Promise.all(members.map((member) => member.kill('SIGKILL')))
  }
}, 180_000)

function entries(count = records, from = 0) {
  return Array.from({ length: count }, (_, index) => {
    const id = from + index
    return {
      partition: id % partitions,
      key: String(id),
      value: JSON.stringify({ id, account: `a${id % 100}`, amount: 1 }),
    }
  })
}

function joins(member: Member): number {
  return member.output.split('joined the group').length - 1
}

async function committed(): Promise<number> {
  const [known] = await database.query<{ exists: boolean }>(
    `select to_regclass('millrace.progress') is not null as exists`,
  )
  if (!known?.exists) return 0
  const [row] = await database.query<{ sum: string }>(
    'select coalesce(sum(next_offset), 0) as sum from millrace.progress',
  )
  return Number(row?.sum)
}

async function rowsOf(member: Member, below = Number.MAX_SAFE_INTEGER): Promise<number> {
  const [row] = await database.query<{ count: string }>(
    'select count(*) from ledger where writer = $1 and id < $2::bigint',
    [member.pid, below],
  )
  return Number(row?.count)
}
