import { createRequire } from 'node:module'
import { describe, expect, it } from 'vitest'
import { SourceError } from '../../src/core/errors.ts'
import { decodeFetchResponse, fetchRequest } from '../../src/kafka/fetchProtocol.ts'
import { loadKafkajs } from '../../src/kafka/kafkajsInternals.ts'

const kafkajs = loadKafkajs()
const require = createRequire(import.meta.url)
const kafkajsRequest = require('kafkajs/src/protocol/requests/fetch/v11/request.js') as (args: object) => {
  encode(): Promise<{ buffer: Buffer }>
}

const limits = { maxWaitMs: 250, minBytes: 1, maxBytes: 1_000_000, maxBytesPerPartition: 65_536 }

/** Writes the answer of a broker as the protocol has it. */
class Answer {
  readonly #parts: Buffer[] = []

  int(bits: 16 | 32 | 64, value: number): this {
    const bytes = Buffer.alloc(bits / 8)
    if (bits === 64) bytes.writeBigInt64BE(BigInt(value))
    else bytes.writeIntBE(value, 0, bits / 8)
    return this.bytes(bytes)
  }

  string(text: string): this {
    return this.int(16, Buffer.byteLength(text)).bytes(Buffer.from(text))
  }

  bytes(bytes: Buffer): this {
    this.#parts.push(bytes)
    return this
  }

  get buffer(): Buffer {
    return Buffer.concat(this.#parts)
  }
}

function partition(answer: Answer, number: number, errorCode: number, stable: number, records: Buffer): Answer {
  answer.int(32, number).int(16, errorCode).int(64, 100).int(64, stable).int(64, 7)
  answer.int(32, 1).int(64, 42).int(64, 50)
  return answer.int(32, -1).int(32, records.length).bytes(records)
}

function wholeAnswer(): Answer {
  const answer = new Answer().int(32, 30).int(16, 0).int(32, 0).int(32, 2)
  partition(answer.string('a').int(32, 2), 0, 0, 90, Buffer.from('batch'))
  partition(answer, 3, 1, -1, Buffer.alloc(0))
  return partition(answer.string('b').int(32, 1), 1, 0, 95, Buffer.from('other'))
}

describe('the fetch request', () => {
  it('is the same bytes as kafkajs writes for version 11', async () => {
    const partitions = [
      { topic: 'a', partition: 0, offset: 5_000_000_000 },
      { topic: 'b', partition: 7, offset: 0 },
    ]
    const ours = (await fetchRequest(kafkajs, { partitions, ...limits }).request.encode()) as unknown as {
      buffer: Buffer
    }
    const theirs = await kafkajsRequest({
      replicaId: -1,
      isolationLevel: 1,
      maxWaitTime: limits.maxWaitMs,
      minBytes: limits.minBytes,
      maxBytes: limits.maxBytes,
      topics: partitions.map(({ topic, partition: number, offset }) => ({
        topic,
        partitions: [{ partition: number, fetchOffset: String(offset), maxBytes: limits.maxBytesPerPartition }],
      })),
    }).encode()
    expect(ours.buffer.equals(theirs.buffer)).toBe(true)
  })
})

describe('the fetch answer', () => {
  it('is read down to the bytes of each partition, an error of one beside the others', () => {
    const { clientSideThrottleTime, errorCode, partitions } = decodeFetchResponse(wholeAnswer().buffer)
    expect([clientSideThrottleTime, errorCode]).toEqual([30, 0])
    const aborted = [{ producerId: 42n, firstOffset: 50 }]
    expect(partitions).toEqual([
      { topic: 'a', partition: 0, errorCode: 0, startOffset: 7, endOffset: 90, aborted, records: Buffer.from('batch') },
      { topic: 'a', partition: 3, errorCode: 1, startOffset: 7, endOffset: 100, aborted, records: Buffer.alloc(0) },
      { topic: 'b', partition: 1, errorCode: 0, startOffset: 7, endOffset: 95, aborted, records: Buffer.from('other') },
    ])
  })

  it('shares the memory of the answer: nothing is copied', () => {
    const { buffer } = wholeAnswer()
    expect(decodeFetchResponse(buffer).partitions[0]?.records.buffer).toBe(buffer.buffer)
  })

  it('that is cut off anywhere is a named error, not a crash', () => {
    const { buffer } = wholeAnswer()
    for (let length = 0; length < buffer.length; length++) {
      expect(() => decodeFetchResponse(buffer.subarray(0, length)), `${length} bytes`).toThrow(SourceError)
    }
    expect(() => decodeFetchResponse(Buffer.from('HTTP/1.1 400 Bad Request'))).toThrow('MR-KAFKA-PROTOCOL')
  })

  it('throws the error that stands for all partitions', async () => {
    const answer = new Answer().int(32, 0).int(16, 41).int(32, 0).int(32, 0)
    const { response } = fetchRequest(kafkajs, { partitions: [], ...limits })
    const decoded = (await response.decode(answer.buffer)) as never
    await expect(response.parse(decoded)).rejects.toThrow()
  })
})
