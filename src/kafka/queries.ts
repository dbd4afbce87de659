/**
 * Questions about topics, logs and the group, on connections of their own: the members' connection can be taken up by
 * a join for as long as a rebalance lasts. Opened by the first question.
 */
import type { Clock } from '../core/clock.ts'
import type { TopicShape } from '../core/emit.ts'
import { UnavailableError } from '../core/errors.ts'
import type { Logger } from '../core/logger.ts'
import type { RecordChunk } from '../core/record.ts'
import { singleRecord } from '../core/recordListChunk.ts'
import type { LogBounds, TopicPartition } from '../core/source.ts'
import { Connections } from './connections.ts'
import type { Decode } from './fetcher.ts'
import type { Broker } from './kafkajsInternals.ts'
import type { ResolvedKafkaSettings } from './settings.ts'
import { missingTopic } from './sourceErrors.ts'

/** How long one question is tried. */
const questionMs = 15_000
const earliest = -2
const latest = -1
const readCommitted = 1
const outOfRange = 1
const topicResource = 2
const usualMaxMessageBytes = 1_048_588

interface ListedOffsets {
  readonly responses: readonly { readonly partitions: readonly { readonly offset: string | number }[] }[]
}

interface DescribedConfigs {
  readonly resources: readonly { readonly configEntries: readonly { readonly configValue: string }[] }[]
}

interface FetchedOffsets {
  readonly responses: readonly { readonly partitions: readonly { readonly offset: string }[] }[]
}

export class Queries {
  readonly #connections: Connections
  readonly #decode: Decode

  constructor(settings: ResolvedKafkaSettings, logger: Logger, clock: Clock, decode: Decode) {
    this.#connections = new Connections(settings, logger, clock)
    this.#decode = decode
  }

  close(): void {
    this.#connections.close()
  }

  async bounds(of: TopicPartition): Promise<LogBounds> {
    const [start, end] = await Promise.all([this.#listOffset(of, earliest), this.#listOffset(of, latest)])
    return { start, end }
  }

  /** The first offset at or after the time; the end of the log when there is none. */
  async offsetAt(of: TopicPartition, timestampMs: number): Promise<number> {
    const found = await this.#listOffset(of, Math.max(0, Math.floor(timestampMs)))
    return found === -1 ? this.#listOffset(of, latest) : found
  }

  /** The record at the offset as a chunk of one; undefined where the log does not have it. */
  async recordAt(of: TopicPartition, offset: number): Promise<RecordChunk | undefined> {
    return this.#ask(async () => {
      const broker = await this.#leader(of)
      const asked = { ...of, offset }
      // One byte is enough to ask for: a broker always sends the first batch whole.
      const limits = { maxWaitMs: 0, minBytes: 1, maxBytes: 1, maxBytesPerPartition: 1 }
      const [fetched] = await this.#connections.fetch(broker, { partitions: [asked], ...limits })
      if (fetched === undefined || fetched.errorCode === outOfRange) return undefined
      if (fetched.errorCode !== 0) throw this.#connections.kafkajs.createErrorFromCode(fetched.errorCode)
      if (fetched.records.length === 0) return undefined
      for await (const chunk of this.#decode(fetched, offset)) {
        if (chunk.size > 0) return chunk.offset(0) === offset ? singleRecord(chunk, 0) : undefined
      }
      return undefined
    })
  }

