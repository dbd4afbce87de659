/**
 * The fetch request, version 11 (Kafka 2.3 and newer), written and read here and sent over kafkajs's connections.
 *
 * kafkajs's own would decode every record on its way through, fail for all partitions when one has an error, and hide
 * the list of aborted transactions. This one touches nothing below the partition: its records stay the bytes that came.
 */
import { SourceError } from '../core/errors.ts'
import type { Encoder, Kafkajs, ProtocolRequest } from './kafkajsInternals.ts'
import type { AbortedTransaction } from './records/abortedTransactions.ts'

export const FETCH_VERSION = 11
const FETCH_API_KEY = 1

export interface PartitionToFetch {
  readonly topic: string
  readonly partition: number
  readonly offset: number
}

export interface FetchRequest {
  readonly partitions: readonly PartitionToFetch[]
  /** How long the broker may wait for `minBytes`. */
  readonly maxWaitMs: number
  readonly minBytes: number
  readonly maxBytes: number
  readonly maxBytesPerPartition: number
}

/** What came for one partition. */
export interface FetchedPartition {
  readonly topic: string
  readonly partition: number
  /** Kafka's error code; 0 is none. */
  readonly errorCode: number
  /** First position of the log. */
  readonly startOffset: number
  /** The position up to which committed records can be read: the last stable offset, as Java's consumer counts lag. */
  readonly endOffset: number
  /** Records of these are in the bytes; the reader skips them. */
  readonly aborted: readonly AbortedTransaction[]
  /** Record batches as the broker sent them; the last one may be cut off. */
  readonly records: Buffer
}

/** Builds the request; its answer is the fetched partitions, errors among them as codes. */
export function fetchRequest(kafkajs: Kafkajs, asked: FetchRequest): ProtocolRequest<readonly FetchedPartition[]> {
  return {
    request: {
      apiKey: FETCH_API_KEY,
      apiVersion: FETCH_VERSION,
      apiName: 'Fetch',
      encode: async () => encode(new kafkajs.Encoder(), asked),
    },
    response: {
      decode: async (payload) => decodeFetchResponse(payload),
      parse: async (decoded: DecodedFetch) => {
        if (decoded.errorCode !== 0) throw kafkajs.createErrorFromCode(decoded.errorCode)
        return decoded.partitions
      },
    },
    requestTimeout: asked.maxWaitMs + 100,
  }
}

const ORDINARY_CONSUMER = -1
const READ_COMMITTED = 1
const NO_SESSION_ID = 0
const NO_SESSION_EPOCH = -1
const UNKNOWN_LEADER_EPOCH = -1

function encode(encoder: Encoder, asked: FetchRequest): Encoder {
  encoder.writeInt32(ORDINARY_CONSUMER).writeInt32(asked.maxWaitMs).writeInt32(asked.minBytes)
  encoder.writeInt32(asked.maxBytes).writeInt8(READ_COMMITTED)
  encoder.writeInt32(NO_SESSION_ID).writeInt32(NO_SESSION_EPOCH)
  encoder.writeInt32(asked.partitions.length)
  // One entry for each partition, in the caller's order: the broker fills its answer in that order.
  for (const { topic, partition, offset } of asked.partitions) {
    encoder.writeString(topic).writeInt32(1)
    encoder.writeInt32(partition).writeInt32(UNKNOWN_LEADER_EPOCH).writeInt64(offset)
    encoder.writeInt64(-1).writeInt32(asked.maxBytesPerPartition)
  }
  return encoder.writeInt32(0).writeString('')
}

export interface DecodedFetch {
  /** kafkajs holds requests back for this long when the broker asks for it. */
  readonly clientSideThrottleTime: number
  readonly errorCode: number
  readonly partitions: readonly FetchedPartition[]
}

/** Reads the answer. Throws SourceError MR-KAFKA-PROTOCOL when it is not one. */
export function decodeFetchResponse(bytes: Buffer): DecodedFetch {
  try {
    const reader = new Reader(bytes)
    const clientSideThrottleTime = reader.int32()
    const errorCode = reader.int16()
    reader.int32()
    const partitions: FetchedPartition[] = []
    for (let topics = reader.int32(); topics > 0; topics--) {
      const topic = reader.string()
      for (let count = reader.int32(); count > 0; count--) partitions.push(decodePartition(reader, topic))
    }
    return { clientSideThrottleTime, errorCode, partitions }
  } catch (cause) {
    throw new SourceError('MR-KAFKA-PROTOCOL', {
      what: 'a broker answered a fetch with bytes that are no fetch answer',
      why: 'A proxy in between, or a broker that is not Kafka, is the usual cause.',
      fix: 'Check what listens at the addresses in the setting "brokers" and at those that the brokers advertise.',
      cause,
    })
  }
}

function decodePartition(reader: Reader, topic: string): FetchedPartition {
  const partition = reader.int32()
  const errorCode = reader.int16()
  const highWatermark = reader.int64()
  const lastStableOffset = reader.int64()
  const startOffset = reader.int64()
  const aborted: AbortedTransaction[] = []
  for (let count = reader.int32(); count > 0; count--) {
    const producerId = reader.bigint64()
    aborted.push({ producerId, firstOffset: reader.int64() })
  }
  reader.int32()
  const endOffset = lastStableOffset >= 0 ? lastStableOffset : highWatermark
  return { topic, partition, errorCode, startOffset, endOffset, aborted, records: reader.bytes() }
}

/** Reads Kafka's fixed-width types; a read beyond the end throws a RangeError. */
class Reader {
  readonly #bytes: Buffer
  #at = 0

  constructor(bytes: Buffer) {
    this.#bytes = bytes
  }

  int16(): number {
    this.#at += 2
    return this.#bytes.readInt16BE(this.#at - 2)
  }

  int32(): number {
    this.#at += 4
    return this.#bytes.readInt32BE(this.#at - 4)
  }

  bigint64(): bigint {
    this.#at += 8
    return this.#bytes.readBigInt64BE(this.#at - 8)
  }

  int64(): number {
    return Number(this.bigint64())
  }

  string(): string {
    return this.#take(this.int16()).toString('utf8')
  }

  bytes(): Buffer {
    return this.#take(Math.max(0, this.int32()))
  }

  #take(length: number): Buffer {
    const end = this.#at + length
    if (length < 0 || end > this.#bytes.length)
      throw new RangeError(`${length} bytes at ${this.#at}, there are ${this.#bytes.length}`)
    const taken = this.#bytes.subarray(this.#at, end)
    this.#at = end
    return taken
  }
}
