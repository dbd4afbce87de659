import { describe, expect, test } from 'vitest'
import { SourceError } from '../../../src/core/errors.ts'
import { decodeAll, fetched } from './_batches.ts'
import { asJava, javaBatches, javaBytes, javaNames } from './_java.ts'

const legacy = ['message-set-v0', 'message-set-v1']
const readable = javaNames.filter((name) => !legacy.includes(name))

test('the fixtures hold every compression of Kafka', () => {
  expect(readable).toEqual(
    expect.arrayContaining(['none', 'gzip', 'snappy', 'lz4', 'zstd', 'compacted', 'transactions']),
  )
})

describe.each(readable)('%s, as the Java client wrote it', (name) => {
  const bytes = javaBytes(name)
  const batches = javaBatches(name)
  const expected = batches.filter((batch) => !batch.control).flatMap((batch) => batch.records)

  test('reads as the Java client reads it', async () => {
    const { chunks, records, thrown } = await decodeAll(fetched(bytes))
    expect(thrown).toBeUndefined()
    expect(chunks).toHaveLength(1)
    expect(records.map(asJava)).toEqual(expected)
    expect(chunks[0]?.nextOffset).toBe((batches.at(-1)?.lastOffset ?? 0) + 1)
  })

  test('gives the records from the fetched offset on', async () => {
    for (const { offset } of expected) {
      for (const fetchedOffset of [offset, offset + 1]) {
        const { chunks, records, thrown } = await decodeAll(fetched(bytes, { fetchedOffset }))
        expect(thrown).toBeUndefined()
        expect(records.map((record) => record.offset)).toEqual(
          expected.map((record) => record.offset).filter((o) => o >= fetchedOffset),
        )
        const end = (batches.at(-1)?.lastOffset ?? 0) + 1
        expect(chunks.map((chunk) => chunk.nextOffset)).toEqual(fetchedOffset < end ? [end] : [])
      }
    }
  })
})

describe('transactions', () => {
  const aborted = [
    { producerId: 7n, firstOffset: 3 },
    { producerId: 8n, firstOffset: 0 },
    { producerId: 7n, firstOffset: 18 },
  ]
  const records = javaBatches('transactions')
    .filter((batch) => !batch.control)
    .flatMap((batch) => batch.records)
  const text = (value: unknown) => Buffer.from(String(value), 'base64').toString()
  const kept = records.map((record) => text(record.value)).filter((value) => value.startsWith('kept'))

  test.each([
    ['the order of the aborts, as Kafka 4.1 lists them', aborted],
    ['the order of the first offsets', aborted.toSorted((a, b) => a.firstOffset - b.firstOffset)],
    ['the reverse', aborted.toReversed()],
  ])('leaves out what was aborted, given in %s', async (_, list) => {
    for (let fetchedOffset = 0; fetchedOffset <= 31; fetchedOffset++) {
      const decoded = await decodeAll(fetched(javaBytes('transactions'), { aborted: list, fetchedOffset }))
      expect(decoded.thrown).toBeUndefined()
      expect(decoded.records.map((record) => text(record.value))).toEqual(
        kept.filter((value) => Number(value.split(' ')[1]) >= fetchedOffset),
      )
      expect(decoded.chunks.at(-1)?.nextOffset).toBe(32)
    }
  })
})

test('a fetch of markers alone is a chunk of nothing that moves on', async () => {
  const { chunks } = await decodeAll(fetched(javaBytes('control-only'), { fetchedOffset: 50 }))
  expect(chunks).toHaveLength(1)
  expect(chunks[0]).toMatchObject({ size: 0, nextOffset: 52, byteSize: 0 })
})

test.each(legacy)('%s is refused by name, with the setting to change', async (name) => {
  const { records, thrown } = await decodeAll(fetched(javaBytes(name)))
  expect(records).toEqual([])
  expect(thrown).toBeInstanceOf(SourceError)
  expect(String(thrown)).toBe(
    `SourceError: millrace: the topic holds records in message format v${name.at(-1)}, from Kafka before 0.11; v2 is what can be read (flights[3]@0)
  The broker setting log.message.format.version, or message.format.version of the topic, was below 0.11 when they were written.
  Raise that setting and copy the topic, or start behind the old records.  MR-KAFKA-BATCH-FORMAT`,
  )
})
