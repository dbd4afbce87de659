import { isDeepStrictEqual } from 'node:util'
import fc from 'fast-check'
import { describe, expect, expectTypeOf, it } from 'vitest'
import { type AvroOptions, type AvroSchema, avro } from '../../src/codecs/avro.ts'
import { json } from '../../src/codecs/index.ts'
import { arbitraryOf } from '../../src/testing/index.ts'
import { topic } from '../../src/topic.ts'
import { schemasWithValues } from '../codecs/avroSchemas.ts'

/** Values that do not come back from their bytes as they were. */
async function changedByCodec(schema: AvroSchema, options: AvroOptions = {}, count = 20): Promise<unknown[]> {
  const codec = avro<unknown>(schema, options)
  return fc.sample(await arbitraryOf(codec), { numRuns: count, seed: 7 }).filter((value) => {
    const bytes = codec.encode(value)
    return !isDeepStrictEqual(codec.decode(bytes, 0, bytes.length), value)
  })
}

/** Samples of a schema, many enough that what is likely shows. */
async function samples<const Schema extends AvroSchema>(schema: Schema, options: AvroOptions = {}) {
  return fc.sample(await arbitraryOf(avro<unknown>(schema, options)), { numRuns: 2_000, seed: 7 })
}

const everything = {
  type: 'record',
  name: 'test.Everything',
  fields: [
    ...['null', 'boolean', 'int', 'long', 'float', 'double', 'bytes', 'string'].map((type) => ({ name: type, type })),
    { name: 'fixed', type: { type: 'fixed', name: 'Fixed', size: 3 } },
    { name: 'enum', type: { type: 'enum', name: 'Enum', symbols: ['A', 'B'] } },
    { name: 'array', type: { type: 'array', items: 'long' } },
    { name: 'map', type: { type: 'map', values: ['null', 'double'] } },
    { name: 'nullable', type: ['null', 'test.Enum'] },
    { name: 'wrapped', type: ['null', 'int', 'double', 'string', 'test.Fixed', 'bytes'] },
    { name: 'clashing', type: ['string', { type: 'bytes', logicalType: 'decimal', precision: 3, scale: 1 }] },
    {
      name: 'times',
      type: [
        { type: 'long', logicalType: 'timestamp-millis' },
        { type: 'int', logicalType: 'date' },
      ],
    },
    { name: 'micros', type: { type: 'long', logicalType: 'timestamp-micros' } },
    { name: 'decimal', type: { type: 'bytes', logicalType: 'decimal', precision: 30, scale: 5 } },
    { name: 'whole', type: { type: 'bytes', logicalType: 'decimal', precision: 2 } },
    { name: 'tight', type: { type: 'fixed', name: 'Tight', size: 1, logicalType: 'decimal', precision: 9, scale: 2 } },
    { name: 'uuid', type: { type: 'string', logicalType: 'uuid' } },
  ],
}

const tree = {
  type: 'record',
  name: 'Tree',
  fields: [
    { name: 'label', type: 'string' },
    { name: 'left', type: ['Tree', 'null'] },
    { name: 'children', type: { type: 'array', items: 'Tree' } },
    {
      name: 'named',
      type: { type: 'map', values: { type: 'record', name: 'Leaf', fields: [{ name: 'of', type: ['null', 'Tree'] }] } },
    },
  ],
} as const

describe('arbitraryOf', { timeout: 60_000 }, () => {
  it('makes values of any schema that come back from their bytes as they were', async () => {
    for (const longs of ['number', 'bigint'] as const) {
      const schemas = schemasWithValues({ logical: true, longs: fc.integer() })
      for (const { schema } of fc.sample(schemas, { numRuns: 150, seed: 1 })) {
        expect(await changedByCodec(schema as AvroSchema, { longs })).toEqual([])
      }
    }
  })

  it.each(['number', 'bigint'] as const)('knows every type, with longs as %s', async (longs) => {
    expect(await changedByCodec(everything, { longs }, 1_000)).toEqual([])
  })

  it('comes to an end with types that hold themselves', async () => {
    expect(await changedByCodec(tree, {}, 200)).toEqual([])
    const depth = (node: unknown): number => {
      if (typeof node !== 'object' || node === null) return 0
      return 1 + Math.max(0, ...Object.values(node).map(depth))
    }
    const depths = (await samples(tree)).map(depth)
    expect(Math.max(...depths)).toBeGreaterThan(3)
    expect(Math.max(...depths)).toBeLessThan(20)
    const endless = { type: 'record', name: 'Endless', fields: [{ name: 'next', type: 'Endless' }] }
    await expect(arbitraryOf(endless)).rejects.toThrow(/"Endless" would have no end.*MR-TEST-ARBITRARY/s)
  })

  it('finds the edges', async () => {
    const longs = await samples('long')
    expect(longs).toContain(Number.MAX_SAFE_INTEGER)
    expect(longs).toContain(Number.MIN_SAFE_INTEGER)
    expect(await samples('long', { longs: 'bigint' })).toContain((1n << 63n) - 1n)
    expect((await samples('int')).filter((n) => n === 2 ** 31 - 1)).not.toEqual([])
    const doubles = await samples('double')
    expect(doubles.some(Number.isNaN)).toBe(true)
    expect(doubles).toContain(Number.NEGATIVE_INFINITY)
    const texts = (await samples('string')) as string[]
    expect(texts).toContain('')
    expect(texts.some((text) => [...text].some((char) => (char.codePointAt(0) ?? 0) > 0xffff))).toBe(true)
    expect(await samples({ type: 'array', items: 'int' })).toContainEqual([])
  })

  it('takes a schema, a codec or a topic, and knows the type of its values', async () => {
    const schema = { type: 'record', name: 'F', fields: [{ name: 'origin', type: 'string' }] } as const
    const ofSchema = await arbitraryOf(schema)
    const ofTopic = await arbitraryOf(topic('flights', avro(schema, { framing: { confluent: { 1: schema } } })))
    expectTypeOf(ofSchema).toEqualTypeOf<fc.Arbitrary<{ origin: string }>>()
    expectTypeOf(ofTopic).toEqualTypeOf<fc.Arbitrary<{ origin: string }>>()
    expect(fc.sample(ofTopic, { numRuns: 5, seed: 3 })).toEqual(fc.sample(ofSchema, { numRuns: 5, seed: 3 }))
  })

  it('says what to do for a codec without a schema', async () => {
    await expect(arbitraryOf(json())).rejects.toThrow(/values of the codec json .*records\(topic, .*MR-TEST-ARBITRARY/s)
  })
})
