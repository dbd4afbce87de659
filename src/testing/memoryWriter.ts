import type { OutgoingRecord, TopicShape, TopicWriter } from '../core/emit.ts'
import { missingTopic } from '../kafka/sourceErrors.ts'
import type { MemoryBroker } from './memoryBroker.ts'

export interface MemoryWriterOptions {
  /** Partitions of topics that do not exist yet: they are made. Without it, one that does not exist is refused. */
  readonly create?: number
  /** The largest record that a topic takes, in bytes. Default: as Kafka has it. */
  readonly maxRecordBytes?: number
}

const usualMaxBytes = 1_048_588

/** Writes to the topics of a broker in memory. */
export function memoryWriter(broker: MemoryBroker, options: MemoryWriterOptions = {}): TopicWriter {
  const { create, maxRecordBytes = usualMaxBytes } = options
  const shapes = new Map<string, TopicShape>()
  return {
    async open(topic) {
      if (create !== undefined && broker.partitionsOf(topic) === 0) broker.createTopic(topic, create)
      const partitions = broker.partitionsOf(topic)
      if (partitions === 0) throw missingTopic(topic, [])
      shapes.set(topic, { partitions, maxRecordBytes })
    },
    shapeOf: (topic) => shapes.get(topic),
    async send(records: readonly OutgoingRecord[]) {
      for (const { topic, partition, ...record } of records) broker.append(topic, partition, record)
    },
    async close() {},
  }
}