  async committedOffset({ topic, partition }: TopicPartition): Promise<number | undefined> {
    return this.#ask(async () => {
      const coordinator = await this.#coordinator()
      const { responses } = await this.#connections.request<FetchedOffsets>(coordinator, 'OffsetFetch', {
        groupId: this.#groupId,
        topics: [{ topic, partitions: [{ partition }] }],
      })
      const offset = Number(responses[0]?.partitions[0]?.offset ?? -1)
      return offset >= 0 ? offset : undefined
    })
  }

  /** Throws SourceError MR-KAFKA-TOPIC-MISSING for the first topic that does not exist, with what exists that is near. */
  async requireTopics(topics: readonly string[], deadlineMs: number, signal: AbortSignal): Promise<void> {
    const { cluster } = this.#connections
    await this.#connections.untilDeadline(
      async () => {
        await cluster.connect()
        await cluster.addMultipleTargetTopics(topics)
        await cluster.refreshMetadata()
        const missing = topics.find((topic) =>
          cluster.brokerPool.metadata?.topicErrors.some((e) => e.topic === topic && e.code === 3),
        )
        if (missing !== undefined) throw missingTopic(missing, await this.#topicNames())
        for (const topic of topics) this.#connections.partitionsOf(topic)
      },
      deadlineMs,
      signal,
    )
  }

  /** What has to be known of a topic that is written, and that was asked for by `requireTopics`. */
  async shapeOf(topic: string): Promise<TopicShape> {
    const partitions = this.#connections.partitionsOf(topic).length
    return { partitions, maxRecordBytes: await this.#maxMessageBytes(topic) }
  }

  /** Not every client may ask; what is usual is then taken for true, and a broker that takes less says so. */
  async #maxMessageBytes(topic: string): Promise<number> {
    try {
      const { resources } = await this.#ask(async () => {
        const broker = await this.#connections.cluster.brokerPool.findConnectedBroker()
        const asked = { type: topicResource, name: topic, configNames: ['max.message.bytes'] }
        return this.#connections.request<DescribedConfigs>(broker, 'DescribeConfigs', { resources: [asked] })
      })
      const bytes = Number(resources[0]?.configEntries[0]?.configValue)
      return Number.isSafeInteger(bytes) && bytes > 0 ? bytes : usualMaxMessageBytes
    } catch {
      return usualMaxMessageBytes
    }
  }

  /** Leaves the group for a member; the way out when its own connection waits for a join. */
  async leaveGroup(memberId: string): Promise<void> {
    await this.#connections.request(await this.#coordinator(), 'LeaveGroup', { groupId: this.#groupId, memberId })
  }

  get #groupId(): string {
    return this.#connections.context.settings.groupId
  }

  async #listOffset(of: TopicPartition, timestamp: number): Promise<number> {
    return this.#ask(async () => {
      const { responses } = await this.#connections.request<ListedOffsets>(await this.#leader(of), 'ListOffsets', {
        isolationLevel: readCommitted,
        topics: [{ topic: of.topic, partitions: [{ partition: of.partition, timestamp }] }],
      })
      return Number(responses[0]?.partitions[0]?.offset ?? -1)
    })
  }

  async #ask<T>(question: () => Promise<T>): Promise<T> {
    let again = false
    return this.#connections.untilDeadline(async () => {
      await this.#connections.cluster.connect()
      if (again) await this.#connections.cluster.refreshMetadata()
      again = true
      return question()
    }, questionMs)
  }

  async #leader({ topic, partition }: TopicPartition): Promise<Broker> {
    const { cluster, kafkajs } = this.#connections
    await cluster.addMultipleTargetTopics([topic])
    const found = this.#connections.partitionsOf(topic).find(({ partitionId }) => partitionId === partition)
    if (found === undefined) {
      // The group's leader may have seen a partition that was added before this member's metadata, or a broker's, has it.
      throw new UnavailableError('MR-KAFKA-TOPIC-MISSING', {
        what: `the topic "${topic}" has no partition ${partition}`,
        why: `It has ${this.#connections.partitionsOf(topic).length}.`,
        fix: 'A topic cannot lose partitions; was it created anew?',
      })
    }
    if (found.leader < 0) throw kafkajs.createErrorFromCode(5)
    return cluster.findBroker({ nodeId: found.leader })
  }

  async #coordinator(): Promise<Broker> {
    const { cluster } = this.#connections
    await cluster.connect()
    await cluster.addMultipleTargetTopics([])
    return cluster.findGroupCoordinator({ groupId: this.#groupId })
  }

  async #topicNames(): Promise<readonly string[]> {
    const broker = await this.#connections.cluster.brokerPool.findConnectedBroker()
    const { topicMetadata } = await this.#connections.request<{ topicMetadata: readonly { topic: string }[] }>(
      broker,
      'Metadata',
      {
        topics: [],
        allowAutoTopicCreation: false,
      },
    )
    return topicMetadata.map(({ topic }) => topic).filter((topic) => !topic.startsWith('__'))
  }
}
