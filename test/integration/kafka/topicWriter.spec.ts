/** The writer on a real Kafka: the contract, and what only a broker knows. */
import kafkajs from 'kafkajs'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { partitionFor } from '../../../src/core/emit.ts'
import { createTopicWriter } from '../../../src/kafka/topicWriter.ts'
import { topicWriterContract, type WrittenRecord } from '../../contracts/topicWriter.ts'
import { createTopic } from '../../support/topics.ts'
import { type KafkaHarness, openKafkaHarness } from './kafkaHarness.ts'

const never = new AbortController().signal

topicWriterContract('the Kafka writer', async () => {
  const harness = await openKafkaHarness()
  return {
    createTopic: (topic, partitions) => harness.createTopic(topic, partitions),
    writer: () => createTopicWriter(harness.settings('writer')),
    read: (topic, partition, count) => readFrom(harness, topic, partition, count),
    close: () => harness.close(),
  }
})

async function readFrom(harness: KafkaHarness, topic: string, partition: number, count: number) {
  const consumer = harness.kafka.consumer({ groupId: `read-${topic}-${partition}` })
  const records: WrittenRecord[] = []
  await consumer.connect()
  await consumer.subscribe({ topic, fromBeginning: true })
  try {
    await new Promise<void>((resolve, reject) => {
      consumer
        .run({
          eachMessage: async ({ partition: of, message: { key, value, timestamp, headers = {} } }) => {
            if (of !== partition) return
            records.push({
              key: key?.toString() ?? null,
              value: value?.toString() ?? null,
              timestamp: Number(timestamp),
              headers: Object.fromEntries(Object.entries(headers).map(([name, text]) => [name, String(text)])),
            })
            if (records.length === count) resolve()
          },
        })
        .catch(reject)
    })
  } finally {
    await consumer.disconnect()
  }
  return records
}

let harness: KafkaHarness
beforeAll(async () => {
  harness = await openKafkaHarness()
})
afterAll(() => harness.close())

test("a topic's own limit is known", async () => {
  const topic = `limited-${process.pid}-${Date.now()}`
  const configEntries = [{ name: 'max.message.bytes', value: '5000' }]
  await createTopic(harness.admin, { topic, numPartitions: 2, configEntries })
  const writer = createTopicWriter(harness.settings('writer'))
  try {
    await writer.open(topic)
    expect(writer.shapeOf(topic)).toEqual({ partitions: 2, maxRecordBytes: 5_000 })
    const record = { topic, partition: 0, key: null, timestamp: Date.now(), headers: [] }
    // Together they are more than the topic takes at once.
    await writer.send(
      [1, 2, 3, 4].map(() => ({ ...record, value: Buffer.alloc(3_000, 'x') })),
      never,
    )
    await expect(writer.send([{ ...record, value: Buffer.alloc(9_000, 'x') }], never)).rejects.toThrow(
      'MR-KAFKA-RECORD-SIZE',
    )
  } finally {
    await writer.close()
  }
})

test('a record without a key is refused by a compacted topic, and the error says so', async () => {
  const topic = `compacted-${process.pid}-${Date.now()}`
  await createTopic(harness.admin, {
    topic,
    numPartitions: 1,
    configEntries: [{ name: 'cleanup.policy', value: 'compact' }],
  })
  const writer = createTopicWriter(harness.settings('writer'))
  try {
    await writer.open(topic)
    const record = { topic, partition: 0, key: null, value: Buffer.from('x'), timestamp: Date.now(), headers: [] }
    await expect(writer.send([record], never)).rejects.toThrow('MR-KAFKA-RECORD')
  } finally {
    await writer.close()
  }
})

test("keys go to the partitions that Kafka's default partitioner chooses", () => {
  const choose = kafkajs.Partitioners.DefaultPartitioner()
  const partitionMetadata = Array.from({ length: 12 }, (_, partitionId) => ({
    partitionId,
    leader: 0,
    isr: [],
    replicas: [],
    partitionErrorCode: 0,
  }))
  for (let at = 0; at < 2_000; at++) {
    const key = Buffer.from(`${'kéy-'.repeat(at % 5)}${at * 7_919}`)
    const wanted = choose({ topic: 't', partitionMetadata, message: { key, value: null } })
    expect(partitionFor(key, 0, 12)).toBe(wanted)
  }
})
