/**
 * Exactly once, shown on real processes: three services share four partitions and are killed while they have work.
 * A reader looks on all the time and never sees rows and progress disagree.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'
import { expect, test } from 'vitest'
import { produce } from '../../support/services.ts'
import { until } from '../../support/until.ts'
import { entries, type Ledger, openLedger, partitions } from './ledger.ts'
import type { Member } from './members.ts'

const records = 200_000
const kills = 10
/** Some more slices than kills: a kill that struck a moment without work does not count. */
const slices = kills + 4

test('3 services, 10 kills: no row is lost, none is doubled, and rows never disagree with progress', async () => {
  const ledger = await openLedger(500)
  const members = [ledger.start(), ledger.start(), ledger.start()]
  const reader = watch(ledger)
  const produced = { count: 0 }
  let struck = 0
  try {
    for (let slice = 0; slice < slices; slice++) {
      const before = await ledger.positions()
      const target = Math.floor((records * (slice + 1)) / slices)
      const producing = produceTo(target, produced, ledger)
      if (slice > 0 && struck < kills)
        struck += await strike(ledger, members, slice % members.length, { produced, target })
      await producing
      // The next slice comes when every partition has committed since the kill: each one has been taken over.
      await until(`every partition goes on after slice ${slice}`, async () => {
        for (const { isAlive, output } of members)
          if (!isAlive) throw new Error(`a service ended by itself:\n${output}`)
        const now = await ledger.positions()
        return now.length === partitions && now.every((position, part) => position > (before[part] ?? 0))
      })
    }
    await until('all is committed', async () => (await ledger.committed()) === records)
  } finally {
    await Promise.all(members.map((member) => member.kill('SIGTERM')))
    await reader.stop()
  }
  expect(struck, 'services that were killed while there was work').toBe(kills)
  expect(reader.looks).toBeGreaterThan(kills)
  expect(reader.disagreements).toEqual([])
  expect(await recount(ledger)).toEqual({
    rows: records,
    ids: records,
    positions: records,
    entries: records,
    amount: expectedAmount(),
  })
}, 480_000)

/** Produces up to a number of records, in small requests, so that work comes for a while. */
async function produceTo(target: number, produced: { count: number }, { topic }: Ledger): Promise<void> {
  while (produced.count < target) {
    const count = Math.min(2_000, target - produced.count)
    await produce(topic, entries(produced.count, count))
    produced.count += count
  }
}

/** Kills a service while there is lag, and starts another. 1 when there was still lag after it had died. */
async function strike(
  ledger: Ledger,
  members: Member[],
  index: number,
  { produced, target }: { produced: { count: number }; target: number },
): Promise<number> {
  const before = await ledger.committed()
  let isOver = false
  await until('there is work, and it is being done', async () => {
    const committed = await ledger.committed()
    isOver = committed === target
    return isOver || (committed > before && committed < produced.count)
  })
  // The services were faster than anybody could look: the next slice is another chance.
  if (isOver) return 0
  const known = produced.count
  await (members[index] as Member).kill('SIGKILL')
  const lag = known - (await ledger.committed())
  members[index] = ledger.start()
  return lag > 0 ? 1 : 0
}

function expectedAmount(): number {
  let amount = 0
  for (let id = 0; id < records; id++) amount += id % 7
  return amount
}

async function recount({ database }: Ledger) {
  const [row] = await database.query<Record<string, string>>(`
    select count(*) as rows, count(distinct id) as ids, count(distinct (part, pos)) as positions,
      (select sum(entries) from accounts) as entries, (select sum(amount) from accounts) as amount
    from ledger`)
  return Object.fromEntries(Object.entries(row ?? {}).map(([name, value]) => [name, Number(value)]))
}

/** Looks every 50 ms, in one snapshot, whether rows, totals and progress say the same. */
function watch({ database, positions }: Ledger) {
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
