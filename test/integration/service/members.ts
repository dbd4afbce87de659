/** Service processes that tests kill, stop and start again. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'

export interface MemberSettings {
  readonly plan: string
  readonly group: string
  readonly brokers: string
  readonly database: string
  readonly env?: Readonly<Record<string, string>>
}

/** One `millrace run` in a process of its own. */
export class Member {
  readonly process: ChildProcess
  output = ''

  constructor({ plan, group, brokers, database, env = {} }: MemberSettings) {
    const command = ['--import', 'tsx', 'src/cli/main.ts', 'run', plan, '--group', group, '--from', 'earliest']
    this.process = spawn(process.execPath, [...command, '--brokers', brokers, '--database', database], {
      env: { ...process.env, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    for (const stream of [this.process.stdout, this.process.stderr]) {
      stream?.on('data', (text: Buffer) => {
        this.output += text.toString()
      })
    }
  }

  get pid(): number {
    return this.process.pid as number
  }

  get isAlive(): boolean {
    return this.process.exitCode === null && this.process.signalCode === null
  }

  /** Sends a signal; for those that end the process, resolves when it has ended. */
  async kill(signal: 'SIGKILL' | 'SIGTERM'): Promise<void> {
    if (!this.isAlive) return
    const ended = once(this.process, 'exit')
    this.process.kill(signal)
    await ended
  }
}
