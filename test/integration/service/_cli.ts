/** The command line in a process of its own, against the real Kafka and Postgres. */
import { type ChildProcess, spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { brokers } from '../../support/services.ts'

const root = fileURLToPath(new URL('../../../', import.meta.url))

export interface CliOptions {
  readonly group?: string
  readonly brokers?: string
  readonly database?: string
  readonly env?: Readonly<Record<string, string>>
}

export interface CliEnd {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
  /** Standard error: what the command says at its end. */
  readonly err: string
  readonly out: string
  /** Lines of log. */
  readonly log: readonly Readonly<Record<string, unknown>>[]
}

/** A command that runs. */
export class Cli {
  readonly process: ChildProcess
  readonly ended: Promise<CliEnd>
  out = ''
  err = ''

  constructor(args: readonly string[], { group, brokers: at = brokers.join(','), database, env = {} }: CliOptions) {
    const settings = Object.entries({
      MILLRACE_GROUP: group,
      MILLRACE_KAFKA_BROKERS: at,
      MILLRACE_POSTGRES_URL: database,
      ...env,
    })
    const given = Object.fromEntries(settings.filter(([, value]) => value !== undefined)) as Record<string, string>
    this.process = spawn(process.execPath, ['--import', 'tsx', 'src/cli/main.ts', ...args], {
      cwd: root,
      env: { ...process.env, ...given },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    this.process.stdout?.on('data', (text: Buffer) => {
      this.out += text.toString()
    })
    this.process.stderr?.on('data', (text: Buffer) => {
      this.err += text.toString()
    })
    this.ended = new Promise((resolve) => {
      this.process.once('close', (code, signal) =>
        resolve({ code, signal, out: this.out, err: this.err, log: this.log() }),
      )
    })
  }

  log(): Readonly<Record<string, unknown>>[] {
    const complete = this.out.split('\n').slice(0, -1)
    return complete.filter((line) => line.startsWith('{"')).map((line) => JSON.parse(line) as Record<string, unknown>)
  }

  has(message: string): boolean {
    return this.log().some(({ msg }) => msg === message)
  }
}

/** Runs a command to its end. */
export function cli(args: readonly string[], options: CliOptions = {}): Promise<CliEnd> {
  return new Cli(args, options).ended
}
