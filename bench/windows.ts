/** Windows: their events, what must come of them, and how they are measured. */
import { fill } from './fill.ts'
import { type ResultLine, resultLine, runPairs } from './pairs.ts'
import type { BenchTable, Side, Stage } from './stage.ts'
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

/** Windows of as many accounts as there are records, which are all closed by the last record of their partition. */
function burstEvent(id: number, records: number, partitions: number): WindowEvent {
  const at = id < records - partitions ? firstAt : firstAt + 86_400_000
  return { account: `account-${String(id).padStart(8, '0')}`, cents: id % 100, at }
}

interface Held {
  readonly rows: number
  readonly events: number
  readonly cents: number
}

/** What the table holds in the end: of windows that the time of their partition has passed, or of all. */
function expectedWindows({ eventOf, onlyClosed }: WindowBench, records: number, partitions: number): Held {
  const newest = Array.from({ length: partitions }, () => Number.NEGATIVE_INFINITY)
  const windows = new Map<string, { end: number; partition: number; events: number; cents: number }>()
  for (let id = 0; id < records; id++) {
    const { account, cents, at } = eventOf(id, records, partitions)
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

interface WindowBench {
  readonly name: string
  readonly title: string
  /** The plan and the lane. */
  readonly workload: 'W2' | 'W2-update'
  readonly table: BenchTable
  readonly onlyClosed: boolean
  eventOf(id: number, records: number, partitions: number): WindowEvent
}

const closed = { workload: 'W2', table: 'bench_windows', onlyClosed: true } as const

export const windowWorkloads: readonly Workload[] = [
  {
    ...closed,
    name: 'W2',
    title: 'count and sum of 10,000 keys in windows of 10 s, given when they close',
    eventOf: windowEvent,
  },
  {
    name: 'W2-update',
    title: 'the same, upserted whenever a record has come',
    workload: 'W2-update' as const,
    table: 'bench_windows_now' as const,
    onlyClosed: false,
    eventOf: windowEvent,
  },
  {
    ...closed,
    name: 'W2-burst',
    title: 'a window for each record, all of which are closed by one',
    eventOf: burstEvent,
  },
].map((bench: WindowBench) => ({
  name: bench.name,
  title: bench.title,
  measure: (stage, options) => measureWindows(stage, bench, options),
}))

async function measureWindows(stage: Stage, bench: WindowBench, { records, pairs }: BenchOptions): Promise<ResultLine> {
  const { name, workload } = bench
  const topic = await stage.emptyTopic()
  await fill(stage.brokers, topic, records, (id) => bench.eventOf(id, records, stage.partitions))
  const run = (side: Side) => async () => {
    const report = await stage.run({ side, workload, topic, records })
    await assertWindows(stage, bench, records, side)
    return report
  }
  return resultLine(name, await runPairs(pairs, run('millrace'), run('baseline')))
}

async function assertWindows(stage: Stage, bench: WindowBench, records: number, side: Side): Promise<void> {
  const { name: workload, table } = bench
  const { rows } = await stage.database.query<Record<keyof Held, string>>(
    `select count(*) as rows, coalesce(sum(events), 0) as events, coalesce(sum(cents), 0) as cents from ${table}`,
  )
  const expected = expectedWindows(bench, records, stage.partitions)
  for (const name of ['rows', 'events', 'cents'] as const) {
    const found = Number(rows[0]?.[name])
    if (found !== expected[name]) {
      throw new Error(`${workload} ${side}: ${name} of ${table} is ${found} and should be ${expected[name]}`)
    }
  }
}
