/** Members of a group over one broker and one store in memory, and time that only moves when told. */
import { setImmediate as nextTurn } from 'node:timers/promises'
import { table } from '../../sinks/table.ts'
import { json } from '../../src/codecs/index.ts'
import { silentLogger } from '../../src/core/logger.ts'
import type { SourceClient } from '../../src/core/source.ts'
import type { Store } from '../../src/core/store.ts'
import type { CommitReport } from '../../src/runtime/commitReport.ts'
import { Runner, type RunnerSettings } from '../../src/runtime/runner.ts'
import { leavesOf, type Plan, type Stream, stream } from '../../src/stream.ts'
import { createMemoryBroker, type MemoryBroker } from '../../src/testing/memoryBroker.ts'
import { MemoryStore } from '../../src/testing/memoryStore.ts'
import { VirtualClock } from '../../src/testing/virtualClock.ts'
import { topic } from '../../src/topic.ts'

export const numbers = topic('numbers', json<number>())
export const out = table<{ n: number }>('out')
export const base: Stream<number> = stream('s').from(numbers)
export const toOut = (from: Stream<number>): Stream<number> => from.to(out, (n) => ({ n }))

/** One running copy of a plan. */
export interface Member {
  readonly runner: Runner
  readonly client: SourceClient
  readonly reports: CommitReport[]
}

export class Service {
  readonly broker: MemoryBroker
  readonly store = new MemoryStore()
  readonly clock = new VirtualClock()
  readonly members: Member[] = []

  constructor({ partitions = 1, chunkRecords = 1_000 } = {}) {
    this.broker = createMemoryBroker({ chunkRecords })
    this.broker.createTopic(numbers.name, partitions)
  }

  /** Starts one more member. */
  async start(plan: Plan, settings: Partial<RunnerSettings> = {}): Promise<Member> {
    const client = this.broker.client('app')
    const reports: CommitReport[] = []
    const runner = new Runner({
      app: 'app',
      leaves: leavesOf(plan),
      client,
      store: this.store,
      limits: { everyMs: 1_000, maxItems: 10_000, maxBytes: 2 ** 26 },
      buffer: { maxBytes: 2 ** 28, maxItems: 1_000_000 },
      from: undefined,
      clock: this.clock,
      log: silentLogger,
      onCommit: (report) => reports.push(report),
      ...settings,
    })
    const member = { runner, client, reports }
    this.members.push(member)
    await runner.start()
    return member
  }

  append(values: readonly unknown[], partition = 0): void {
    for (const value of values) {
      const bytes = value === null ? null : Buffer.from(JSON.stringify(value))
      this.broker.append(numbers.name, partition, { value: bytes, timestamp: this.clock.now() })
    }
  }

  /** Rows that stand, in the order in which they were committed. */
  get rows(): number[] {
    return this.store.rows(out.name).map(({ n }) => n as number)
  }

  async progress(): Promise<Record<number, number>> {
    const known = await this.store.readProgress('app')
    return Object.fromEntries(known.map(({ partition, nextOffset }) => [partition, nextOffset]))
  }

  /** Waits until the condition holds; nothing in memory takes longer than a few turns. */
  async until(what: string, condition: () => boolean): Promise<void> {
    for (let turn = 0; turn < 5_000; turn++) {
      if (condition()) return
      await nextTurn()
    }
    throw new Error(`it never came to this: ${what}`)
  }

  /** Lets everything happen that needs no time. */
  async settle(): Promise<void> {
    for (let turn = 0; turn < 100; turn++) await nextTurn()
  }

  async advance(ms: number): Promise<void> {
    const end = this.clock.now() + ms
    await this.settle()
    while (this.clock.step(end)) await this.settle()
    await this.settle()
  }

  async stop(): Promise<void> {
    const stopped = Promise.all(this.members.map(({ runner }) => runner.stop(10_000)))
    await this.advance(10_000)
    await stopped
  }
}

/** A store of which some methods are others. */
export function storeWith(store: MemoryStore, methods: Partial<Store>): Store {
  return new Proxy<Store>(store, {
    get(target, name) {
      const own = methods[name as keyof Store]
      if (own !== undefined) return own
      const value: unknown = Reflect.get(target, name)
      return typeof value === 'function' ? value.bind(target) : value
    },
  })
}

export const upTo = (count: number, from = 0): number[] => Array.from({ length: count }, (_, n) => from + n)
