/**
 * One process of a simulated group: a real service behind a gate. Everything that comes from outside goes through the gate:
 * timers, what the broker says, what the database answers. A process that is stopped finds it all waiting when it goes on, as
 * after SIGSTOP and SIGCONT; a dead one gets nothing more.
 */
import type { Clock } from '../../src/core/clock.ts'
import { MillraceError } from '../../src/core/errors.ts'
import type { Logger } from '../../src/core/logger.ts'
import type { PlanLeaf } from '../../src/core/plan.ts'
import type { SourceClient } from '../../src/core/source.ts'
import type { WaitingItem } from '../../src/core/store.ts'
import { Service } from '../../src/service/service.ts'
import type { MemoryBroker } from '../../src/testing/memoryBroker.ts'
import type { Fate, ModelServer, Peer, StatementKind } from './modelServer.ts'
import { modelStore } from './modelStore.ts'

export interface ProcessParts {
  readonly name: string
  readonly group: string
  readonly leaves: readonly PlanLeaf[]
  readonly maxItems: number
  readonly broker: MemoryBroker
  readonly server: ModelServer
  readonly clock: Clock
  latency(): number
  note(text: string): void
  /** Told which items of the collector it is given to run. */
  taken(items: readonly WaitingItem[]): void
  /** Called once: killed, or with why the service ended; undefined when it was told to. */
  onEnd(end: { readonly killed: boolean; readonly error?: unknown }): void
}

/** A fate, and the statement that it waits for. */
export interface Doom {
  readonly at: StatementKind | 'any'
  readonly fate: Fate
}

/** As long as a process may take to stop, before it is killed. */
const stopMs = 10_000

export class SimulatedProcess implements Peer {
  readonly name: string
  readonly client: SourceClient
  readonly service: Service
  state: 'running' | 'stopped' | 'dead' = 'running'
  /** What its next statement of a kind meets. */
  doom: Doom | undefined
  #skewMs = 0
  #held: (() => void)[] = []
  #lastArrival = 0
  readonly #parts: ProcessParts

  constructor(parts: ProcessParts) {
    this.#parts = parts
    this.name = parts.name
    const { group, leaves, maxItems, broker, server, taken } = parts
    const clock = this.#clock()
    this.client = broker.client(group, (callback) => this.#fromBroker(callback))
    this.service = new Service({
      group,
      leaves,
      client: this.client,
      store: modelStore(server, this, clock, taken),
      commit: { everyMs: 1_000, maxItems, maxBytes: 2 ** 20 },
      buffer: { maxBytes: 2 ** 20, maxItems: 1_000 },
      // Few, so that state is read again and again.
      stateKeys: 2,
      from: 'earliest',
      keepErrorsMs: 3_600_000,
      stallAfterMs: 300_000,
      clock,
      log: this.#log(),
    })
    this.service.start().catch(() => {})
    this.service.done.then(
      () => this.#end({ killed: false }),
      (error: unknown) => this.#end({ killed: false, error }),
    )
  }

  deliver(callback: () => void): void {
    if (this.state === 'running') callback()
    else if (this.state === 'stopped') this.#held.push(callback)
  }

  fateOf(kind: StatementKind): Fate | undefined {
    const { doom } = this
    if (doom === undefined || (doom.at !== 'any' && doom.at !== kind)) return undefined
    this.doom = undefined
    return doom.fate
  }

  /** As SIGSTOP does. */
  pause(): void {
    if (this.state === 'running') this.state = 'stopped'
  }

  /** As SIGCONT does. */
  resume(): void {
    if (this.state !== 'stopped') return
    this.state = 'running'
    for (const callback of this.#held.splice(0)) this.deliver(callback)
  }

  /** As SIGTERM does, and SIGKILL when that takes too long. */
  terminate(): void {
    if (this.state !== 'running') return
    void this.service.stop()
    this.#parts.clock.schedule(stopMs, () => this.kill())
  }

  kill(): void {
    this.#end({ killed: true })
  }

  /** Its clock jumps ahead, as after a machine has slept. */
  jump(ms: number): void {
    this.#skewMs += ms
  }

  #end(end: { killed: boolean; error?: unknown }): void {
    if (this.state === 'dead') return
    this.state = 'dead'
    this.#held = []
    this.#parts.onEnd(end)
  }

  #clock(): Clock {
    const { clock } = this.#parts
    return {
      now: () => clock.now() + this.#skewMs,
      schedule: (ms, callback) => {
        let isOver = false
        const cancel = clock.schedule(ms, () =>
          this.deliver(() => {
            if (!isOver) callback()
          }),
        )
        return () => {
          isOver = true
          cancel()
        }
      },
    }
  }

  // What the broker says comes late, and in the order in which it was said.
  #fromBroker(callback: () => void): void {
    const { clock, latency } = this.#parts
    const due = Math.max(this.#lastArrival, clock.now() + latency())
    this.#lastArrival = due
    clock.schedule(due - clock.now(), () => this.deliver(callback))
  }

  #log(): Logger {
    const { note } = this.#parts
    const say = (fields: object, message: string) => {
      const error = 'error' in fields ? `: ${String(fields.error)}` : ''
      note(`${this.name} says: ${message}${error}`)
    }
    return { debug() {}, info() {}, warn: say, error: say }
  }
}

/** The code of an error of millrace's; other errors are shown. */
export function codeOf(error: unknown): string {
  return error instanceof MillraceError ? error.code : String(error)
}
