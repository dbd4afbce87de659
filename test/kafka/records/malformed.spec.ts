import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { ItemError, MillraceError, SourceError } from '../../../src/core/errors.ts'
import {
  CONTROL,
  decodeAll,
  fetched,
  plainRecord,
  type RecordToWrite,
  varint,
  writeBatch,
  writeMarker,
  writeRecord,
} from './_batches.ts'
import { javaBytes, javaNames } from './_java.ts'

const two: RecordToWrite[] = [
  { offsetDelta: 0, value: Buffer.from('a') },
  { offsetDelta: 1, value: Buffer.from('b') },
]
const good = writeBatch({ baseOffset: 0, records: two })

function changed(bytes: Buffer, change: (bytes: Buffer) => void): Buffer {
  const copy = Buffer.from(bytes)
  change(copy)
  return copy
}

/** A batch of one record whose bytes, behind the length, are these. */
function batchOf(...parts: Buffer[]): Buffer {
  const record = Buffer.concat(parts)
  return rawBatch(Buffer.concat([varint(record.length), record]))
}

function rawBatch(body: Buffer): Buffer {
  return writeBatch({ baseOffset: 2, records: [{ offsetDelta: 0 }], pack: () => body })
}

const zero = varint(0)
const none = varint(-1)

const cases: readonly (readonly [string, Buffer, string])[] = [
  ['a negative batch length', changed(good, (b) => b.writeInt32BE(-1, 8)), 'a batch has the length -1 (byte 77)'],
  ['a batch shorter than its header', changed(good, (b) => b.writeInt32BE(48, 8)), 'a batch has the length 48'],
  ['a batch too short for its format', changed(good, (b) => b.writeInt32BE(4, 8)), 'a batch has the format -1'],
  ['a format of the future', changed(good, (b) => b.writeInt8(3, 16)), 'a batch has the format 3'],
  ['a negative base offset', changed(good, (b) => b.writeBigInt64BE(-5n, 0)), 'a batch has the base offset -5'],
  [
    'a negative last offset delta',
    changed(good, (b) => b.writeInt32BE(-2, 23)),
    'a batch has the last offset delta -2',
  ],
  ['a negative count', changed(good, (b) => b.writeInt32BE(-2, 57)), 'a batch has -2 records'],
  ['a batch behind the one before', good, 'a batch begins at offset 0, behind one that ends at 1'],
  [
    'more records than counted',
    writeBatch({ baseOffset: 2, records: two, count: 1 }),
    '8 bytes are left behind its 1 records',
  ],
  [
    'fewer records than counted',
    writeBatch({ baseOffset: 2, records: [{ ...two[0], offsetDelta: 0, value: Buffer.alloc(20) }], count: 2 }),
    'record 1 of 2',
  ],
  [
    'a negative record length',
    rawBatch(Buffer.concat([varint(-3), Buffer.alloc(10)])),
    'record 0 of 1 has the length -3',
  ],
  [
    'a record longer than its batch',
    rawBatch(Buffer.concat([varint(1_000), Buffer.alloc(10)])),
    'record 0 of 1 has the length 1000',
  ],
  ['a length that does not end', rawBatch(Buffer.alloc(7, 0xff)), 'MR-KAFKA-BATCH-MALFORMED'],
  // The record is whole, and its length of 6 is written in six bytes where five are the most.
  [
    'an overlong length',
    rawBatch(Buffer.concat([Buffer.from('8c8080808000', 'hex'), Buffer.alloc(3), none, none, zero])),
    'record 0 of 1 has the length 0',
  ],
  [
    'an overlong timestamp',
    batchOf(zero, Buffer.alloc(11, 0x80), zero, zero, none, none, zero),
    'record 0 of 1 is malformed',
  ],
  ['a key beyond its record', batchOf(zero, zero, zero, varint(50), none, zero), 'record 0 of 1 is malformed'],
  ['a key of 2 GiB', batchOf(zero, zero, zero, varint(2 ** 31 - 1), none, zero), 'record 0 of 1 is malformed'],
  ['a negative key', batchOf(zero, zero, zero, varint(-2), none, zero), 'record 0 of 1 is malformed'],
  ['a value beyond its record', batchOf(zero, zero, zero, none, varint(50), zero), 'record 0 of 1 is malformed'],
  ['a negative value', batchOf(zero, zero, zero, none, varint(-2), zero), 'record 0 of 1 is malformed'],
  ['a negative count of headers', batchOf(zero, zero, zero, none, none, varint(-1)), 'record 0 of 1 is malformed'],
  ['more headers than fit', batchOf(zero, zero, zero, none, none, varint(2 ** 30), zero), 'record 0 of 1 is malformed'],
  ['bytes behind the record', batchOf(zero, zero, zero, none, none, zero, zero), 'record 0 of 1 is malformed'],
  ['a record that ends too soon', batchOf(zero, zero, zero, none), 'MR-KAFKA-BATCH-MALFORMED'],
  [
    'offsets that do not rise',
    writeBatch({ baseOffset: 2, records: [{ offsetDelta: 1 }, { offsetDelta: 1 }] }),
    'record 1 of 2 has the offset delta 1 behind 1',
  ],
  [
    'a negative offset delta',
    batchOf(zero, zero, varint(-1), none, none, zero),
    'record 0 of 1 has the offset delta -1',
  ],
  [
    'an offset beyond the batch',
    writeBatch({ baseOffset: 2, records: [{ offsetDelta: 9 }], lastOffsetDelta: 8 }),
    'record 0 of 1 has the offset delta 9',
  ],
  [
    'a compressed marker',
    changed(writeMarker(2, 1n, 'abort'), (b) => b.writeInt16BE(CONTROL | 1, 21)),
    'a control batch is compressed',
  ],
  [
    'a marker without a type',
    writeBatch({ baseOffset: 2, records: [{ offsetDelta: 0 }], attributes: CONTROL }),
    'a control record has no type',
  ],
]

