/** Windows: their events, what must come of them, and how they are measured. */
import { fill } from './fill.ts'
import { type ResultLine, resultLine, runPairs } from './pairs.ts'
import type { Side, Stage } from './stage.ts'
import type { BenchOptions, Workload } from './workload.ts'

export interface WindowEvent {
  readonly account: string
  readonly cents: number
  /** Milliseconds since the epoch. */
  readonly at: number
}

const accounts = 10_000
const firstAt = Date.UTC(2026, 0, 1)
export const sizeMs = 10_000
export const graceMs = 5_000

/** The event of that number: ten in each millisecond, up to two seconds older than the newest one. Accounts stay in their partition. */
function windowEvent(id: number): WindowEvent {
  return {
    account: `account-${String((id * 7_919) % accounts).padStart(5, '0')}`,
    cents: (id * 31) % 100_000,
    at: firstAt + Math.floor(id / 10) - (id % 3 === 0 ? (id * 13) % 2_000 : 0),
  }
}

interface Held {
  readonly rows: number
  readonly events: number
  readonly cents: number
}

/** What the table holds in the end: of windows that the time of their partition has passed, or of all. */
function expectedWindows(records: number, partitions: number, onlyClosed: boolean): Held {
  const newest = Array.from({ length: partitions }, () => Number.NEGATIVE_INFINITY)
  const windows = new Map<string, { end: number; partition: number; events: number; cents: number }>()
  for (let id = 0; id < records; id++) {
    const { account, cents, at } = windowEvent(id)
    const partition = id % partitions
    newest[partition] = Math.max(newest[partition] as number, at)
    const start = Math.floor(at / sizeMs) * sizeMs
    const name = `${account} ${start}`
    const known = windows.get(name) ?? { end: start + sizeMs, partition, events: 0, cents: 0 }
    known.events++
    known.cents += cents
    windows.set(name, known)
  }
  const held = [...windows.values()].filter(
    ({ end, partition }) => !onlyClosed || end + graceMs <= (newest[partition] as number),
  )
  return {
    rows: held.length,
    events: held.reduce((sum, { events }) => sum + events, 0),
    cents: held.reduce((sum, { cents }) => sum + cents, 0),
  }
}

export const windowWorkloads: readonly Workload[] = [
  {
    name: 'W2',
    title: 'count and sum of 10,000 keys in windows of 10 s, given when they close',
    measure: (stage, options) => measureWindows(stage, 'W2', options),
  },
  {
    name: 'W2-update',
    title: 'the same, upserted whenever a record has come',
    measure: (stage, options) => measureWindows(stage, 'W2-update', options),
  },
]

async function measureWindows(stage: Stage, workload: string, { records, pairs }: BenchOptions): Promise<ResultLine> {
  const topic = await stage.emptyTopic()
  await fill(stage.brokers, topic, records, windowEvent)
  const run = (side: Side) => async () => {
    const report = await stage.run({ side, workload, topic, records })
    await assertWindows(stage, workload, records, side)
    return report
  }
  return resultLine(workload, await runPairs(pairs, run('millrace'), run('baseline')))
}

async function assertWindows(stage: Stage, workload: string, records: number, side: Side): Promise<void> {
  const table = workload === 'W2' ? 'bench_windows' : 'bench_windows_now'
  const { rows } = await stage.database.query<Record<keyof Held, string>>(
    `select count(*) as rows, coalesce(sum(events), 0) as events, coalesce(sum(cents), 0) as cents from ${table}`,
  )
  const expected = expectedWindows(records, stage.partitions, workload === 'W2')
  for (const name of ['rows', 'events', 'cents'] as const) {
    const found = Number(rows[0]?.[name])
    if (found !== expected[name]) {
      throw new Error(`${workload} ${side}: ${name} of ${table} is ${found} and should be ${expected[name]}`)
    }
  }
}
