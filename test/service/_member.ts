/** A service over a broker and a store in memory, for tests of the service itself. */
import { type Clock, systemClock } from '../../src/core/clock.ts'
import type { Logger } from '../../src/core/logger.ts'
import { Service, type ServiceParts } from '../../src/service/service.ts'
import { defaults } from '../../src/service/settings.ts'
import { leavesOf, type Plan } from '../../src/stream.ts'
import { createMemoryBroker, type MemoryBroker } from '../../src/testing/memoryBroker.ts'
import { MemoryStore } from '../../src/testing/memoryStore.ts'

export interface Line {
  readonly level: string
  readonly fields: Record<string, unknown>
  readonly message: string | undefined
}

/** A logger that keeps what it is told. */
export function createLog(): {
  readonly log: Logger
  readonly lines: Line[]
  messages(level: string): (string | undefined)[]
} {
  const lines: Line[] = []
  const at = (level: string) => (fields: object, message?: string) => {
    lines.push({ level, fields: fields as Record<string, unknown>, message })
  }
  return {
    log: { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') },
    lines,
    messages: (level) => lines.filter((line) => line.level === level).map(({ message }) => message),
  }
}

export interface MemberOptions {
  readonly broker: MemoryBroker
  readonly store?: MemoryStore
  readonly clock?: Clock
  readonly stallAfterMs?: number
  readonly parts?: Partial<ServiceParts>
}

export function createMember(
  plan: Plan,
  { broker, store = new MemoryStore(), clock = systemClock, stallAfterMs, parts }: MemberOptions,
) {
  const journal = createLog()
  const service = new Service({
    group: 'g',
    leaves: leavesOf(plan),
    client: broker.client('g'),
    store,
    commit: defaults.commit,
    buffer: defaults.buffer,
    stateKeys: defaults.stateKeys,
    from: 'earliest',
    keepErrorsMs: 3_600_000,
    stallAfterMs: stallAfterMs ?? defaults.stallAfterMs,
    clock,
    log: journal.log,
    ...parts,
  })
  return { service, store, ...journal }
}

/** A topic `t` with numbered records, spread over its partitions. */
export function filledBroker({ partitions = 1, records = 0 } = {}): MemoryBroker {
  const broker = createMemoryBroker()
  broker.createTopic('t', partitions)
  append(broker, partitions, 0, records)
  return broker
}

export function append(broker: MemoryBroker, partitions: number, from: number, count: number): void {
  for (let id = from; id < from + count; id++) {
    broker.append('t', id % partitions, { value: Buffer.from(JSON.stringify({ id })) })
  }
}
