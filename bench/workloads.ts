/** The workloads: what each side does, and the line that comes of it. */
import { emitWorkloads } from './emits.ts'
import { expectedRows, isIgnored } from './events.ts'
import { features } from './features.ts'
import { measureLatency } from './latency.ts'
import { median, type Pair, type ResultLine, resultLine, rounded, runPairs } from './pairs.ts'
import { assertRows, type Held, type Side, type Stage } from './stage.ts'
import { stateWorkloads } from './states.ts'
import { windowWorkloads } from './windows.ts'
import type { BenchOptions, Workload } from './workload.ts'

/** One SAVEPOINT for each item is so slow that a hundredth of the records is enough. */
const savepointShare = 1 / 100

/** The backlog of the memory workload is this many times the records of the others: 3,000,000 by default. */
const backlogFactor = 1.5

const latencyOptions = { perSecond: 5_000, warmUpSeconds: 10, seconds: 20 }

export const workloads: readonly Workload[] = [
  {
    name: 'W1',
    title: 'parse JSON, drop 10%, map, insert into Postgres',
    measure: (stage, options) => measureRows(stage, 'W1', options),
  },
  {
    name: 'W3',
    title: 'parse JSON, drop 10%, map, count',
    measure: measureCounts,
  },
  {
    name: 'W1-ignore',
    title: 'W1 with 1% of the items ignored after they wrote',
    measure: (stage, options) => measureRows(stage, 'W1-ignore', options, isIgnored),
  },
  {
    name: 'savepoints',
    title: 'W1-ignore against one SAVEPOINT for each item',
    measure: measureSavepoints,
  },
  {
    name: 'latency',
    title: 'produce to visible row at 5,000 records/s',
    measure: measureLatencies,
  },
  {
    name: 'memory',
    title: 'W1 with a backlog half as long again',
    measure: measureMemory,
  },
  ...emitWorkloads,
  ...windowWorkloads,
  ...stateWorkloads,
  ...features,
]

async function measureRows(
  stage: Stage,
  name: string,
  options: BenchOptions,
  isUndone?: Held['isUndone'],
): Promise<ResultLine> {
  return resultLine(name, await pairsOfRows(stage, name, options, isUndone))
}

async function pairsOfRows(
  stage: Stage,
  workload: string,
  { records, pairs }: BenchOptions,
  isUndone?: Held['isUndone'],
): Promise<Pair[]> {
  const topic = await stage.filledTopic(records)
  const run = (side: Side) => async () => {
    const report = await stage.run({ side, workload, topic, records })
    await assertRows(stage, { records, isUndone }, `${workload} ${side}`)
    return report
  }
  return runPairs(pairs, run('millrace'), run('baseline'))
}

async function measureCounts(stage: Stage, { records, pairs }: BenchOptions): Promise<ResultLine> {
  const topic = await stage.filledTopic(records)
  const { rows } = expectedRows(records)
  const run = (side: Side) => async () => {
    const report = await stage.run({ side, workload: 'W3', topic, records })
    if (report.counted !== rows)
      throw new Error(`W3 ${side}: counted ${report.counted} and should have counted ${rows}`)
    return report
  }
  return resultLine('W3', await runPairs(pairs, run('millrace'), run('baseline')))
}

async function measureSavepoints(stage: Stage, { records, pairs }: BenchOptions): Promise<ResultLine> {
  const few = Math.max(1_000, Math.round(records * savepointShare))
  const run = (side: Side, workload: string, count: number) => async () => {
    const topic = await stage.filledTopic(count)
    const report = await stage.run({ side, workload, topic, records: count })
    await assertRows(stage, { records: count, isUndone: isIgnored }, `${workload} ${side}`)
    return report
  }
  return resultLine(
    'savepoints',
    await runPairs(pairs, run('millrace', 'W1-ignore', records), run('baseline', 'savepoints', few)),
  )
}

async function measureLatencies(stage: Stage, { pairs }: BenchOptions): Promise<ResultLine> {
  const run = (side: Side) => () => measureLatency(stage, side, latencyOptions)
  const measured = await runPairs(pairs, run('millrace'), run('baseline'))
  const middle = (side: Side, of: 'p50Ms' | 'p99Ms' | 'maxMs') =>
    rounded(median(measured.map((pair) => pair[side][of])), 1)
  const rates = measured.map(({ millrace, baseline }) => ({ millrace: millrace.child, baseline: baseline.child }))
  return Object.assign(resultLine('latency', rates), {
    ratio: rounded(median(measured.map(({ millrace, baseline }) => baseline.p99Ms / millrace.p99Ms)), 2),
    millrace_p50_ms: middle('millrace', 'p50Ms'),
    millrace_p99_ms: middle('millrace', 'p99Ms'),
    millrace_max_ms: middle('millrace', 'maxMs'),
    baseline_p50_ms: middle('baseline', 'p50Ms'),
    baseline_p99_ms: middle('baseline', 'p99Ms'),
    baseline_max_ms: middle('baseline', 'maxMs'),
  })
}

async function measureMemory(stage: Stage, options: BenchOptions): Promise<ResultLine> {
  const measured = await pairsOfRows(stage, 'W1', { records: options.records * backlogFactor, pairs: 1 })
  const [pair] = measured
  if (pair === undefined) throw new Error('no pair was run')
  const thirds = (side: Side, of: 'rssThirdsMb' | 'heldThirdsMb') => pair[side][of].map(Math.round)
  return Object.assign(resultLine('memory', measured), {
    millrace_rss_thirds_mb: thirds('millrace', 'rssThirdsMb'),
    millrace_held_thirds_mb: thirds('millrace', 'heldThirdsMb'),
    baseline_rss_thirds_mb: thirds('baseline', 'rssThirdsMb'),
    baseline_held_thirds_mb: thirds('baseline', 'heldThirdsMb'),
  })
}
