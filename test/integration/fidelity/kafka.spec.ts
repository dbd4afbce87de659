/** Random scripts leave the same log on the memory broker, which the simulation reads from, and on a real Kafka. */
import fc from 'fast-check'
import type { Producer, Transaction } from 'kafkajs'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { AssignedPartition, SourceClient } from '../../../src/core/source.ts'
import { createMemoryBroker, type MemoryBroker, type MemoryTransaction } from '../../../src/testing/memoryBroker.ts'
import { freshName } from '../../support/services.ts'
import { until } from '../../support/until.ts'
import { type KafkaHarness, openKafkaHarness } from '../kafka/kafkaHarness.ts'

/** Each script has a partition of its own. */
const scriptsPlayed = 100
const producers = 2

type Step =
  | { readonly kind: 'append'; readonly count: number }
  | { readonly kind: 'append in transaction'; readonly producer: number; readonly count: number }
  | { readonly kind: 'end transactions'; readonly commits: readonly boolean[] }
  | { readonly kind: 'retention'; readonly offset: number }
  | { readonly kind: 'look'; readonly from: number; readonly at: number; readonly timestamp: number }

const count = fc.integer({ min: 1, max: 4 })
const producer = fc.nat({ max: producers - 1 })
const offset = fc.nat({ max: 20 })
const timestamp = fc.integer({ min: 1_000, max: 1_020 })

const scripts: fc.Arbitrary<readonly Step[]> = fc.array(
  fc.oneof(
    fc.record({ kind: fc.constant('append' as const), count }),
    { weight: 2, arbitrary: fc.record({ kind: fc.constant('append in transaction' as const), producer, count }) },
    {
      weight: 2,
      arbitrary: fc.record({
        kind: fc.constant('end transactions' as const),
        commits: fc.tuple(fc.boolean(), fc.boolean()),
      }),
    },
    fc.record({ kind: fc.constant('retention' as const), offset }),
    { weight: 2, arbitrary: fc.record({ kind: fc.constant('look' as const), from: offset, at: offset, timestamp }) },
  ),
  { minLength: 3, maxLength: 12, size: 'max' },
)

/** What records are appended to: one partition of one of the two. */
interface Side {
  append(values: readonly Appended[]): Promise<void>
  appendIn(producer: number, values: readonly Appended[]): Promise<void>
  end(producer: number, commits: boolean): Promise<void>
  deleteBefore(offset: number): Promise<void>
  readonly partition: AssignedPartition
}

interface Appended {
  readonly value: string
  readonly timestamp: number
}

const topic = freshName('fidelity')
let harness: KafkaHarness
let broker: MemoryBroker
const clients: SourceClient[] = []
const transactional: Producer[] = []
let modelled: readonly AssignedPartition[]
let real: readonly AssignedPartition[]

beforeAll(async () => {
  harness = await openKafkaHarness()
  await harness.createTopic(topic, scriptsPlayed)
  broker = createMemoryBroker({ chunkRecords: 3 })
  broker.createTopic(topic, scriptsPlayed)
  modelled = await assigned(broker.client('g'))
  real = await assigned(harness.client(topic))
  for (let index = 0; index < producers; index++) {
    const transactionalId = `${topic}-${index}`
    const created = harness.kafka.producer({ transactionalId, idempotent: true, maxInFlightRequests: 1 })
    await created.connect()
    transactional.push(created)
  }
})
afterAll(async () => {
  await Promise.all(clients.map((client) => client.stop(5_000)))
  await Promise.all(transactional.map((created) => created.disconnect()))
  await harness.close()
})

function assigned(client: SourceClient): Promise<readonly AssignedPartition[]> {
  clients.push(client)
  return new Promise((resolve, reject) => {
    const inOrder = (partitions: readonly AssignedPartition[]) =>
      partitions.toSorted((a, b) => a.partition - b.partition)
    client.start([topic], ({ partitions }) => resolve(inOrder(partitions)), reject).catch(reject)
  })
}

function memorySide(number: number): Side {
  const open = new Map<number, MemoryTransaction>()
  const record = ({ value, timestamp: at }: Appended) => ({ value: Buffer.from(value), timestamp: at })
  return {
    partition: at(modelled, number),
    async append(values) {
      for (const value of values) broker.append(topic, number, record(value))
    },
    async appendIn(index, values) {
      const transaction = open.get(index) ?? broker.transaction()
      open.set(index, transaction)
      for (const value of values) transaction.append(topic, number, record(value))
    },
    async end(index, commits) {
      if (commits) open.get(index)?.commit()
      else open.get(index)?.abort()
      open.delete(index)
    },
    async deleteBefore(before) {
      broker.deleteBefore(topic, number, before)
    },
  }
}

