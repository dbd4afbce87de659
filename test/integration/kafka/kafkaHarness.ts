/** A real Kafka for the contract: topics and records are made with the ordinary kafkajs, beside our private copy of it. */
import { type Admin, Kafka, logLevel, type Producer } from 'kafkajs'
import { createKafkaClient } from '../../../src/kafka/kafkaClient.ts'
import type { KafkaSettings } from '../../../src/kafka/settings.ts'
import type { ContractRecord, SourceClientHarness } from '../../contracts/sourceClient.ts'
import { brokers as shared } from '../../support/services.ts'
import { createTopic } from '../../support/topics.ts'

export interface KafkaHarness extends SourceClientHarness {
  readonly brokers: readonly string[]
  readonly kafka: Kafka
  readonly admin: Admin
  readonly producer: Producer
  settings(groupId: string): KafkaSettings
}

/** By default the brokers that all integration tests share; `brokers` for a test that breaks its own. */
export async function openKafkaHarness(brokers: readonly string[] = shared): Promise<KafkaHarness> {
  const kafka = new Kafka({ brokers: [...brokers], clientId: 'tests', logLevel: logLevel.NOTHING })
  const admin = kafka.admin()
  const producer = kafka.producer({
    createPartitioner:
      () =>
      ({ message }) =>
        message.partition ?? 0,
    allowAutoTopicCreation: false,
  })
  await Promise.all([admin.connect(), producer.connect()])
  const settings = (groupId: string): KafkaSettings => ({
    brokers,
    groupId,
    sessionTimeoutMs: 10_000,
    metadataMaxAgeMs: 500,
  })
  return {
    brokers,
    kafka,
    admin,
    producer,
    settings,
    createTopic: (topic, numPartitions) => createTopic(admin, { topic, numPartitions }),
    addPartitions: async (topic, count) => {
      await admin.createPartitions({ topicPartitions: [{ topic, count }] })
    },
    append: async (topic, partition, records) => {
      await producer.send({ topic, messages: records.map((record) => toMessage(record, partition)) })
    },
    deleteBefore: async (topic, partition, offset) => {
      // kafkajs looks for the leader in metadata that it may not have asked for yet.
      await admin.fetchTopicOffsets(topic)
      await admin.deleteTopicRecords({ topic, partitions: [{ partition, offset: String(offset) }] })
    },
    client: (groupId) => createKafkaClient(settings(groupId)),
    close: async () => {
      await Promise.all([admin.disconnect(), producer.disconnect()])
    },
  }
}

function toMessage({ key = null, value, headers = {}, timestamp }: ContractRecord, partition: number) {
  const stamp = timestamp === undefined ? {} : { timestamp: String(timestamp) }
  return { key, value, headers: { ...headers }, partition, ...stamp }
}
