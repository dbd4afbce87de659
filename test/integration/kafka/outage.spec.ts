/** A broker that dies, hangs or is away: a broker of this file's own, so that it can be broken. */
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { type KafkaService, startKafka } from '../../../dev/services/index.ts'
import type { AssignedPartition, Assignment, SourceClient } from '../../../src/core/source.ts'
import { createKafkaClient } from '../../../src/kafka/kafkaClient.ts'
import type { KafkaSettings } from '../../../src/kafka/settings.ts'
import { until } from '../../support/until.ts'
import { type KafkaHarness, openKafkaHarness } from './kafkaHarness.ts'

let service: KafkaService
let topics = 0
let following: Following | undefined

beforeAll(async () => {
  service = await startKafka()
}, 120_000)
afterEach(async () => {
  service.resume()
  await following?.client.stop(5_000)
})
afterAll(() => service?.stop())

/** A client that reads its topic on and on, from where it is, through every assignment. */
class Following {
  readonly values: string[] = []
  readonly assignments: Assignment[] = []
  readonly failures: Error[] = []
  readonly readFailures: unknown[] = []
  readonly client: SourceClient
  readonly topic: string
  #position = 0

  constructor(topic: string, settings: Partial<KafkaSettings>) {
    this.topic = topic
    this.client = createKafkaClient({
      brokers: service.brokers,
      groupId: `g-${topic}`,
      sessionTimeoutMs: 3_000,
      ...settings,
    })
  }

  async start(): Promise<this> {
    const onAssigned = (assignment: Assignment): void => {
      this.assignments.push(assignment)
      for (const partition of assignment.partitions) void this.#read(partition)
    }
    await this.client.start([this.topic], onAssigned, (error) => this.failures.push(error))
    return this
  }

  get revoked(): boolean {
    return this.assignments.at(-1)?.partitions.every(({ revoked }) => revoked.aborted) ?? false
  }

  async #read(partition: AssignedPartition): Promise<void> {
    try {
      for await (const chunk of partition.read(this.#position)) {
        for (let index = 0; index < chunk.size; index++) this.values.push(chunk.value(index)?.toString() ?? '')
        this.#position = chunk.nextOffset
      }
    } catch (error) {
      this.readFailures.push(error)
    }
  }
}

async function follow(settings: Partial<KafkaSettings> = {}): Promise<Following> {
  const topic = `outage-${topics++}`
  await withHarness(async (harness) => {
    await harness.createTopic(topic, 1)
    await harness.append(topic, 0, [{ value: 'before' }])
  })
  following = await new Following(topic, settings).start()
  const { values } = following
  await until('the first record is read', () => values.length === 1)
  return following
}

/** A producer and admin for a moment only: what they do in an outage is not what is tested. */
async function withHarness(work: (harness: KafkaHarness) => Promise<void>): Promise<void> {
  const harness = await openKafkaHarness(service.brokers)
  try {
    await work(harness)
  } finally {
    await harness.close()
  }
}

const appendTo = (topic: string, value: string): Promise<void> =>
  withHarness((harness) => harness.append(topic, 0, [{ value }]))

describe('the Kafka client', { timeout: 120_000 }, () => {
  it('goes on where it was when the broker was killed and comes back', async () => {
    const reader = await follow()
    await service.kill()
    await until('it takes its partitions for lost', () => reader.revoked)
    await service.restart()
    await appendTo(reader.topic, 'after')
    await until('the next record is read', () => reader.values.length === 2)
    expect(reader.values).toEqual(['before', 'after'])
    expect([reader.failures, reader.readFailures]).toEqual([[], []])
  })

  it('takes its partitions for lost when the broker hangs for longer than its session, and comes back', async () => {
    const reader = await follow()
    service.pause()
    await until('it takes its partitions for lost', () => reader.revoked)
    service.resume()
    await appendTo(reader.topic, 'after')
    await until('the next record is read', () => reader.values.length === 2)
    expect(reader.values).toEqual(['before', 'after'])
    expect([reader.failures, reader.readFailures]).toEqual([[], []])
  })

  it('stops within its deadline while the broker hangs', async () => {
    const reader = await follow()
    service.pause()
    const begun = Date.now()
    await reader.client.stop(1_000)
    expect(Date.now() - begun).toBeLessThan(3_000)
    expect(reader.revoked).toBe(true)
  })

  it('says so when it gives up, with its partitions revoked', async () => {
    const reader = await follow({ giveUpAfterMs: 2_000 })
    await service.kill()
    await until('it gives up', () => reader.failures.length > 0)
    expect(reader.failures).toMatchObject([{ code: 'MR-KAFKA-UNREACHABLE', retryable: true }])
    expect(reader.revoked).toBe(true)
    await reader.client.stop(5_000)
    expect(reader.failures).toHaveLength(1)
    await service.restart()
  })

  it('is thrown out, and comes back, when the event loop is blocked for longer than its session', async () => {
    const reader = await follow()
    const begun = Date.now()
    while (Date.now() - begun < 4_500);
    await until('it has joined again', () => reader.assignments.length >= 2 && !reader.revoked)
    await appendTo(reader.topic, 'after')
    await until('the next record is read', () => reader.values.length === 2)
    expect(reader.assignments[0]?.partitions[0]?.revoked.aborted).toBe(true)
  })
})
