/** State that exceeds memory, and state that is there when a process joins: what they cost. */
import { fill } from './fill.ts'
import { median, type Pair, type ResultLine, resultLine, rounded, runPairs } from './pairs.ts'
import type { Stage } from './stage.ts'
import type { BenchOptions, Workload } from './workload.ts'

/** What is counted by key. */
export interface KeyedEvent {
  readonly account: string
  readonly cents: number
}

/** Keys that stay in memory. */
const keysInMemory = 100_000
/** Records with which a process begins that has just joined. */
const firstRecords = 4_000

/** The event of that number. Each key comes once in as many events as there are keys, in an order that is not theirs. */
function keyedEvent(id: number, keys: number): KeyedEvent {
  return { account: `account-${String((id * 7_919) % keys).padStart(8, '0')}`, cents: id % 100 }
}

/** Keys stay in their partition when there are as many in each. */
function wholeKeys(count: number, partitions: number): number {
  return Math.ceil(count / partitions) * partitions
}

export const stateWorkloads: readonly Workload[] = [
  {
    name: 'state-keys',
    title: 'count and sum of 2,000,000 keys, each twice, of which 100,000 stay in memory',
    measure: measureKeys,
  },
  {
    name: 'join-state',
    title: 'from joining the group with the state of 1,000,000 keys to the first commit',
    measure: measureJoining,
  },
]

/** As many keys as there are to be records: twice as many records are read. */
async function measureKeys(stage: Stage, { records, pairs }: BenchOptions): Promise<ResultLine> {
  const keys = wholeKeys(records, stage.partitions)
  const topic = await stage.emptyTopic()
  await fill(stage.brokers, topic, keys * 2, (id) => keyedEvent(id, keys))
  const run = (stateKeys: number) => async () => {
    const report = await stage.run({ side: 'millrace', workload: 'state-keys', topic, records: keys * 2, stateKeys })
    await assertCounted(stage, keys, 2)
    return report
  }
  const measured = await runPairs(pairs, run(keysInMemory), run(keys))
  return Object.assign({ workload: 'state-keys', baseline: 'all in memory' }, resultLine('state-keys', measured), {
    keys,
    keys_in_memory: keysInMemory,
    millrace_held_thirds_mb: heldThirds(measured, 'millrace'),
    baseline_held_thirds_mb: heldThirds(measured, 'baseline'),
  })
}

/** Half as many keys as records are asked for; what they are compared with has no state. */
async function measureJoining(stage: Stage, { records, pairs }: BenchOptions): Promise<ResultLine> {
  const keys = wholeKeys(records / 2, stage.partitions)
  const [topic, emptyTopic] = [await stage.emptyTopic(), await stage.emptyTopic()]
  const group = `joining-${topic}`
  const eventOf = (id: number) => keyedEvent(id, keys)
  await fill(stage.brokers, topic, keys, eventOf)
  await fill(stage.brokers, emptyTopic, firstRecords, eventOf)
  const run = { side: 'millrace', workload: 'state-keys', records: firstRecords } as const
  await stage.run({ ...run, topic, group, records: keys })
  await assertCounted(stage, keys, 1)
  const join = async () => {
    await fill(stage.brokers, topic, firstRecords, eventOf)
    return stage.run({ ...run, topic, group, keepsState: true })
  }
  const joinWithout = () => stage.run({ ...run, topic: emptyTopic, keepsState: true })
  const measured = await runPairs(pairs, join, joinWithout)
  const firstCommitMs = (side: keyof Pair) => median(measured.map((pair) => pair[side].firstCommitMs ?? Number.NaN))
  return Object.assign({ workload: 'join-state', baseline: 'without state' }, resultLine('join-state', measured), {
    ratio: rounded(firstCommitMs('baseline') / firstCommitMs('millrace'), 2),
    keys,
    first_commit_ms: rounded(firstCommitMs('millrace'), 0),
    baseline_first_commit_ms: rounded(firstCommitMs('baseline'), 0),
  })
}

function heldThirds(pairs: readonly Pair[], side: keyof Pair): number[] {
  return [0, 1, 2].map((third) => Math.round(median(pairs.map((pair) => pair[side].heldThirdsMb[third] ?? 0))))
}

/** Each key has been counted so often. */
async function assertCounted(stage: Stage, keys: number, times: number): Promise<void> {
  const { rows } = await stage.database.query<{ keys: string; others: string }>(
    'select count(*) as keys, count(*) filter (where (value->>0)::int <> $1) as others from millrace.state_values',
    [times],
  )
  const [{ keys: found, others } = { keys: '0', others: '0' }] = rows
  if (Number(found) === keys && others === '0') return
  throw new Error(`${found} keys are counted and ${keys} should be; ${others} not ${times} times`)
}
