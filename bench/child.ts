/**
 * What a measured process and the benchmark say to each other. Each run is a fresh process, so that memory and compiled
 * code are its own; it gets a task as an argument and answers with one line of JSON.
 *
 * Both sides are measured by the same rule: from the moment at which the workload's own code sees its first record to the
 * moment at which it knows that the last one is committed. Starting, joining the group and stopping do not count.
 */
import { median } from './pairs.ts'

/** What a measured process is to do. */
export interface ChildTask {
  readonly workload: string
  readonly brokers: readonly string[]
  readonly url: string
  readonly topic: string
  /** The consumer group, new for each run. */
  readonly group: string
  readonly partitions: number
  /** Records to read before the process ends. */
  readonly records: number
  /** Keys whose state stays in memory; of millrace only. */
  readonly stateKeys?: number | undefined
}

/** What a measured process found. */
export interface ChildReport {
  readonly records: number
  readonly seconds: number
  /** Processor time of the process in that time, all threads. */
  readonly cpuSeconds: number
  /** Records that were counted by W3's code; 0 where rows are what counts. */
  readonly counted: number
  /** Peak resident memory of the process, in MB of 10^6 bytes. */
  readonly rssMb: number
  /** Median resident memory in the first, second and last third of the measured time, in MB. */
  readonly rssThirdsMb: readonly [number, number, number]
  /** The same of what the program itself holds: heap and buffers, without what the allocator keeps for later. */
  readonly heldThirdsMb: readonly [number, number, number]
  /** What was sent to Postgres in transactions that commit batches, or were to; of millrace only. */
  readonly statements?: StatementCount | undefined
  /** From when the group was joined to the first commit; of millrace only. */
  readonly firstCommitMs?: number | undefined
}

/** SQL statements, however they share messages. */
export interface StatementCount {
  /** All of them, also of transactions that were rolled back. */
  readonly all: number
  /** COMMITs among them: so many transactions went through. */
  readonly commits: number
}

/** Measures one run. */
export interface Meter {
  /** To be called when a record is seen; the first call starts the clock. */
  seen(): void
  /** To be called when the last record is committed: stops the clock and prints the report. */
  finished(result: Pick<ChildReport, 'records' | 'counted' | 'statements' | 'firstCommitMs'>): void
}

export function readTask(): ChildTask {
  const [, , text] = process.argv
  if (text === undefined) throw new Error('this file is started by bench/main.ts, which gives it a task')
  return JSON.parse(text) as ChildTask
}

const sampleEveryMs = 50
const bytesPerMb = 1e6

export function createMeter(): Meter {
  let startedAt = 0
  let cpuAtStart = process.cpuUsage()
  const rss: number[] = []
  const held: number[] = []
  const sampler = setInterval(() => {
    if (startedAt === 0) return
    const usage = process.memoryUsage()
    rss.push(usage.rss / bytesPerMb)
    held.push((usage.heapUsed + usage.external) / bytesPerMb)
  }, sampleEveryMs)
  return {
    seen() {
      if (startedAt > 0) return
      startedAt = performance.now()
      cpuAtStart = process.cpuUsage()
    },
    finished({ records, counted, statements, firstCommitMs }) {
      const seconds = (performance.now() - startedAt) / 1_000
      const { user, system } = process.cpuUsage(cpuAtStart)
      clearInterval(sampler)
      // maxRSS is in kilobytes of 1,024 bytes.
      const rssMb = (process.resourceUsage().maxRSS * 1_024) / bytesPerMb
      const cpuSeconds = (user + system) / 1e6
      const thirds = { rssThirdsMb: mediansOfThirds(rss), heldThirdsMb: mediansOfThirds(held) }
      const measured = { records, seconds, cpuSeconds, counted, rssMb, ...thirds }
      const report: ChildReport = { ...measured, statements, firstCommitMs }
      process.stdout.write(`${JSON.stringify(report)}\n`)
    },
  }
}

/** The middle sample of the first, second and last third; 0 where a third has none. */
export function mediansOfThirds(samples: readonly number[]): [number, number, number] {
  const middle = (third: number) => {
    const part = samples.slice((third * samples.length) / 3, ((third + 1) * samples.length) / 3)
    return part.length === 0 ? 0 : median(part)
  }
  return [middle(0), middle(1), middle(2)]
}
