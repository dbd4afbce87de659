/** A process that sleeps through its session and wakes up with a batch in its hands must not commit it. */
import { expect, test } from 'vitest'
import { produce } from '../../support/services.ts'
import { until } from '../../support/until.ts'
import { entries, type Ledger, openLedger } from './ledger.ts'
import type { Member } from './members.ts'

const records = 40_000
const more = 1_000

test('a stopped process that goes on after its partitions were taken over writes nothing more', async () => {
  // Batches of 100 make 400 transactions: the process is stopped while most of them are still to come.
  const ledger = await openLedger(100)
  const zombie = ledger.start()
  const members = [zombie]
  try {
    await produce(ledger.topic, entries(0, records))
    await until('the first process has begun', async () => (await ledger.committed()) > 0)
    zombie.process.kill('SIGSTOP')
    expect(await ledger.committed(), 'the process was stopped while it had work').toBeLessThan(records)

    members.push(ledger.start())
    await until('another process has done the rest', async () => (await ledger.committed()) === records)
    const beforeWake = await rowsOf(zombie, ledger)

    const joinsBefore = joins(zombie)
    zombie.process.kill('SIGCONT')
    // It takes part again: whatever it had in hand has been refused or dropped by the time it reads anew.
    await until('the zombie has joined again', () => joins(zombie) > joinsBefore)
    await produce(ledger.topic, entries(records, more))
    await until('the rest comes too', async () => (await ledger.committed()) === records + more)

    const [row] = await ledger.database.query<{ rows: string; ids: string }>(
      'select count(*) as rows, count(distinct id) as ids from ledger',
    )
    expect(row).toEqual({ rows: String(records + more), ids: String(records + more) })
    expect(await rowsOf(zombie, ledger), 'rows of the zombie among those of before').toBe(beforeWake)
  } finally {
    zombie.process.kill('SIGCONT')
    await Promise.all(members.map((member) => member.kill('SIGKILL')))
  }
}, 180_000)

function joins(member: Member): number {
  return member.output.split('joined the group').length - 1
}

/** Rows that a process wrote of the records that were there before it woke up. */
async function rowsOf(member: Member, { database }: Ledger): Promise<number> {
  const [row] = await database.query<{ count: string }>(
    'select count(*) from ledger where writer = $1 and id < $2::bigint',
    [member.pid, records],
  )
  return Number(row?.count)
}
