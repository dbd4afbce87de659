/**
 * Decodes the same batches of 10,000 JSON records with kafkajs's decoder and with ours, in turns in one process, and
 * prints a JSON line for each way: nanoseconds a record and their ratio.
 *
 *     node --import tsx bench/decode.ts
 */
import { createRequire } from 'node:module'
import { gzipSync } from 'node:zlib'
import { compressFrameSync } from 'lz4-napi'
import { compressSync } from 'snappy'
import { decodeFetch } from '../src/kafka/records/decodeFetch.ts'

const RECORDS = 10_000
const VALUE_BYTES = 187
const WARM_UP_ROUNDS = 60
const ROUNDS = 41
const HEADER_BYTES = 61

interface Encoder {
  readonly buffer: Buffer
}
interface KafkajsMessage {
  readonly key: Buffer | null
  readonly value: Buffer | null
}

const require = createRequire(import.meta.url)
const Decoder = require('kafkajs/src/protocol/decoder') as new (bytes: Buffer) => object
const decodeMessages = require('kafkajs/src/protocol/requests/fetch/v4/decodeMessages') as (
  decoder: object,
) => Promise<KafkajsMessage[]>
const { RecordBatch } = require('kafkajs/src/protocol/recordBatch/v0') as {
  RecordBatch(batch: object): Promise<Encoder>
}
const encodeRecord = require('kafkajs/src/protocol/recordBatch/record/v0') as (record: object) => Encoder

/** One way to read the batch: what each record costs it, and a sum that shows that it read them all. */
interface Way {
  readonly name: string
  run(records: Buffer): Promise<number>
}

async function makeBatch(): Promise<Buffer> {
  const records = Array.from({ length: RECORDS }, (_, i) => {
    const flight = {
      id: i,
      origin: 'LAS',
      destination: 'SFO',
      delay: i % 60,
      distance: 414,
      date: '2001-01-01T00:01:00Z',
    }
    const value = JSON.stringify({ ...flight, note: '' })
    const note = 'on time, at gate '.repeat(10).slice(0, VALUE_BYTES - value.length)
    return encodeRecord({
      offsetDelta: i,
      timestampDelta: i * 3,
      key: Buffer.from('LAS'),
      value: Buffer.from(JSON.stringify({ ...flight, note })),
    })
  })
  const batch = await RecordBatch({
    firstOffset: 0,
    firstTimestamp: 1e12,
    maxTimestamp: 1e12,
    lastOffsetDelta: RECORDS - 1,
    records,
  })
  return batch.buffer
}

/** The same batch with its records compressed. */
function packed(batch: Buffer, compression: number, pack: (body: Buffer) => Buffer): Buffer {
  const bytes = Buffer.concat([batch.subarray(0, HEADER_BYTES), pack(batch.subarray(HEADER_BYTES))])
  bytes.writeInt32BE(bytes.length - 12, 8)
  bytes.writeInt16BE(compression, 21)
  return bytes
}

const parsed = (text: string): number => (JSON.parse(text) as { delay: number }).delay

async function readByKafkajs(records: Buffer, read: (message: KafkajsMessage) => number): Promise<number> {
  const size = Buffer.alloc(4)
  size.writeInt32BE(records.length)
  let sum = 0
  for (const message of await decodeMessages(new Decoder(Buffer.concat([size, records])))) sum += read(message)
  return sum
}

const kafkajs: Way = { name: 'kafkajs', run: (records) => readByKafkajs(records, ({ value }) => value?.length ?? 0) }
const kafkajsParsing: Way = {
  name: 'kafkajs',
  run: (records) => readByKafkajs(records, ({ value }) => parsed(String(value))),
}

interface Utf8Sliceable {
  utf8Slice(start: number, end: number): string
}

const fetchOf = (records: Buffer) => ({
  topic: 't',
  partition: 0,
  fetchedOffset: 0,
  endOffset: RECORDS,
  aborted: [],
  records,
})

const millrace: Way = {
  name: 'millrace',
  async run(records) {
    let sum = 0
    for await (const chunk of decodeFetch(fetchOf(records))) {
      for (let i = 0; i < chunk.size; i++) sum += chunk.valueEnd(i) - chunk.valueStart(i)
    }
    return sum
  },
}

const millraceParsing: Way = {
  name: 'millrace',
  async run(records) {
    let sum = 0
    for await (const chunk of decodeFetch(fetchOf(records))) {
      for (let i = 0; i < chunk.size; i++) {
        const bytes = chunk.valueBuffer(i) as unknown as Utf8Sliceable
        sum += parsed(bytes.utf8Slice(chunk.valueStart(i), chunk.valueEnd(i)))
      }
    }
    return sum
  },
}

async function nanoseconds(way: Way, records: Buffer): Promise<{ sum: number; ns: number }> {
  // Native buffers are freed in a turn of the event loop, which a consumer has between two fetches.
  await new Promise(setImmediate)
  const start = process.hrtime.bigint()
  const sum = await way.run(records)
  return { sum, ns: Number(process.hrtime.bigint() - start) / RECORDS }
}

const median = (values: number[]): number => values.sort((a, b) => a - b)[values.length >> 1] ?? 0
const rounded = (value: number): number => Math.round(value * 10) / 10

/**
 * Nanoseconds a record of each way: medians of rounds in which the ways take turns, so that a busy machine hits both.
 */
async function compare(name: string, records: Buffer, ways: readonly [Way, Way]): Promise<void> {
  const times: [number[], number[]] = [[], []]
  const sums = new Set<number>()
  for (let round = -WARM_UP_ROUNDS; round < ROUNDS; round++) {
    for (const [i, way] of ways.entries()) {
      const { sum, ns } = await nanoseconds(way, records)
      sums.add(sum)
      if (round >= 0) times[i]?.push(ns)
    }
  }
  if (sums.size !== 1) throw new Error(`${name}: the ways read different records`)
  const [baseline, ours] = [median(times[0]), median(times[1])]
  console.log(
    JSON.stringify({
      decode: name,
      millrace_ns: rounded(ours),
      kafkajs_ns: rounded(baseline),
      ratio: rounded(baseline / ours),
    }),
  )
}

/** kafkajs reads gzip only; the others show what unpacking adds. */
async function measureUnpacking(name: string, records: Buffer): Promise<void> {
  const times: number[] = []
  for (let round = -WARM_UP_ROUNDS; round < ROUNDS; round++) {
    const { ns } = await nanoseconds(millrace, records)
    if (round >= 0) times.push(ns)
  }
  console.log(JSON.stringify({ decode: name, millrace_ns: rounded(median(times)) }))
}

const batch = await makeBatch()
await compare('positions', batch, [kafkajs, millrace])
await compare('positions, JSON.parse', batch, [kafkajsParsing, millraceParsing])
await compare('positions, gzip', packed(batch, 1, gzipSync), [kafkajs, millrace])
await measureUnpacking(
  'positions, snappy',
  packed(batch, 2, (body) => compressSync(body)),
)
await measureUnpacking(
  'positions, lz4',
  packed(batch, 3, (body) => compressFrameSync(body)),
)
