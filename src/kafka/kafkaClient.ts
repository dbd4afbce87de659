/** The source client for Kafka: what the port in core promises, put together from its parts. */
import { type Clock, systemClock } from '../core/clock.ts'
import { InternalError, messageOf } from '../core/errors.ts'
import { type Logger, silentLogger } from '../core/logger.ts'
import type { AssignedPartition, Assignment, SourceClient, TopicPartition } from '../core/source.ts'
import { Connections, within } from './connections.ts'
import { type Decode, Fetcher } from './fetcher.ts'
import type { FetchSlot } from './fetchSlot.ts'
import { type Generation, GroupMember } from './groupMember.ts'
import { OffsetHints } from './offsetHints.ts'
import { PartitionReader } from './partitionReader.ts'
import { Queries } from './queries.ts'
import { decodeFetch } from './records/decodeFetch.ts'
import { type KafkaSettings, type ResolvedKafkaSettings, resolveKafkaSettings } from './settings.ts'

/** What a client takes from its surroundings. */
export interface KafkaClientOptions {
  /** Default: says nothing. */
  readonly logger?: Logger
  /** Default: the system's. */
  readonly clock?: Clock
}

/**
 * A client for one member of the group in `settings`. It connects when it is started or asked something.
 * Throws SettingsError MR-KAFKA-SETTING.
 */
export function createKafkaClient(settings: KafkaSettings, options: KafkaClientOptions = {}): SourceClient {
  return new KafkaClient(resolveKafkaSettings(settings), options.logger ?? silentLogger, options.clock ?? systemClock)
}

/** What exists from start to stop. */
interface Running {
  readonly connections: Connections
  readonly fetcher: Fetcher
  readonly member: GroupMember
  /** Settles, never rejects, when the member's loop has ended. */
  readonly membership: Promise<void>
  generation: { readonly of: Generation; readonly hints: OffsetHints } | undefined
}

class KafkaClient implements SourceClient {
  readonly #settings: ResolvedKafkaSettings
  readonly #logger: Logger
  readonly #clock: Clock
  readonly #decode: Decode
  readonly #queries: Queries
  readonly #stop = new AbortController()
  #started = false
  #running: Running | undefined

  constructor(settings: ResolvedKafkaSettings, logger: Logger, clock: Clock) {
    this.#settings = settings
    this.#logger = logger
    this.#clock = clock
    const { maxUnpackedBytes } = settings
    this.#decode = (fetched, fetchedOffset) => decodeFetch({ ...fetched, fetchedOffset }, { maxUnpackedBytes })
    this.#queries = new Queries(settings, logger, clock, this.#decode)
  }

  async start(
    topics: readonly string[],
    onAssigned: (assignment: Assignment) => void,
    onFailed: (error: Error) => void,
  ): Promise<void> {
    if (this.#started) {
      throw new InternalError('MR-KAFKA-CLIENT', {
        what: 'a Kafka client was started twice',
        fix: 'Create another one.',
      })
    }
    this.#started = true
    const connections = new Connections(this.#settings, this.#logger, this.#clock)
    try {
      await this.#queries.requireTopics(topics, this.#settings.connectTimeoutMs, this.#stop.signal)
      await connections.untilDeadline(
        async () => {
          await connections.cluster.connect()
          await connections.cluster.addMultipleTargetTopics(topics)
        },
        this.#settings.connectTimeoutMs,
        this.#stop.signal,
      )
      await this.#beMember(connections, topics, onAssigned, onFailed)
    } catch (error) {
      connections.close()
      this.#queries.close()
      if (!this.#stop.signal.aborted) throw error
    }
  }

  /** Resolves with the first assignment; later failures go to `onFailed`. */
  #beMember(
    connections: Connections,
    topics: readonly string[],
    onAssigned: (assignment: Assignment) => void,
    onFailed: (error: Error) => void,
  ): Promise<void> {
    const { promise, resolve, reject } = deferred<void>()
    const fetcher = new Fetcher({
      connections,
      clock: this.#clock,
      logger: this.#logger,
      decode: this.#decode,
      bounds: (of) => this.#queries.bounds(of),
    })
    const member = new GroupMember({ connections, topics, clock: this.#clock, logger: this.#logger })
    const membership = member
      .run(this.#stop.signal, (generation) => {
        this.#begin(generation, onAssigned)
        resolve()
      })
      .then(resolve, (error: Error) => {
        fetcher.assign([])
        connections.close()
        if (this.#running?.generation === undefined) reject(error)
        else onFailed(error)
      })
    this.#running = { connections, fetcher, member, membership, generation: undefined }
    return promise
  }

  /** Hands out what a join gave. */
  #begin(generation: Generation, onAssigned: (assignment: Assignment) => void): void {
    const running = this.#running
    if (running === undefined) return
    const hints = new OffsetHints(
      (positions) => running.member.commit(generation, positions),
      this.#clock,
      this.#logger,
    )
    running.generation = { of: generation, hints }
    const slots = generation.partitions.map(
      ({ topic, partition }): FetchSlot => ({ topic, partition, reader: undefined }),
    )
    running.fetcher.assign(slots)
    generation.over.addEventListener('abort', () => {
      for (const slot of slots) slot.reader?.close()
      // Still taken by the group until the others have joined; lag tools would otherwise show what was done as lag.
      void hints.flush()
    })
    this.#logger.info({ generation: generation.id, partitions: slots.length }, 'joined the group')
    onAssigned({ partitions: slots.map((slot) => this.#assigned(slot, generation, hints, running.fetcher)) })
  }

  #assigned(slot: FetchSlot, { over }: Generation, hints: OffsetHints, fetcher: Fetcher): AssignedPartition {
    const of: TopicPartition = { topic: slot.topic, partition: slot.partition }
    return {
      ...of,
      revoked: over,
      bounds: () => this.#queries.bounds(of),
      offsetAt: (timestampMs) => this.#queries.offsetAt(of, timestampMs),
      recordAt: (offset) => this.#queries.recordAt(of, offset),
      read: (offset) => {
        slot.reader?.close()
        const reader = new PartitionReader(offset, () => fetcher.wake())
        if (over.aborted) reader.close()
        else slot.reader = reader
        return reader
      },
      hint: (nextOffset) => {
        if (!over.aborted) hints.set(of, nextOffset)
      },
    }
  }

  async stop(deadlineMs: number): Promise<void> {
    this.#stop.abort()
    try {
      await within(this.#clock, deadlineMs, this.#leave())
    } catch (error) {
      this.#logger.warn(
        { error: messageOf(error) },
        'the group was not left in time; it will notice by the session timeout',
      )
    } finally {
      this.#running?.connections.close()
      this.#queries.close()
    }
  }

  /** Leaves at once, also in the middle of a join, so that the others need not wait for the session timeout. */
  async #leave(): Promise<void> {
    const running = this.#running
    if (running === undefined) return
    await running.generation?.hints.flush()
    if (running.member.memberId !== '') await this.#queries.leaveGroup(running.member.memberId)
    running.connections.close()
    await running.membership
  }

  committedOffset(partition: TopicPartition): Promise<number | undefined> {
    return this.#queries.committedOffset(partition)
  }
}

interface Deferred<T> {
  readonly promise: Promise<T>
  resolve(value: T): void
  reject(error: Error): void
}

function deferred<T>(): Deferred<T> {
  let settle: Pick<Deferred<T>, 'resolve' | 'reject'> | undefined
  const promise = new Promise<T>((resolve, reject) => {
    settle = { resolve, reject }
  })
  return { promise, resolve: (value) => settle?.resolve(value), reject: (error) => settle?.reject(error) }
}
