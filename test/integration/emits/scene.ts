/** What the tests of emits share with the processes that they kill. */
import { spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'

export interface Numbered {
  readonly key: string
  readonly n: number
}

/** The point at which a process dies: when it sends for the given time. */
export interface Death {
  readonly at: 'before' | 'while' | 'after'
  readonly atSend: number
}

export interface ProcessOptions {
  readonly input: string
  readonly output: string
  readonly group: string
  readonly brokers: readonly string[]
  readonly url: string
  readonly dies?: Death
}

/** Runs a service in a process of its own. @returns by which signal, or with which code, it ended */
export function runProcess(options: ProcessOptions): Promise<string> {
  const file = fileURLToPath(new URL('./emittingProcess.ts', import.meta.url))
  const child = spawn(process.execPath, ['--import', 'tsx', file], {
    env: { ...process.env, EMITTING_PROCESS: JSON.stringify(options) },
    stdio: ['ignore', 'inherit', 'inherit'],
  })
  return new Promise((resolve, reject) => {
    child.once('error', reject)
    child.once('exit', (code, signal) => resolve(signal ?? `code ${code}`))
  })
}
