/** What stands where no Kafka is to be written to. */
import type { Outbox, TopicShape, TopicWriter } from '../core/emit.ts'
import { SettingsError } from '../core/errors.ts'

/** Where no Kafka was named: whatever is to be written to a topic is refused. */
export const noWriter: TopicWriter = {
  async open(topic) {
    throw missing(topic)
  },
  shapeOf: () => undefined,
  async send([record]) {
    if (record !== undefined) throw missing(record.topic)
  },
  async close() {},
}

const anyShape: TopicShape = { partitions: 1, maxRecordBytes: Number.POSITIVE_INFINITY }

/** Takes everything and sends nothing. */
export const silentWriter: TopicWriter = {
  async open() {},
  shapeOf: () => anyShape,
  async send() {},
  async close() {},
}

/** For what is run again: readers of topics have what it emitted when it ran first. */
export const droppingWriter: TopicWriter = { ...silentWriter, drops: true }

/** Where nothing is kept that would have to be sent. */
export const emptyOutbox: Outbox = {
  left: async () => ({ sequence: 0, emits: [] }),
  forget: async () => {},
}

function missing(topic: string): SettingsError {
  return new SettingsError('MR-EMIT-KAFKA', {
    what: `topic "${topic}" is written, but no Kafka was named`,
    why: 'A run over inputs that end needs Kafka for that only.',
    fix: 'Name its brokers: run(plan, { postgres, kafka: { brokers } }), or --brokers.',
  })
}
