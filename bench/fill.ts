/** Makes a topic and fills it: event `id` goes to partition `id % partitions`, in large record batches, uncompressed. */
import { Kafka, logLevel, type Message, Partitioners } from 'kafkajs'
import { benchEvent } from './events.ts'

/** Partitions of every topic of the benchmark. */
export const partitions = 4

/** Records in one send; a quarter of them makes a record batch of about half a megabyte. */
const perSend = 10_000

export function benchKafka(brokers: readonly string[]): Kafka {
  return new Kafka({ clientId: 'millrace-bench', brokers: [...brokers], logLevel: logLevel.ERROR })
}

/** Makes an empty topic. */
export async function createTopic(brokers: readonly string[], topic: string): Promise<void> {
  const admin = benchKafka(brokers).admin()
  await admin.connect()
  try {
    const configEntries = [{ name: 'retention.ms', value: '-1' }]
    await admin.createTopics({
      waitForLeaders: true,
      topics: [{ topic, numPartitions: partitions, replicationFactor: -1, configEntries }],
    })
  } finally {
    await admin.disconnect()
  }
}

/** Writes the events 0 to `records` - 1. */
export async function fill(
  brokers: readonly string[],
  topic: string,
  records: number,
  eventOf: (id: number) => { readonly account: string } = benchEvent,
): Promise<void> {
  const producer = benchKafka(brokers).producer({ createPartitioner: Partitioners.DefaultPartitioner })
  await producer.connect()
  try {
    let onItsWay: Promise<unknown> = Promise.resolve()
    for (let from = 0; from < records; from += perSend) {
      const messages = benchMessages(from, Math.min(from + perSend, records), eventOf)
      await onItsWay
      onItsWay = producer.send({ topic, acks: -1, messages })
      onItsWay.catch(() => {})
    }
    await onItsWay
  } finally {
    await producer.disconnect()
  }
}

/** The events `from` to `to` - 1 as messages. */
export function benchMessages(
  from: number,
  to: number,
  eventOf: (id: number) => { readonly account: string } = benchEvent,
): Message[] {
  const messages: Message[] = []
  for (let id = from; id < to; id++) {
    const event = eventOf(id)
    messages.push({ key: event.account, value: JSON.stringify(event), partition: id % partitions })
  }
  return messages
}
