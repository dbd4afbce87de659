/** Runs the plan: as a service in a process of its own over Kafka, or in this process over a broker in memory. */
import { type ChildProcess, spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { start } from 'millrace'
import type { MemoryBroker } from '../../src/testing/memoryBroker.ts'
import plan from './flights.ts'
import type { OutcomeCounts } from './verify.ts'

/** A consumer at work. */
export interface Consumer {
  /** Resolves with the counts of its items when it has read everything; rejects when it failed. */
  readonly caughtUp: Promise<OutcomeCounts>
  /** Ends it; resolves when it has left. */
  stop(): Promise<void>
}

export interface ServiceSettings {
  /** The consumer group, under which progress is kept. */
  readonly group: string
  readonly brokers: readonly string[]
  readonly url: string
}

const root = fileURLToPath(new URL('../../', import.meta.url))

/** `millrace run examples/flights/flights.ts`, from the sources. */
export function runService(
  { group, brokers, url }: ServiceSettings,
  { untilCaughtUp }: { readonly untilCaughtUp: boolean },
): Consumer {
  const args = ['--import', 'tsx', 'src/cli/main.ts', 'run', 'examples/flights/flights.ts', '--group', group]
  if (untilCaughtUp) args.push('--until-caught-up')
  const child = spawn(process.execPath, args, {
    cwd: root,
    env: { ...process.env, MILLRACE_KAFKA_BROKERS: brokers.join(','), MILLRACE_POSTGRES_URL: url },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const caughtUp = countsOf(child)
  // Somebody who only stops it does not ask how it ended.
  caughtUp.catch(() => {})
  return {
    caughtUp,
    async stop() {
      child.kill('SIGTERM')
      await caughtUp.catch(() => {})
    },
  }
}

/** The counts of the last line of the service's log, which is lines of JSON. */
async function countsOf(child: ChildProcess): Promise<OutcomeCounts> {
  const ended = new Promise<number | null>((resolve, reject) => child.on('error', reject).on('close', resolve))
  let outcomes: OutcomeCounts | undefined
  const recent: string[] = []
  if (child.stdout !== null) {
    createInterface({ input: child.stdout }).on('line', (line) => {
      recent.push(line)
      if (recent.length > 10) recent.shift()
      outcomes = outcomesIn(line) ?? outcomes
    })
  }
  const code = await ended
  if (code !== 0) throw new Error(`the service ended with code ${code}; the end of its log:\n${recent.join('\n')}`)
  if (outcomes === undefined)
    throw new Error(`the service did not say what it did; the end of its log:\n${recent.join('\n')}`)
  return outcomes
}

/** The counts in the line with which the service ends; outcomes that did not occur are not in it. */
function outcomesIn(line: string): OutcomeCounts | undefined {
  if (!line.startsWith('{')) return undefined
  const { msg, outcomes } = JSON.parse(line) as { msg?: string; outcomes?: Partial<OutcomeCounts> }
  if (msg !== 'stopped') return undefined
  return { done: 0, filtered: 0, ignored: 0, collected: 0, ...outcomes }
}

/** What fails is thrown, and what was collected is printed at the end: a log would only stand in between. */
const silent = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} }

/** The same plan in this process, over a broker in its memory. */
export function consumeInProcess(broker: MemoryBroker, { group, url }: Omit<ServiceSettings, 'brokers'>): Consumer {
  const started = start(plan, { group, client: broker.client(group), postgres: { url }, logger: silent })
  const read = async () => {
    const app = await started
    await app.caughtUp()
    return app.stats().outcomes
  }
  const caughtUp = read()
  caughtUp.catch(() => {})
  return { caughtUp, stop: async () => (await started).stop() }
}
