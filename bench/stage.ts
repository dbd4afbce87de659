/** What the runs of one benchmark share: services, topics that are filled once, tables that are emptied before each run. */
import { spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import pg from 'pg'
import type { ChildReport, ChildTask } from './child.ts'
import { countries, type Expected, expectedRows } from './events.ts'
import { createTopic, fill, partitions } from './fill.ts'

export type Side = 'millrace' | 'baseline'

/** Where the benchmark runs. */
export interface Services {
  readonly brokers: readonly string[]
  readonly url: string
}

/** How one process is to be run. */
export interface Run {
  readonly side: Side
  /** The plan, or the lane, of that name. */
  readonly workload: string
  readonly topic: string
  readonly records: number
  /** Default: a new one. */
  readonly group?: string
  /** Whether the state of the run before stays. Default: it is emptied, like the tables. */
  readonly keepsState?: boolean
  /** Keys whose state stays in memory, where that is not the default. */
  readonly stateKeys?: number
}

export interface Stage extends Services {
  /** Of every topic. */
  readonly partitions: number
  readonly database: pg.Client
  /** The topic that holds the events 0 to `records` - 1; made and filled when it is asked for first. */
  filledTopic(records: number): Promise<string>
  /** A new, empty topic. */
  emptyTopic(): Promise<string>
  /** Empties the tables, starts a process and answers with its report. */
  run(run: Run): Promise<ChildReport>
  close(): Promise<void>
}

const programs: Readonly<Record<Side, string>> = {
  millrace: fileURLToPath(new URL('./plans/main.ts', import.meta.url)),
  baseline: fileURLToPath(new URL('./baseline/main.ts', import.meta.url)),
}

const columns = `
    id bigint not null, account text not null, kind text not null,
    cents bigint not null, country text not null, at timestamptz not null`

/** What events add up to: one row for each account. */
const totals = `
    account text primary key, events bigint not null, ids numeric not null, cents bigint not null`

/** What windows hold. */
const sums = 'account text not null, window_start timestamptz not null, events bigint not null, cents bigint not null'

/** The tables that runs write to, each with what it refuses. */
const written = {
  bench_events: columns,
  bench_notes: 'id bigint not null, account text not null, cents bigint not null',
  bench_checked: `${columns}, check (cents >= 0)`,
  bench_keyed: `${columns}, primary key (id)`,
  bench_tied: `${columns}, foreign key (country) references bench_countries`,
  bench_tracked: columns,
  bench_totals: totals,
  bench_totals_tracked: totals,
  bench_windows: sums,
  bench_windows_now: `${sums}, primary key (account, window_start)`,
} as const

export type BenchTable = keyof typeof written

const tables = `
  create table if not exists bench_countries (country text primary key);
  insert into bench_countries select unnest(array['${countries.join("', '")}']) on conflict do nothing;
  ${Object.entries(written)
    .map(([name, holds]) => `create table if not exists ${name} (${holds});`)
    .join('\n  ')}
  create table if not exists baseline_progress (
    app text, partition integer, next_offset bigint not null, counted bigint not null, primary key (app, partition)
  )`

/** What items gave to rows of the runs before. */
const forgetTracks = forget('contributions')
/** What steps keep by key. */
const forgetState = forget('state')

function forget(table: string): string {
  return `do $$ begin if to_regclass('millrace.${table}') is not null then truncate millrace.${table}; end if; end $$`
}

export async function createStage(services: Services, say: (text: string) => void): Promise<Stage> {
  const database = new pg.Client(services.url)
  await database.connect()
  await database.query(tables)
  const runId = Date.now().toString(36)
  const filled = new Map<number, Promise<string>>()
  let made = 0
  const emptyTopic = async () => {
    const topic = `bench-${runId}-${++made}`
    await createTopic(services.brokers, topic)
    return topic
  }
  const fillTopic = async (records: number) => {
    const topic = await emptyTopic()
    say(`filling ${topic} with ${records.toLocaleString('en-US')} records`)
    await fill(services.brokers, topic, records)
    return topic
  }
  return {
    ...services,
    partitions,
    database,
    emptyTopic,
    filledTopic(records) {
      const topic = filled.get(records) ?? fillTopic(records)
      filled.set(records, topic)
      return topic
    },
    async run({ side, workload, topic, records, group = `bench-${runId}-${side}-${++made}`, keepsState, stateKeys }) {
      await database.query(`truncate ${Object.keys(written).join(', ')}`)
      await database.query(forgetTracks)
      if (keepsState !== true) await database.query(forgetState)
      await database.query('checkpoint')
      const task: ChildTask = { ...services, workload, topic, group, partitions, records, stateKeys }
      const report = await runProcess(programs[side], task)
      const rate = Math.round(report.records / report.seconds).toLocaleString('en-US')
      say(`${workload} ${side}: ${rate}/s, ${report.cpuSeconds.toFixed(1)} s of CPU, ${Math.round(report.rssMb)} MB`)
      return report
    },
    close: () => database.end(),
  }
}

async function runProcess(program: string, task: ChildTask): Promise<ChildReport> {
  const child = spawn(process.execPath, ['--import', 'tsx', program, JSON.stringify(task)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  let output = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    output += text
  })
  const code = await new Promise<number | null>((resolve, reject) => child.on('error', reject).on('close', resolve))
  const last = output.trimEnd().split('\n').at(-1) ?? ''
  if (code !== 0 || !last.startsWith('{')) {
    throw new Error(`${program} ended with code ${code} and no report in its ${task.workload} run`)
  }
  return JSON.parse(last) as ChildReport
}

/** What a table has to hold after a run. */
export interface Held {
  /** Default: `bench_events`. */
  readonly table?: BenchTable
  readonly records: number
  /** Tells of events beside pings that leave no row. Default: none. */
  readonly isUndone?: ((id: number) => boolean) | undefined
}

/** Compares a table with what must be in it: a fast run that lost a row is no run. */
export async function assertRows(stage: Stage, held: Held, who: string): Promise<void> {
  const { table = 'bench_events', records, isUndone } = held
  const { rows } = await stage.database.query<Record<keyof Expected, string>>(
    table.startsWith('bench_totals')
      ? `select coalesce(sum(events), 0) as rows, coalesce(sum(ids), 0) as ids, coalesce(sum(cents), 0) as cents from ${table}`
      : `select count(*) as rows, coalesce(sum(id), 0) as ids, coalesce(sum(cents), 0) as cents from ${table}`,
  )
  const expected = expectedRows(records, isUndone)
  for (const name of ['rows', 'ids', 'cents'] as const) {
    const found = Number(rows[0]?.[name])
    if (found !== expected[name]) {
      throw new Error(`${who}: ${name} of ${table} is ${found} and should be ${expected[name]}`)
    }
  }
}
