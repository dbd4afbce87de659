import { gzipSync } from 'node:zlib'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { SourceError } from '../../../src/core/errors.ts'
import { decodeAll, fetched, plainRecord, plainRecords, type RecordToWrite, writeBatch } from './_batches.ts'
import { javaBytes } from './_java.ts'

const GZIP = 1

function records(count: number, value: (i: number) => Buffer = (i) => Buffer.from(`v${i}`)): RecordToWrite[] {
  return Array.from({ length: count }, (_, i) => ({ offsetDelta: i, key: Buffer.from(`k${i}`), value: value(i) }))
}
const plain = (baseOffset: number, count: number) => writeBatch({ baseOffset, records: records(count) })
const gzipped = (baseOffset: number, count: number, pack: (body: Buffer) => Buffer = gzipSync) =>
  writeBatch({ baseOffset, records: records(count), attributes: GZIP, pack })

/** The printed error of a fetch of two good records and then these bytes. */
async function failureBehindGoodBatch(bytes: Buffer, options?: { maxUnpackedBytes: number }): Promise<string> {
  const { chunks, thrown } = await decodeAll(fetched(Buffer.concat([plain(0, 2), bytes])), options)
  expect(chunks.map(({ size, nextOffset }) => ({ size, nextOffset }))).toEqual([{ size: 2, nextOffset: 2 }])
  expect(thrown).toBeInstanceOf(SourceError)
  return String(thrown)
}

describe('chunks', () => {
  test('nothing fetched, or no whole batch, is no chunk', async () => {
    for (const bytes of [Buffer.alloc(0), Buffer.alloc(11), plain(0, 2).subarray(0, -1)]) {
      expect(await decodeAll(fetched(bytes))).toEqual({ chunks: [], records: [], thrown: undefined })
    }
  })

  test('a chunk says what it is of and what it keeps in memory', async () => {
    const bytes = Buffer.concat([plain(10, 3), gzipped(13, 2)])
    const { chunks } = await decodeAll(fetched(bytes, { fetchedOffset: 10, endOffset: 99 }))
    const unpacked = writeBatch({ baseOffset: 0, records: records(2) }).length - 61
    expect(chunks[0]).toMatchObject({ topic: 'flights', partition: 3, size: 5, nextOffset: 15, endOffset: 99 })
    expect(chunks[0]?.byteSize).toBe(plain(10, 3).length - 61 + unpacked + 5 * 28)
  })

  test('a value is where valueStart and valueEnd say', async () => {
    const { chunks } = await decodeAll(fetched(Buffer.concat([plain(0, 3), gzipped(3, 3)])))
    const chunk = chunks[0]
    if (chunk === undefined) throw new Error('no chunk')
    for (let i = 0; i < chunk.size; i++) {
      const text = chunk.valueBuffer(i).toString('utf8', chunk.valueStart(i), chunk.valueEnd(i))
      expect(text).toBe(`v${i % 3}`)
    }
  })

  test('null and empty are told apart', async () => {
    const written = [null, Buffer.alloc(0)].flatMap((key) => [null, Buffer.alloc(0)].map((value) => ({ key, value })))
    const bytes = writeBatch({ baseOffset: 0, records: written.map((both, offsetDelta) => ({ ...both, offsetDelta })) })
    const chunk = (await decodeAll(fetched(bytes))).chunks[0]
    expect(written.map((_, i) => ({ key: chunk?.key(i), value: chunk?.value(i) }))).toEqual(written)
    expect(written.map((_, i) => chunk?.valueStart(i) === -1)).toEqual([true, false, true, false])
  })

  test('records can be read in any order, across buffers', async () => {
    const bytes = Buffer.concat([plain(0, 3), gzipped(3, 4), gzipped(7, 1), plain(8, 2), plain(10, 2)])
    const { chunks } = await decodeAll(fetched(bytes))
    const inOrder = chunks.flatMap(plainRecords)
    expect(inOrder).toHaveLength(12)
    fc.assert(
      fc.property(fc.array(fc.nat(11), { minLength: 1 }), (indexes) => {
        for (const i of indexes) expect(chunks[0] && plainRecord(chunks[0], i)).toEqual(inOrder[i])
      }),
    )
  })

  test('chunks share nothing: decoding another fetch leaves them as they were', async () => {
    const first = await decodeAll(fetched(plain(0, 5)))
    await decodeAll(fetched(plain(100, 50)))
    expect(first.chunks.flatMap(plainRecords)).toEqual(first.records)
  })

  test('a batch that lies wholly before the fetched offset is not unpacked', async () => {
    const bytes = Buffer.concat([gzipped(0, 5, () => Buffer.from('damaged')), plain(5, 1)])
    const { records: read, thrown } = await decodeAll(fetched(bytes, { fetchedOffset: 5 }))
    expect(thrown).toBeUndefined()
    expect(read.map(({ offset }) => offset)).toEqual([5])
  })
})

