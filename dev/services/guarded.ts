/** Service processes that never outlive the process that started them; see guard.mjs. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import type { Socket } from 'node:net'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { ServiceError } from './serviceError.ts'

/** What a guard runs. */
export interface GuardedCommand {
  /** For people, for example `Kafka`. */
  readonly name: string
  readonly command: string
  readonly args: readonly string[]
  readonly cwd: string
  readonly env: NodeJS.ProcessEnv
  readonly uid?: number | undefined
  readonly gid?: number | undefined
  /** Takes what the service prints. */
  readonly logFile: string
  /** Removed with everything in it once the service has stopped. */
  readonly folder: string
  /** Sent first; SIGKILL follows after 5 s. */
  readonly stopSignal: NodeJS.Signals
}

/** How a service process ended. */
export interface Exit {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
}

type Message = { readonly started: number } | { readonly failed: string } | { readonly exited: Exit }

/** One service and the guard that keeps it. */
export class Guarded {
  readonly #command: GuardedCommand
  readonly #guard: ChildProcess
  #pid: number | undefined
  #waiting: ((message: Message) => void)[] = []

  constructor(command: GuardedCommand) {
    this.#command = command
    // A session of its own: Ctrl-C in the terminal reaches us, and we or our end stop the service.
    this.#guard = spawn(
      process.execPath,
      [fileURLToPath(new URL('guard.mjs', import.meta.url)), JSON.stringify(command)],
      {
        detached: true,
        stdio: ['pipe', 'pipe', 'inherit'],
      },
    )
    this.#guard.stdin?.on('error', () => undefined) // a guard that is gone is noticed by its exit
    if (this.#guard.stdout !== null) {
      createInterface({ input: this.#guard.stdout }).on('line', (line) => this.#hear(JSON.parse(line) as Message))
    }
    this.#guard.once('exit', () => this.#hear({ exited: { code: null, signal: null } }))
    this.#each((handle) => handle.unref())
  }

  /** The service's process id while it runs. */
  get pid(): number | undefined {
    return this.#pid
  }

  /** Starts the service, or starts it again after it has ended. It then runs, but need not answer yet. */
  async start(): Promise<void> {
    const message = await this.#hearAfter(() => this.#guard.stdin?.write('start\n'))
    if (!('started' in message)) throw await this.failure('failed' in message ? message.failed : 'it ended at once')
  }

  /** Sends a signal to the service; does nothing when it has ended. */
  signal(signal: NodeJS.Signals): void {
    if (this.#pid !== undefined) process.kill(this.#pid, signal)
  }

  /** Sends a signal and waits for the service's end. */
  async end(signal: NodeJS.Signals): Promise<void> {
    if (this.#pid === undefined) return
    await this.#hearAfter(() => this.signal(signal))
  }

  /** Stops service and guard for good and removes the folder. */
  async stop(): Promise<void> {
    if (this.#guard.exitCode !== null || this.#guard.signalCode !== null) return
    this.#guard.ref()
    const exited = once(this.#guard, 'exit')
    this.#guard.stdin?.end()
    await exited
  }

  /**
   * Waits until `ready` resolves to true, asking every 50 ms. Throws ServiceError `start-failed` with the end of the
   * log when the service ends first or does not answer in time.
   */
  async until(ready: () => Promise<boolean>, timeoutMs: number): Promise<void> {
    const deadline = performance.now() + timeoutMs
    while (!(await ready())) {
      if (this.#pid === undefined) throw await this.failure('it ended while starting')
      if (performance.now() > deadline) throw await this.failure(`it did not answer within ${timeoutMs / 1_000} s`)
      await new Promise((resolve) => setTimeout(resolve, 50))
    }
  }

  /** An error that says why the service failed and shows the end of its log. */
  async failure(why: string): Promise<ServiceError> {
    const { name, logFile } = this.#command
    const lines = (await readFile(logFile, 'utf8').catch(() => '')).trimEnd().split('\n').slice(-12)
    return new ServiceError(
      'start-failed',
      `${name} could not be started: ${why}; its log ends with:\n  ${lines.join('\n  ')}`,
    )
  }

  async #hearAfter(act: () => void): Promise<Message> {
    this.#each((handle) => handle.ref())
    const message = await new Promise<Message>((resolve) => {
      this.#waiting.push(resolve)
      act()
    })
    this.#each((handle) => handle.unref())
    return message
  }

  /** A service must not keep a process alive that has nothing else to do; only waiting for an answer may. */
  #each(change: (handle: { ref(): void; unref(): void }) => void): void {
    change(this.#guard)
    // Node's types know pipes as streams only; they are sockets.
    for (const stream of [this.#guard.stdin, this.#guard.stdout]) change(stream as unknown as Socket)
  }

  #hear(message: Message): void {
    this.#pid = 'started' in message ? message.started : undefined
    const waiting = this.#waiting
    this.#waiting = []
    for (const resolve of waiting) resolve(message)
  }
}
