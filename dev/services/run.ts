/** Runs a short-lived command and collects what it prints. */
import { spawn } from 'node:child_process'

export interface RunOptions {
  readonly cwd?: string
  readonly env?: NodeJS.ProcessEnv
  readonly uid?: number | undefined
  readonly gid?: number | undefined
}

/** How a command ended; `code` is undefined when it could not be run at all. */
export interface RunResult {
  readonly code: number | null | undefined
  /** Standard output and standard error, in the order of arrival. */
  readonly output: string
}

/** Never throws: a command that is missing or may not be executed has no `code`. */
export function run(command: string, args: readonly string[], options: RunOptions = {}): Promise<RunResult> {
  return new Promise((resolve) => {
    let output = ''
    const { cwd, env, uid, gid } = options
    const child = spawn(command, args, {
      stdio: ['ignore', 'pipe', 'pipe'],
      ...(cwd === undefined ? {} : { cwd }),
      ...(env === undefined ? {} : { env }),
      ...(uid === undefined ? {} : { uid }),
      ...(gid === undefined ? {} : { gid }),
    })
    const collect = (chunk: Buffer) => {
      output += chunk.toString()
    }
    child.stdout.on('data', collect)
    child.stderr.on('data', collect)
    child.once('error', (error) => resolve({ code: undefined, output: error.message }))
    child.once('close', (code) => resolve({ code, output }))
  })
}

/** The last lines of a command's output, indented, for an error message. */
export function lastLines(output: string, count: number): string {
  return output
    .trimEnd()
    .split('\n')
    .slice(-count)
    .map((line) => `  ${line}`)
    .join('\n')
}