describe('malformed batches', () => {
  test.each(cases)('%s', async (_, bytes, message) => {
    const { chunks, thrown } = await decodeAll(fetched(Buffer.concat([good, bytes])))
    expect(chunks.map(({ nextOffset }) => nextOffset)).toEqual([2])
    expect(thrown).toBeInstanceOf(SourceError)
    expect(String(thrown)).toContain(message)
    expect((thrown as SourceError).code).toBe('MR-KAFKA-BATCH-MALFORMED')
    expect((thrown as SourceError).place).toEqual({ topic: 'flights', partition: 3, offset: 2 })
  })

  test('the smallest record is no malformed one', async () => {
    const { records, thrown } = await decodeAll(fetched(batchOf(zero, zero, zero, none, none, zero)))
    expect(thrown).toBeUndefined()
    expect(records).toEqual([{ offset: 2, timestamp: 0, key: null, value: null, headers: [] }])
  })

  test('an empty marker batch, as compaction leaves it, is passed over', async () => {
    const bytes = writeBatch({ baseOffset: 2, records: [], attributes: CONTROL })
    const { chunks, thrown } = await decodeAll(fetched(bytes))
    expect(thrown).toBeUndefined()
    expect(chunks[0]).toMatchObject({ size: 0, nextOffset: 3 })
  })
})

describe('malformed headers belong to their item', () => {
  const name = Buffer.from('n')
  const bad: readonly (readonly [string, Buffer])[] = [
    ['a name beyond the record', Buffer.concat([varint(1), varint(9), name, none])],
    ['no name', Buffer.concat([varint(1), none, none])],
    ['a value beyond the record', Buffer.concat([varint(1), varint(1), name, varint(9)])],
    ['a negative value', Buffer.concat([varint(1), varint(1), name, varint(-2)])],
    ['fewer than counted', Buffer.concat([varint(2), varint(1), name, varint(1), name])],
    ['bytes behind the last one', Buffer.concat([varint(1), varint(1), name, none, zero])],
  ]
  test.each(bad)('%s', async (_, headers) => {
    const record = Buffer.concat([zero, zero, zero, none, varint(1), Buffer.from('v'), headers])
    const neighbour = writeRecord({ offsetDelta: 1, headers: [{ key: 'a', value: null }] })
    const body = Buffer.concat([varint(record.length), record, neighbour])
    const bytes = writeBatch({ baseOffset: 0, records: two, pack: () => body })
    let failure: unknown
    const decoded = await decodeChunk(bytes)
    expect(decoded?.value(0)?.toString()).toBe('v')
    try {
      decoded?.headers(0)
    } catch (thrown) {
      failure = thrown
    }
    expect(failure).toBeInstanceOf(ItemError)
    expect(failure).toMatchObject({ code: 'MR-KAFKA-HEADERS', place: { topic: 'flights', partition: 3, offset: 0 } })
    expect(decoded?.headers(1)).toEqual([{ key: 'a', value: null }])
  })
})

async function decodeChunk(bytes: Buffer) {
  const { decodeFetch } = await import('../../../src/kafka/records/decodeFetch.ts')
  for await (const chunk of decodeFetch(fetched(bytes))) return chunk
  return undefined
}

test('random damage gives records in order or an error of ours, never anything else', async () => {
  const { decodeFetch } = await import('../../../src/kafka/records/decodeFetch.ts')
  const damage = fc.array(fc.record({ at: fc.nat(), byte: fc.nat(255) }), { minLength: 1, maxLength: 6 })
  const limit = 2_000_000
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom(...javaNames),
      damage,
      fc.nat(),
      fc.nat(1_000),
      async (name, hits, cut, nearStart) => {
        const bytes = Buffer.from(javaBytes(name))
        // Half of the hits go to the first bytes, where headers are: behind them most damage is inside a value.
        for (const [i, { at, byte }] of hits.entries())
          bytes[at % (i % 2 ? bytes.length : Math.min(bytes.length, 61 + (nearStart % 40)))] = byte
        const fetch = fetched(bytes.subarray(0, bytes.length - (cut % 3 ? 0 : cut % bytes.length)))
        let position = -1
        try {
          for await (const chunk of decodeFetch(fetch, { maxUnpackedBytes: limit })) {
            expect(chunk.byteSize).toBeLessThan(2 * limit)
            for (let i = 0; i < chunk.size; i++) {
              expect(chunk.offset(i)).toBeGreaterThan(position)
              position = chunk.offset(i)
              try {
                plainRecord(chunk, i)
              } catch (thrown) {
                if (!(thrown instanceof ItemError)) throw thrown
              }
            }
            expect(chunk.nextOffset).toBeGreaterThan(position)
            position = chunk.nextOffset - 1
          }
        } catch (thrown) {
          if (!(thrown instanceof MillraceError)) throw thrown
        }
      },
    ),
    { numRuns: 1_500 },
  )
}, 60_000)
