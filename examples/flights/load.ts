/** Fills the topic `flights`: in Kafka, or in a broker in memory. */
import { type Kafka, Partitioners } from 'kafkajs'
import type { FlightRecord } from './records.ts'

export const flightsTopic = 'flights'
const flightsPartitions = 4

/** Told the number of records that have been written so far. */
export type OnLoaded = (records: number) => void

/**
 * Makes the topic and writes the records to it, by key, as the Java client would spread them.
 *
 * While the brokers write one block, the next one is encoded; there is never more than one on its way, so the order of
 * each partition is that of the records.
 */
export async function loadKafka(
  kafka: Kafka,
  blocks: AsyncIterable<FlightRecord[]>,
  onLoaded: OnLoaded,
): Promise<void> {
  const admin = kafka.admin()
  await admin.connect()
  try {
    await admin.createTopics({
      waitForLeaders: true,
      topics: [
        {
          topic: flightsTopic,
          numPartitions: flightsPartitions,
          // As the brokers have it by default: one on a broker of its own, more in a cluster.
          replicationFactor: -1,
          // The flights are of 2001: a topic that forgets after seven days would forget them while they are read.
          configEntries: [{ name: 'retention.ms', value: '-1' }],
        },
      ],
    })
  } finally {
    await admin.disconnect()
  }
  const producer = kafka.producer({ createPartitioner: Partitioners.DefaultPartitioner })
  await producer.connect()
  try {
    let loaded = 0
    let onItsWay: Promise<unknown> = Promise.resolve()
    for await (const records of blocks) {
      const messages = records.map(({ key, value, timestamp }) => ({ key, value, timestamp: String(timestamp) }))
      await onItsWay
      onItsWay = producer.send({ topic: flightsTopic, acks: -1, messages }).then(() => {
        loaded += messages.length
        onLoaded(loaded)
      })
      // A failure is thrown where it is awaited, one block later; until then it is no unhandled rejection.
      onItsWay.catch(() => {})
    }
    await onItsWay
  } finally {
    await producer.disconnect()
  }
}

/** What {@link loadMemory} needs of a broker in memory. */
export interface RecordTaker {
  createTopic(name: string, partitions: number): void
  append(topic: string, partition: number, record: { key: Buffer; value: Buffer | null; timestamp: number }): void
}

/** The same in a broker in memory: the same records in the same partitions. */
export async function loadMemory(
  broker: RecordTaker,
  blocks: AsyncIterable<FlightRecord[]>,
  onLoaded: OnLoaded,
): Promise<void> {
  broker.createTopic(flightsTopic, flightsPartitions)
  const partitionOf = Partitioners.DefaultPartitioner()
  const partitionMetadata = Array.from({ length: flightsPartitions }, (_, partitionId) => ({
    partitionErrorCode: 0,
    partitionId,
    leader: 0,
    replicas: [0],
    isr: [0],
  }))
  let loaded = 0
  for await (const records of blocks) {
    for (const { key, value, timestamp } of records) {
      const partition = partitionOf({ topic: flightsTopic, partitionMetadata, message: { key, value } })
      broker.append(flightsTopic, partition, { key: Buffer.from(key), value, timestamp })
    }
    loaded += records.length
    onLoaded(loaded)
  }
}