function kafkaSide(number: number): Side {
  const open = new Map<number, Transaction>()
  const sent = (values: readonly Appended[]) => ({
    topic,
    messages: values.map(({ value, timestamp: at }) => ({ value, partition: number, timestamp: String(at) })),
  })
  return {
    partition: at(real, number),
    append: async (values) => void (await harness.producer.send(sent(values))),
    async appendIn(index, values) {
      const transaction = open.get(index) ?? (await at(transactional, index).transaction())
      open.set(index, transaction)
      await transaction.send(sent(values))
    },
    async end(index, commits) {
      await (commits ? open.get(index)?.commit() : open.get(index)?.abort())
      open.delete(index)
    },
    deleteBefore: (before) => harness.deleteBefore(topic, number, before),
  }
}

function at<T>(values: readonly T[], index: number): T {
  const value = values[index]
  if (value === undefined) throw new Error(`there is nothing at ${index}`)
  return value
}

interface Look {
  readonly from: number
  readonly at: number
  readonly timestamp: number | undefined
}

/** What a reader finds. */
async function look({ partition }: Side, { from, at: one, timestamp: time }: Look) {
  const { start, end } = await partition.bounds()
  const record = await partition.recordAt(one)
  // A marker has the time at which it was written, which is beyond all of these.
  const ofTime = time === undefined ? undefined : await partition.offsetAt(time)
  const records = await readToEnd(partition, Math.max(from, start), end)
  return { start, end, records, at: record?.value(0)?.toString(), ofTime }
}

async function readToEnd(partition: AssignedPartition, from: number, end: number): Promise<readonly string[]> {
  const records: string[] = []
  if (from >= end) return records
  for await (const chunk of partition.read(from)) {
    for (let index = 0; index < chunk.size; index++)
      records.push(`${chunk.offset(index)} ${chunk.value(index)} ${chunk.timestamp(index)}`)
    if (chunk.nextOffset >= end) return records
  }
  throw new Error('the partition was taken away')
}

async function play(script: readonly Step[], memory: Side, kafka: Side): Promise<void> {
  const sides: readonly Side[] = [memory, kafka]
  let appended = 0
  const values = (of: number) =>
    Array.from({ length: of }, () => ({ value: `v${appended}`, timestamp: 1_000 + appended++ }))
  const open = new Set<number>()
  let hasMarkers = false
  // A marker is written some time after the end of its transaction was answered, and seen when no other is open.
  const end = async (commits: readonly boolean[]) => {
    if (open.size === 0) return
    hasMarkers = true
    for (const index of open) for (const side of sides) await side.end(index, commits[index] ?? true)
    open.clear()
    const { end: expected } = await memory.partition.bounds()
    await until('the markers are there', async () => (await kafka.partition.bounds()).end === expected, 10_000)
  }
  for (const step of script) {
    switch (step.kind) {
      case 'append': {
        const given = values(step.count)
        for (const side of sides) await side.append(given)
        break
      }
      case 'append in transaction': {
        const given = values(step.count)
        open.add(step.producer)
        for (const side of sides) await side.appendIn(step.producer, given)
        break
      }
      case 'end transactions':
        await end(step.commits)
        break
      case 'retention': {
        // A broker refuses to delete what it has not got.
        const { start, end } = await memory.partition.bounds()
        const before = Math.max(start, Math.min(step.offset, end))
        for (const side of sides) await side.deleteBefore(before)
        break
      }
      case 'look': {
        const asked = hasMarkers ? { ...step, timestamp: undefined } : step
        expect(await look(memory, asked)).toEqual(await look(kafka, asked))
        break
      }
      default:
        step satisfies never
    }
  }
  await end([])
  const all = { from: 0, at: 0, timestamp: undefined }
  expect(await look(memory, all)).toEqual(await look(kafka, all))
}

test(`${scriptsPlayed} random scripts`, async () => {
  let number = 0
  await fc.assert(
    fc.asyncProperty(fc.noBias(scripts), async (script) => {
      const own = number++
      await play(script, memorySide(own), kafkaSide(own))
    }),
    // To shrink would take more partitions than there are.
    { numRuns: scriptsPlayed, endOnFailure: true },
  )
}, 200_000)
