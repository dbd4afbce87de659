/** Writes records to Kafka: acknowledged by all replicas that are in sync, and one request at a time for each partition. */
import { type Clock, systemClock } from '../core/clock.ts'
import type { OutgoingRecord, TopicShape, TopicWriter } from '../core/emit.ts'
import { UnavailableError } from '../core/errors.ts'
import { type Logger, silentLogger } from '../core/logger.ts'
import { Connections } from './connections.ts'
import type { KafkaClientOptions } from './kafkaClient.ts'
import { type Piece, produce } from './produce.ts'
import { Queries } from './queries.ts'
import { decodeFetch } from './records/decodeFetch.ts'
import { type KafkaSettings, type ResolvedKafkaSettings, resolveKafkaSettings } from './settings.ts'

/** How long records are tried to be sent before somebody else decides. */
const sendMs = 30_000
/** Bytes of the records of one request and partition, but for a record that is larger by itself. */
const pieceBytes = 2 ** 20
/** Bytes of all that is on its way at once. */
const roundBytes = 16 * 2 ** 20
/** What a record takes beside its own bytes, and then a batch. */
const recordFrame = 100
const batchFrame = 200

/** Connects when it is first asked. Throws SettingsError MR-KAFKA-SETTING. */
export function createTopicWriter(settings: KafkaSettings, options: KafkaClientOptions = {}): TopicWriter {
  return new KafkaTopicWriter(
    resolveKafkaSettings(settings),
    options.logger ?? silentLogger,
    options.clock ?? systemClock,
  )
}

class KafkaTopicWriter implements TopicWriter {
  readonly #settings: ResolvedKafkaSettings
  readonly #connections: Connections
  readonly #queries: Queries
  readonly #shapes = new Map<string, TopicShape>()

  constructor(settings: ResolvedKafkaSettings, logger: Logger, clock: Clock) {
    this.#settings = settings
    const { maxUnpackedBytes } = settings
    this.#connections = new Connections(settings, logger, clock)
    this.#queries = new Queries(settings, logger, clock, (fetched, fetchedOffset) =>
      decodeFetch({ ...fetched, fetchedOffset }, { maxUnpackedBytes }),
    )
  }

  async open(topic: string): Promise<void> {
    const { connectTimeoutMs } = this.#settings
    await this.#queries.requireTopics([topic], connectTimeoutMs, this.#connections.closed)
    this.#shapes.set(topic, await this.#queries.shapeOf(topic))
  }

  shapeOf(topic: string): TopicShape | undefined {
    return this.#shapes.get(topic)
  }

  async send(records: readonly OutgoingRecord[], signal: AbortSignal): Promise<void> {
    await unless(signal, this.#sendAll(records, signal))
  }

  async close(): Promise<void> {
    this.#connections.close()
    this.#queries.close()
  }

  async #sendAll(records: readonly OutgoingRecord[], signal: AbortSignal): Promise<void> {
    const queues = piecesOf(records, (topic) => this.#shapes.get(topic)?.maxRecordBytes ?? pieceBytes)
    while (queues.length > 0 && !signal.aborted) {
      const round: Piece[] = []
      let bytes = 0
      for (const queue of queues) {
        const piece = queue[0] as Piece
        if (round.length > 0 && bytes + piece.bytes > roundBytes) break
        bytes += piece.bytes
        round.push(piece)
      }
      await this.#deliver(round, signal)
      for (const queue of queues.splice(0, round.length)) if (queue.shift() && queue.length > 0) queues.push(queue)
    }
  }

  /** Sends what is left of a round again, until nothing is. */
  async #deliver(round: readonly Piece[], signal: AbortSignal): Promise<void> {
    const { cluster } = this.#connections
    let left = round
    let again = false
    await this.#connections.untilDeadline(
      async () => {
        await cluster.connect()
        await cluster.addMultipleTargetTopics([...new Set(left.map(({ topic }) => topic))])
        if (again) await cluster.refreshMetadata()
        again = true
        const refused = await produce(this.#connections, left)
        left = refused.map(({ piece }) => piece)
        if (refused[0] !== undefined) throw refused[0].error
      },
      sendMs,
      signal,
    )
  }
}

/** The records of each partition, in pieces that its topic takes. */
function piecesOf(records: readonly OutgoingRecord[], maxBytes: (topic: string) => number): Piece[][] {
  const queues = new Map<string, { records: OutgoingRecord[]; bytes: number; pieces: Piece[] }>()
  const endPiece = (queue: { records: OutgoingRecord[]; bytes: number; pieces: Piece[] }) => {
    const [{ topic, partition }] = queue.records as [OutgoingRecord]
    queue.pieces.push({ topic, partition, records: queue.records, bytes: queue.bytes })
    queue.records = []
    queue.bytes = batchFrame
  }
  for (const record of records) {
    const name = `${record.partition} ${record.topic}`
    const queue = queues.get(name) ?? { records: [], bytes: batchFrame, pieces: [] }
    queues.set(name, queue)
    const size = sizeOf(record)
    if (queue.records.length > 0 && queue.bytes + size > Math.min(pieceBytes, maxBytes(record.topic))) endPiece(queue)
    queue.records.push(record)
    queue.bytes += size
  }
  for (const queue of queues.values()) endPiece(queue)
  return Array.from(queues.values(), ({ pieces }) => pieces)
}

function sizeOf({ key, value, headers }: OutgoingRecord): number {
  let size = recordFrame + (key?.length ?? 0) + (value?.length ?? 0)
  for (const header of headers) size += header.key.length * 3 + (header.value?.length ?? 0) + 10
  return size
}

/** The outcome of work, or a rejection as soon as the signal aborts: the work itself goes on unheard. */
async function unless<T>(signal: AbortSignal, work: Promise<T>): Promise<T> {
  let giveUp = (): void => {}
  const aborted = new Promise<never>((_resolve, reject) => {
    giveUp = () => reject(new UnavailableError('MR-EMIT-ABANDONED', { what: 'sending records was given up' }))
    if (signal.aborted) giveUp()
    else signal.addEventListener('abort', giveUp, { once: true })
  })
  try {
    return await Promise.race([work, aborted])
  } finally {
    signal.removeEventListener('abort', giveUp)
  }
}
