/** One service process under test: it is struck, stopped and asked, and tells what it did. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { until } from '../support/until.ts'
import type { ReportedBatch } from './evidence.ts'
import type { Holdings } from './killPoint.ts'
import type { Arming, Point } from './points.ts'

const root = fileURLToPath(new URL('../../', import.meta.url))

export interface MemberSettings {
  /** Its name towards Postgres, and that of its files. */
  readonly name: string
  readonly topic: string
  readonly brokers: readonly string[]
  readonly databaseUrl: string
  /** For its files. */
  readonly folder: string
  readonly env: Readonly<Record<string, string>>
}

/** How a process ended. */
export interface MemberEnd {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
}

export class Member {
  readonly name: string
  readonly batches: ReportedBatch[] = []
  readonly #process: ChildProcess
  readonly #settings: MemberSettings
  readonly #ended: Promise<MemberEnd>
  /** What it printed, but for commits. */
  readonly #told: string[] = []
  #end: MemberEnd | undefined
  #error = ''
  #joins = 0

  constructor(settings: MemberSettings) {
    this.#settings = settings
    this.name = settings.name
    const database = new URL(settings.databaseUrl)
    database.searchParams.set('application_name', settings.name)
    const preload = ['--import', 'tsx', '--import', './test/faults/killPoint.ts']
    const command = ['src/cli/main.ts', 'run', 'test/faults/faultsPlan.ts', '--log-level', 'debug']
    this.#process = spawn(process.execPath, ['--expose-gc', ...preload, ...command], {
      cwd: root,
      env: {
        ...process.env,
        FAULTS_TOPIC: settings.topic,
        FAULTS_ARM: this.#file('arm'),
        FAULTS_MARKS: this.#file('marks'),
        FAULTS_REPORT: this.#file('report'),
        MILLRACE_GROUP: settings.topic,
        MILLRACE_KAFKA_CLIENT_ID: settings.name,
        MILLRACE_FROM: 'earliest',
        MILLRACE_KAFKA_BROKERS: settings.brokers.join(','),
        MILLRACE_POSTGRES_URL: database.href,
        ...settings.env,
      },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    if (this.#process.stdout !== null)
      createInterface({ input: this.#process.stdout }).on('line', (line) => this.#hear(line))
    this.#process.stderr?.on('data', (text: Buffer) => {
      this.#error += text.toString()
    })
    this.#ended = once(this.#process, 'close').then(([code, signal]) => {
      this.#end = { code, signal }
      return this.#end
    })
  }

  get pid(): number {
    return this.#process.pid as number
  }

  /** Undefined while it lives. */
  get end(): MemberEnd | undefined {
    return this.#end
  }

  get ended(): Promise<MemberEnd> {
    return this.#ended
  }

  /** How often it has joined the group. */
  get joins(): number {
    return this.#joins
  }

  /** What it said on standard error: why it ended. */
  get error(): string {
    return this.#error
  }

  /** The last lines that it printed, for a complaint. */
  get lastWords(): string {
    const log = this.#told.filter((line) => !line.includes('"level":"debug"')).slice(-15)
    return [...log, this.#error].join('\n')
  }

  signal(signal: NodeJS.Signals): void {
    this.#process.kill(signal)
  }

  /** SIGKILL, and waits until it has ended; a stopped process dies of it too. */
  async kill(): Promise<void> {
    this.signal('SIGKILL')
    await this.#ended
  }

  /** Whether it stands still after SIGSTOP. */
  get isStopped(): boolean {
    // The state stands behind the name, which may hold anything, parentheses too.
    return this.#end === undefined && / T /.test(readFileSync(`/proc/${this.pid}/stat`, 'utf8').replace(/^.*\)/, ''))
  }

  /** How many lines of its log, commits left out, match, and the error that it ended with. */
  told(what: RegExp): number {
    return [...this.#told, this.#error].filter((line) => what.test(line)).length
  }

  /** Lets it strike itself when it gets to a point. */
  arm(arming: Arming): void {
    // In one step: the process looks at any moment, and half a text would end it.
    writeFileSync(this.#file('arming'), JSON.stringify(arming))
    renameSync(this.#file('arming'), this.#file('arm'))
  }

  /** Whether it has reached a point at which it was armed. */
  hasReached(point: Point): boolean {
    const file = this.#file('marks')
    return existsSync(file) && readFileSync(file, 'utf8').split('\n').includes(point)
  }

  /** What it holds on to now, after a collection of garbage. */
  async holdings(): Promise<Holdings> {
    const file = this.#file('report')
    rmSync(file, { force: true })
    this.signal('SIGUSR2')
    await until(`${this.name} tells what it holds`, () => existsSync(file))
    return JSON.parse(readFileSync(file, 'utf8')) as Holdings
  }

  #file(kind: string): string {
    return join(this.#settings.folder, `${this.name}.${kind}`)
  }

  #hear(line: string): void {
    const told = parsed(line)
    if (told?.msg === 'committed') {
      const { partition, nextOffset, items, outcomes } = told as unknown as ReportedBatch
      this.batches.push({ partition, nextOffset, items, outcomes })
      return
    }
    if (told?.msg === 'joined the group') this.#joins++
    this.#told.push(line)
  }
}

/** A line of log. A process that is killed may leave half of one. */
function parsed(line: string): Readonly<Record<string, unknown>> | undefined {
  try {
    return line.startsWith('{') ? (JSON.parse(line) as Record<string, unknown>) : undefined
  } catch {
    return undefined
  }
}
