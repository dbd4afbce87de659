import { isDeepStrictEqual } from 'node:util'
import avsc from 'avsc'
import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type AvroSchema, avro } from '../../src/codecs/avro.ts'
import { schemasWithValues } from './avroSchemas.ts'
import { damaged, outcome } from './codecContract.ts'

const numbers = fc.maxSafeInteger()
const bigints = fc.bigInt({ min: -(1n << 63n), max: (1n << 63n) - 1n })

/** A schema with some of its values. */
const cases = (logical: boolean, longs: fc.Arbitrary<number | bigint>) =>
  schemasWithValues({ logical, longs }).chain(({ schema, values }) =>
    fc.record({ schema: fc.constant(schema as AvroSchema), values: fc.array(values, { minLength: 1, maxLength: 5 }) }),
  )

describe('avro() with random schemas', () => {
  it('reads what it wrote', () => {
    fc.assert(
      fc.property(cases(true, numbers), ({ schema, values }) => {
        const codec = avro<unknown>(schema)
        for (const value of values) {
          const bytes = codec.encode(value)
          expect(isDeepStrictEqual(codec.decode(bytes, 0, bytes.length), value)).toBe(true)
        }
      }),
      { numRuns: 300 },
    )
  })

  it('reads what it wrote, with longs as bigints and a header', () => {
    fc.assert(
      fc.property(cases(true, bigints), fc.nat(), ({ schema, values }, id) => {
        const codec = avro<unknown>(schema, { longs: 'bigint', framing: { confluent: { [id]: schema } } })
        for (const value of values) {
          const bytes = codec.encode(value)
          expect(bytes.readUInt32BE(1)).toBe(id)
          expect(isDeepStrictEqual(codec.decode(bytes, 0, bytes.length), value)).toBe(true)
        }
      }),
      { numRuns: 200 },
    )
  })

  it('writes the bytes that avsc writes, and reads the values that avsc reads', () => {
    // Where avsc is right: it loses the sign of longs below -2^52, and refuses 2^53 - 1.
    const longs = fc.integer({ min: -(2 ** 52), max: 2 ** 53 - 2 })
    fc.assert(
      fc.property(cases(false, longs), ({ schema, values }) => {
        const type = avsc.Type.forSchema(schema as avsc.schema.AvroSchema)
        const codec = avro<unknown>(schema)
        for (const value of values) {
          const bytes = type.toBuffer(value)
          expect(codec.encode(value)).toEqual(bytes)
          expect(codec.decode(bytes, 0, bytes.length)).toEqual(type.fromBuffer(bytes))
        }
      }),
      { numRuns: 200 },
    )
  })

  it('reads through a resolver what it reads directly', () => {
    fc.assert(
      fc.property(cases(true, numbers), ({ schema, values }) => {
        // A field more on the writer's side makes every record of the reader go through a resolver.
        const reader = { type: 'record', name: 'Root', fields: [{ name: 'value', type: schema }] }
        const writer = { ...reader, fields: [{ name: 'gone', type: copied(schema) }, ...reader.fields] }
        const direct = avro<{ value: unknown }>(reader)
        const resolving = avro<unknown>(reader, { framing: { confluent: { 1: writer } } })
        const writing = avro<unknown>(writer, { framing: { confluent: { 1: writer } } })
        for (const value of values) {
          const bytes = writing.encode({ gone: value, value })
          const plain = direct.encode({ value })
          expect(resolving.decode(bytes, 0, bytes.length)).toEqual(direct.decode(plain, 0, plain.length))
        }
      }),
      { numRuns: 200 },
    )
  })

  it('gives a value or an error of the item for any bytes', () => {
    fc.assert(
      fc.property(
        cases(true, numbers).chain(({ schema, values }) => {
          const codec = avro<unknown>(schema, { maxItems: 1_000 })
          return fc.tuple(fc.constant(codec), damaged(fc.constantFrom(...values.map((value) => codec.encode(value)))))
        }),
        ([codec, bytes]) => {
          outcome(codec, bytes)
        },
      ),
      { numRuns: 1_000 },
    )
  })
})

/** The same schema under other names, so that it can stand beside the first one. */
function copied(schema: unknown): unknown {
  return JSON.parse(JSON.stringify(schema), (key, value: unknown) =>
    key === 'name' && /^[A-Z]/.test(String(value)) ? `Old${value}` : value,
  )
}
