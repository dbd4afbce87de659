/** Reads partitions of Kafka topics without joining a group. */
import { type Clock, systemClock } from '../core/clock.ts'
import { type Logger, silentLogger } from '../core/logger.ts'
import type { AssignedPartition, DirectClient, TopicPartition } from '../core/source.ts'
import { Connections } from './connections.ts'
import { type Decode, Fetcher } from './fetcher.ts'
import type { FetchSlot } from './fetchSlot.ts'
import type { KafkaClientOptions } from './kafkaClient.ts'
import { PartitionReader } from './partitionReader.ts'
import { Queries } from './queries.ts'
import { decodeFetch } from './records/decodeFetch.ts'
import { type KafkaSettings, type ResolvedKafkaSettings, resolveKafkaSettings } from './settings.ts'

/** Connects when it is opened. Throws SettingsError MR-KAFKA-SETTING. */
export function createDirectClient(settings: KafkaSettings, options: KafkaClientOptions = {}): DirectClient {
  return new KafkaDirectClient(
    resolveKafkaSettings(settings),
    options.logger ?? silentLogger,
    options.clock ?? systemClock,
  )
}

class KafkaDirectClient implements DirectClient {
  readonly #settings: ResolvedKafkaSettings
  readonly #connections: Connections
  readonly #queries: Queries
  readonly #fetcher: Fetcher

  constructor(settings: ResolvedKafkaSettings, logger: Logger, clock: Clock) {
    this.#settings = settings
    const { maxUnpackedBytes } = settings
    const decode: Decode = (fetched, fetchedOffset) => decodeFetch({ ...fetched, fetchedOffset }, { maxUnpackedBytes })
    this.#connections = new Connections(settings, logger, clock)
    this.#queries = new Queries(settings, logger, clock, decode)
    this.#fetcher = new Fetcher({
      connections: this.#connections,
      clock,
      logger,
      decode,
      bounds: (of) => this.#queries.bounds(of),
    })
  }

  async open(partitions: readonly TopicPartition[], revoked: AbortSignal): Promise<readonly AssignedPartition[]> {
    const topics = [...new Set(partitions.map(({ topic }) => topic))]
    const { connectTimeoutMs } = this.#settings
    await this.#queries.requireTopics(topics, connectTimeoutMs, revoked)
    await this.#connections.untilDeadline(
      async () => {
        await this.#connections.cluster.connect()
        await this.#connections.cluster.addMultipleTargetTopics(topics)
      },
      connectTimeoutMs,
      revoked,
    )
    const slots = partitions.map(({ topic, partition }): FetchSlot => ({ topic, partition, reader: undefined }))
    this.#fetcher.assign(slots)
    revoked.addEventListener(
      'abort',
      () => {
        for (const slot of slots) slot.reader?.close()
      },
      { once: true },
    )
    return slots.map((slot) => this.#partition(slot, revoked))
  }

  async close(): Promise<void> {
    this.#fetcher.assign([])
    this.#connections.close()
    this.#queries.close()
  }

  #partition(slot: FetchSlot, revoked: AbortSignal): AssignedPartition {
    const of: TopicPartition = { topic: slot.topic, partition: slot.partition }
    return {
      ...of,
      revoked,
      bounds: () => this.#queries.bounds(of),
      offsetAt: (timestampMs) => this.#queries.offsetAt(of, timestampMs),
      recordAt: (offset) => this.#queries.recordAt(of, offset),
      read: (offset) => {
        slot.reader?.close()
        const reader = new PartitionReader(offset, () => this.#fetcher.wake())
        if (revoked.aborted) reader.close()
        else slot.reader = reader
        return reader
      },
      hint: () => {},
    }
  }
}