describe('limits', () => {
  const large = (baseOffset: number, bytes: number, pack: (body: Buffer) => Buffer = gzipSync) =>
    writeBatch({ baseOffset, records: records(10, () => Buffer.alloc(bytes / 10)), attributes: GZIP, pack })

  test('what unpacks to more than a chunk may hold is spread over several', async () => {
    const bytes = Buffer.concat([0, 10, 20, 30, 40].map((offset) => large(offset, 4_000)))
    const { chunks, thrown } = await decodeAll(fetched(bytes), { maxUnpackedBytes: 10_000 })
    expect(thrown).toBeUndefined()
    expect(chunks.map(({ size, nextOffset }) => [size, nextOffset])).toEqual([
      [20, 20],
      [20, 40],
      [10, 50],
    ])
  })

  test('a batch that takes more alone is refused, whatever came before it is not', async () => {
    const batch = large(2, 20_000)
    expect(await failureBehindGoodBatch(batch, { maxUnpackedBytes: 10_000 })).toBe(
      `SourceError: millrace: a gzip batch of ${batch.length - 61} bytes unpacks to more than 10000 bytes (flights[3]@2)
  It compresses unusually well, or was made to exhaust the memory of its readers.
  When it is meant to be that large, raise the Kafka setting "maxUnpackedBytes".  MR-KAFKA-BATCH-SIZE`,
    )
  })

  test('a size that lies does not get past the limit', async () => {
    const lying = (body: Buffer) => {
      const packed = gzipSync(body)
      packed.writeUInt32LE(100, packed.length - 4)
      return packed
    }
    expect(await failureBehindGoodBatch(large(2, 20_000, lying), { maxUnpackedBytes: 10_000 })).toContain(
      'MR-KAFKA-BATCH-SIZE',
    )
  })

  test('gzip of several members is read, one batch at a time', async () => {
    const members = (body: Buffer) => Buffer.concat([gzipSync(body.subarray(0, -3)), gzipSync(body.subarray(-3))])
    const bytes = Buffer.concat([large(0, 4_000), large(10, 4_000, members), large(20, 4_000)])
    const { chunks, records: read, thrown } = await decodeAll(fetched(bytes))
    expect(thrown).toBeUndefined()
    expect(read).toHaveLength(30)
    expect(chunks.map(({ nextOffset }) => nextOffset)).toEqual([10, 20, 30])
  })

  test('a count beyond the bytes is refused before anything is allocated for it', async () => {
    const heap = process.memoryUsage().arrayBuffers
    const printed = await failureBehindGoodBatch(
      writeBatch({ baseOffset: 2, records: records(3), count: 2 ** 31 - 1, lastOffsetDelta: 2 ** 31 - 1 }),
    )
    expect(printed).toContain('claims 2147483647 records in 33 bytes')
    expect(process.memoryUsage().arrayBuffers - heap).toBeLessThan(100 * 1024 * 1024)
  })

  test('the last offset that a number can hold can be read, the next one is refused', async () => {
    const top = Number.MAX_SAFE_INTEGER - 1
    const { chunks, records: read } = await decodeAll(
      fetched(writeBatch({ baseOffset: BigInt(top), records: records(1) })),
    )
    expect([read[0]?.offset, chunks[0]?.nextOffset]).toEqual([top, top + 1])
    expect(await failureBehindGoodBatch(writeBatch({ baseOffset: BigInt(top) + 1n, records: records(1) }))).toContain(
      'MR-KAFKA-BATCH-MALFORMED',
    )
  })
})

describe('what is not there', () => {
  test('a compression that does not exist', async () => {
    const printed = await failureBehindGoodBatch(writeBatch({ baseOffset: 2, records: records(1), attributes: 5 }))
    expect(printed).toContain('its compression has the number 5')
  })

  test.each(['gzip', 'snappy', 'lz4', 'zstd'])('damaged %s says so', async (name) => {
    const bytes = Buffer.from(javaBytes(name))
    bytes.fill(0xee, 61, 91)
    const { thrown } = await decodeAll(fetched(bytes))
    expect(thrown).toBeInstanceOf(SourceError)
    expect(String(thrown)).toMatch(/a record batch cannot be (read|unpacked with \w+): .*\(flights\[3\]@1000\)/)
    expect((thrown as SourceError).code).toBe('MR-KAFKA-BATCH-MALFORMED')
  })
})
