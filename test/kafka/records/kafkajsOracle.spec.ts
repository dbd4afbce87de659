import { createRequire } from 'node:module'
import { gzipSync } from 'node:zlib'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { type BatchToWrite, decodeAll, fetched, LOG_APPEND_TIME, type PlainRecord, writeBatch } from './_batches.ts'
import { javaBytes } from './_java.ts'

interface KafkajsMessage {
  readonly offset: string
  readonly timestamp: string
  readonly key: Buffer | null
  readonly value: Buffer | null
  readonly headers: Readonly<Record<string, Buffer | null | (Buffer | null)[]>>
  readonly isControlRecord: boolean
}
interface Encoder {
  readonly buffer: Buffer
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

async function readByKafkajs(records: Buffer): Promise<object[]> {
  const size = Buffer.alloc(4)
  size.writeInt32BE(records.length)
  const messages = await decodeMessages(new Decoder(Buffer.concat([size, records])))
  return messages
    .filter((message) => !message.isControlRecord)
    .map(({ offset, timestamp, key, value, headers }) => ({
      offset: Number(offset),
      timestamp: Number(timestamp),
      key: key?.toString('base64') ?? null,
      value: value?.toString('base64') ?? null,
      headers: Object.fromEntries(
        Object.entries(headers).map(([name, found]) => [
          name,
          [found].flat().map((bytes) => bytes?.toString('base64') ?? null),
        ]),
      ),
    }))
}

/** In kafkajs's form: one list of values per header name. */
function asKafkajs({ headers, ...record }: PlainRecord): object {
  const byName = new Map<string, (string | null)[]>()
  for (const [name, value] of headers) byName.set(name, [...(byName.get(name) ?? []), value])
  return { ...record, headers: Object.fromEntries(byName) }
}

const bytes = fc.uint8Array({ maxLength: 200 }).map((array) => Buffer.from(array))
const nullable = fc.option(bytes, { nil: null })
// kafkajs keeps headers in an object and so cannot tell apart the names that every object has.
const headerName = fc.string({ unit: 'grapheme', maxLength: 8 }).filter((name) => !(name in {}))
const header = fc.record({ key: headerName, value: nullable })
const record = fc.record({
  gap: fc.oneof({ weight: 5, arbitrary: fc.constant(0) }, fc.nat(1_000_000)),
  timestampDelta: fc.oneof(fc.integer({ min: -100, max: 10_000 }), fc.integer({ min: -(2 ** 41), max: 2 ** 41 })),
  key: nullable,
  value: nullable,
  headers: fc.array(header, { maxLength: 4 }),
})
const batch = fc.record({
  gapBefore: fc.oneof(fc.constant(0), fc.nat(2 ** 40)),
  gapAfter: fc.oneof(fc.constant(0), fc.nat(100)),
  records: fc.array(record, { maxLength: 20 }),
  appendTime: fc.boolean(),
  gzipped: fc.boolean(),
})

/** Lays the batches one after the other in the log. */
const log = fc.array(batch, { maxLength: 5 }).map((parts) => {
  let next = 0
  return parts.map(
    ({ gapBefore, gapAfter, records, appendTime, gzipped }): BatchToWrite & { lastOffsetDelta: number } => {
      const baseOffset = next + gapBefore
      let delta = -1
      const placed = records.map(({ gap, ...rest }) => {
        delta += gap + 1
        return { ...rest, offsetDelta: delta }
      })
      const lastOffsetDelta = Math.max(0, delta) + gapAfter
      next = baseOffset + lastOffsetDelta + 1
      return {
        baseOffset,
        records: placed,
        lastOffsetDelta,
        attributes: (appendTime ? LOG_APPEND_TIME : 0) | (gzipped ? 1 : 0),
        baseTimestamp: 1_700_000_000_000,
        maxTimestamp: 1_800_000_000_000,
        ...(gzipped ? { pack: gzipSync } : {}),
      }
    },
  )
})

test('reads what kafkajs reads, whatever the batches', async () => {
  await fc.assert(
    fc.asyncProperty(log, async (batches) => {
      const all = Buffer.concat(batches.map(writeBatch))
      const { records, thrown } = await decodeAll(fetched(all))
      expect(thrown).toBeUndefined()
      expect(records.map(asKafkajs)).toEqual(await readByKafkajs(all))
    }),
    { numRuns: 300 },
  )
})

test('any cut gives the whole batches before it; any fetched offset gives the records from it on', async () => {
  await fc.assert(
    fc.asyncProperty(log, fc.nat(), fc.nat(), async (batches, cutSeed, offsetSeed) => {
      const written = batches.map(writeBatch)
      const all = Buffer.concat(written)
      const cut = cutSeed % (all.length + 1)
      const whole = batches.filter((_, i) => Buffer.concat(written.slice(0, i + 1)).length <= cut)
      const offsets = whole.flatMap(({ baseOffset, records }) =>
        records.map(({ offsetDelta }) => Number(baseOffset) + offsetDelta),
      )
      const last = whole.at(-1)
      const next = last === undefined ? 0 : Number(last.baseOffset) + last.lastOffsetDelta + 1
      const candidates = [0, next, ...offsets, ...offsets.map((offset) => offset + 1)]
      const fetchedOffset = candidates[offsetSeed % candidates.length] ?? 0

      const { chunks, records, thrown } = await decodeAll(fetched(all.subarray(0, cut), { fetchedOffset }))
      expect(thrown).toBeUndefined()
      expect(records.map(({ offset }) => offset)).toEqual(offsets.filter((offset) => offset >= fetchedOffset))
      expect(chunks.map(({ nextOffset }) => nextOffset)).toEqual(next > fetchedOffset ? [next] : [])
    }),
    { numRuns: 500 },
  )
})

test.each(['none', 'gzip', 'log-append-time', 'compacted', 'compacted-gzip', 'transactions'])(
  'reads the Java batches of %s as kafkajs does',
  async (name) => {
    const { records } = await decodeAll(fetched(javaBytes(name)))
    expect(records.map(asKafkajs)).toEqual(await readByKafkajs(javaBytes(name)))
  },
)

test('reads the batches that kafkajs writes', async () => {
  const records = Array.from({ length: 300 }, (_, i) => ({
    offsetDelta: i,
    timestampDelta: i * 100,
    key: i % 3 === 0 ? null : Buffer.from(`k${i}`),
    value: i % 4 === 0 ? null : Buffer.from('v'.repeat(i)),
    headers: i % 2 === 0 ? {} : { a: Buffer.from('1'), b: [Buffer.from('2'), Buffer.from('3')] },
  }))
  const encoded = await RecordBatch({
    firstOffset: 17,
    lastOffsetDelta: 299,
    firstTimestamp: 1e12,
    maxTimestamp: 1e12,
    records: records.map(encodeRecord),
  })
  const { records: read, chunks } = await decodeAll(fetched(encoded.buffer))
  expect(read).toHaveLength(300)
  expect(read.map(asKafkajs)).toEqual(await readByKafkajs(encoded.buffer))
  expect(chunks[0]?.nextOffset).toBe(317)
})
