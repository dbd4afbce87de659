/** The connections of one client to a cluster, and the requests that go over them. */
import { setMaxListeners } from 'node:events'
import { type Clock, sleep } from '../core/clock.ts'
import { SourceError, UnavailableError } from '../core/errors.ts'
import type { Logger } from '../core/logger.ts'
import { FETCH_VERSION, type FetchedPartition, type FetchRequest, fetchRequest } from './fetchProtocol.ts'
import { type ErrorContext, kafkaError } from './kafkaErrors.ts'
import { type Broker, type Cluster, type Kafkajs, loadKafkajs, type PartitionMetadata } from './kafkajsInternals.ts'
import { kafkajsLogger } from './kafkajsLogger.ts'
import { judge } from './retryable.ts'
import type { KafkaSaslSettings, ResolvedKafkaSettings } from './settings.ts'
import { createSockets, type Sockets } from './sockets.ts'

/** One connection attempt; `connectTimeoutMs` of the settings bounds them all together. */
const oneConnectionMs = 5_000
const authenticationMs = 10_000
/** A broker that does not answer within this is taken for dead: the connection is broken and made anew. */
const requestMs = 15_000
const firstPauseMs = 100
const longestPauseMs = 2_000
/** Kafka's code for a topic or partition that a broker does not know. */
const unknownTopic = 3

/** The pause before try number `attempt` (from 0): doubling, with a share of chance so that members do not come back in step. */
export function pauseBefore(attempt: number): number {
  return Math.min(longestPauseMs, firstPauseMs * 2 ** attempt) * (0.75 + Math.random() / 2)
}

export class Connections {
  readonly kafkajs: Kafkajs
  readonly cluster: Cluster
  readonly context: ErrorContext
  readonly #sockets: Sockets
  readonly #clock: Clock
  readonly #closing = new AbortController()

  constructor(settings: ResolvedKafkaSettings, logger: Logger, clock: Clock) {
    this.kafkajs = loadKafkajs()
    // One fetch loop for each broker may listen.
    setMaxListeners(0, this.#closing.signal)
    this.#clock = clock
    const connectionTimeout = Math.min(oneConnectionMs, settings.connectTimeoutMs)
    this.#sockets = createSockets(connectionTimeout)
    this.context = {
      settings,
      sightings: () => this.#sockets.sightings(),
      served: () => this.cluster.brokerPool.metadata !== null,
    }
    this.cluster = new this.kafkajs.Cluster({
      logger: kafkajsLogger(this.kafkajs, logger),
      brokers: settings.brokers,
      clientId: settings.clientId,
      ssl: settings.ssl === false ? null : settings.ssl,
      sasl: settings.sasl === undefined ? null : saslOptions(settings.sasl),
      connectionTimeout,
      authenticationTimeout: authenticationMs,
      requestTimeout: requestMs,
      enforceRequestTimeout: true,
      metadataMaxAge: settings.metadataMaxAgeMs,
      allowAutoTopicCreation: false,
      socketFactory: this.#sockets.factory,
      // A request that was not answered in time leaves a connection on which nothing may ever be answered again: break it.
      // Heard of here and not from the error, which kafkajs keeps to itself when it asks for metadata or a coordinator.
      instrumentationEmitter: {
        emit: (event, { broker }) => {
          if (event === 'network.request_timeout') this.#sockets.drop(broker)
        },
      },
      // kafkajs tries each broker of the list once or twice; how long it goes on is decided here.
      retry: { retries: Math.max(2, settings.brokers.length), initialRetryTime: firstPauseMs, maxRetryTime: 1_000 },
    })
  }

  /** Aborts when the connections are closed for good. */
  get closed(): AbortSignal {
    return this.#closing.signal
  }

  /** The partitions of a topic as last heard. Throws the broker's error when the topic has one instead, or is unknown. */
  partitionsOf(topic: string): readonly PartitionMetadata[] {
    const metadata = this.cluster.brokerPool.metadata
    const found = metadata?.topicMetadata.find((known) => known.topic === topic)
    if (found !== undefined) return found.partitionMetadata
    const failed = metadata?.topicErrors.find((known) => known.topic === topic)
    throw this.kafkajs.createErrorFromCode(failed?.code ?? unknownTopic)
  }

  /** Breaks all connections now. kafkajs's own disconnect waits for answers that may never come. */
  close(): void {
    this.#closing.abort()
    this.#sockets.close()
  }

  /** One request to a broker, in the newest version that both speak. */
  async request<T>(broker: Broker, name: string, args: object): Promise<T> {
    const { apiKeys, requests } = this.kafkajs
    const apiKey = apiKeys[name]
    const definitions = requests[name]
    if (apiKey === undefined || definitions === undefined) throw new TypeError(`kafkajs has no request ${name}`)
    return (await broker.connectionPool.send(broker.lookupRequest(apiKey, definitions)(args))) as T
  }

  /** Fetches; throws SourceError MR-KAFKA-VERSION from brokers older than 2.3. */
  async fetch(broker: Broker, asked: FetchRequest): Promise<readonly FetchedPartition[]> {
    const spoken = broker.versions?.[1]
    if (spoken !== undefined && (spoken.maxVersion < FETCH_VERSION || spoken.minVersion > FETCH_VERSION)) {
      throw new SourceError('MR-KAFKA-VERSION', {
        what: `broker ${broker.connectionPool.host}:${broker.connectionPool.port} does not speak fetch version ${FETCH_VERSION}`,
        why: `It speaks versions ${spoken.minVersion} to ${spoken.maxVersion}; Kafka 2.3 and newer are supported.`,
        fix: 'Use a newer Kafka.',
      })
    }
    return broker.connectionPool.send(fetchRequest(this.kafkajs, asked))
  }

  /**
   * Tries until it works, as long as the error may go away and `deadlineMs` has not passed.
   * Then, and for any other error, throws what it means.
   */
  async untilDeadline<T>(work: () => Promise<T>, deadlineMs: number, signal?: AbortSignal): Promise<T> {
    const until = this.#clock.now() + deadlineMs
    let last: unknown = Object.assign(new Error('no answer'), { name: 'TimedOut' })
    for (let attempt = 0; ; attempt++) {
      const left = until - this.#clock.now()
      if (this.closed.aborted) throw stopped()
      if (left <= 0 || signal?.aborted) throw kafkaError(last, this.context)
      try {
        return await within(this.#clock, left, work())
      } catch (error) {
        last = error
        if (this.closed.aborted) throw stopped()
        if (judge(error).reaction === 'stop') throw kafkaError(error, this.context)
      }
      await sleep(this.#clock, Math.min(pauseBefore(attempt), Math.max(0, until - this.#clock.now())), signal)
    }
  }
}

function stopped(): UnavailableError {
  return new UnavailableError('MR-KAFKA-STOPPED', {
    what: 'the Kafka client was stopped',
    fix: 'Make another one; a client is for one start.',
  })
}

/** The promise's outcome, or a rejection that is judged `again` after `ms`. The work itself goes on unheard. */
export async function within<T>(clock: Clock, ms: number, work: Promise<T>): Promise<T> {
  let cancel = (): void => {}
  const late = new Promise<never>((_resolve, reject) => {
    cancel = clock.schedule(ms, () => reject(Object.assign(new Error('no answer in time'), { name: 'TimedOut' })))
  })
  try {
    return await Promise.race([work, late])
  } finally {
    cancel()
  }
}

/** A fresh object each time: kafkajs writes into it. */
function saslOptions(sasl: KafkaSaslSettings): object {
  return { mechanism: sasl.mechanism, username: sasl.username, password: sasl.password }
}
