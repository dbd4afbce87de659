import { describe, expectTypeOf, test } from 'vitest'
import {
  type AvroSchema,
  type AvroValue,
  avro,
  bytes,
  json,
  type StandardSchema,
  text,
} from '../../src/codecs/index.ts'
import type { Codec } from '../../src/core/codec.ts'

interface Flight {
  origin: string
  delay: number
}

describe('json', () => {
  test('the type is stated, or unknown', () => {
    expectTypeOf(json<Flight>()).toEqualTypeOf<Codec<Flight>>()
    expectTypeOf(json<Flight>({ maxBytes: 100 })).toEqualTypeOf<Codec<Flight>>()
    expectTypeOf(json()).toEqualTypeOf<Codec<unknown>>()
  })

  test('a schema gives what it puts out', () => {
    const schema = {} as StandardSchema<{ origin: string; delay: string }, Flight>
    expectTypeOf(json(schema)).toEqualTypeOf<Codec<Flight>>()
    expectTypeOf(json<Flight>(schema, { maxDepth: 5 })).toEqualTypeOf<Codec<Flight>>()
    // @ts-expect-error the schema does not put this out
    json<{ distance: number }>(schema)
    // @ts-expect-error neither a schema nor options
    json({ '~standard': { vendor: 'x' } })
  })
})

test('text and bytes', () => {
  expectTypeOf(text()).toEqualTypeOf<Codec<string>>()
  expectTypeOf(bytes()).toEqualTypeOf<Codec<Buffer>>()
})

const FlightSchema = {
  type: 'record',
  name: 'Flight',
  namespace: 'demo',
  fields: [
    { name: 'date', type: { type: 'long', logicalType: 'timestamp-millis' } },
    { name: 'origin', type: 'string' },
    { name: 'delay', type: 'int' },
    { name: 'id', type: 'long' },
    { name: 'remark', type: ['null', 'string'], default: null },
  ],
} as const

describe('avro', () => {
  test('a schema as const gives the record', () => {
    expectTypeOf(avro(FlightSchema)).toEqualTypeOf<
      Codec<{ date: Date; origin: string; delay: number; id: number; remark: string | null }>
    >()
  })

  test('so does a schema written in place', () => {
    const codec = avro({ type: 'record', name: 'Row', fields: [{ name: 'a', type: 'double' }] })
    expectTypeOf(codec).toEqualTypeOf<Codec<{ a: number }>>()
  })

  test('longs are numbers, or bigints when asked for; timestamps stay Dates', () => {
    expectTypeOf(avro(FlightSchema, { longs: 'bigint' })).toEqualTypeOf<
      Codec<{ date: Date; origin: string; delay: number; id: bigint; remark: string | null }>
    >()
    expectTypeOf(avro('long', { longs: 'number', maxItems: 5 })).toEqualTypeOf<Codec<number>>()
  })

  test('framing changes nothing about the type', () => {
    const codec = avro({ type: 'fixed', name: 'Id', size: 4 }, { framing: { confluent: { 7: FlightSchema } } })
    expectTypeOf(codec).toEqualTypeOf<Codec<Buffer>>()
  })

  test('the type is stated for any other schema', () => {
    const read: unknown = JSON.parse('{}')
    expectTypeOf(avro<Flight>(read as AvroSchema)).toEqualTypeOf<Codec<Flight>>()
    expectTypeOf(avro<Flight>(JSON.parse('{}'))).toEqualTypeOf<Codec<Flight>>()
    // Also a type that looks like a schema.
    expectTypeOf(avro<{ type: string }>(JSON.parse('{}'))).toEqualTypeOf<Codec<{ type: string }>>()
    expectTypeOf(avro<string>('string')).toEqualTypeOf<Codec<string>>()
  })

  test('what is not known is unknown and never any', () => {
    const widened = { type: 'record', name: 'Row', fields: [{ name: 'a', type: 'int' }] }
    expectTypeOf(avro(widened)).toEqualTypeOf<Codec<unknown>>()
    expectTypeOf(avro(JSON.parse('{}'))).toEqualTypeOf<Codec<unknown>>()
    expectTypeOf(avro('string' as string)).toEqualTypeOf<Codec<unknown>>()
    expectTypeOf<AvroValue<{ type: 'record'; name: 'R'; fields: [{ name: 'a'; type: 'Nope' }] }>>().toEqualTypeOf<{
      a: unknown
    }>()
  })

  test('options and schemas are checked', () => {
    // @ts-expect-error no such choice
    avro('int', { longs: 'string' })
    // @ts-expect-error no schema at all
    avro(5)
  })
})

type Value<Type> = AvroValue<{ type: 'record'; name: 'Row'; fields: readonly [{ name: 'value'; type: Type }] }>['value']

describe('AvroValue', () => {
  test('primitives', () => {
    expectTypeOf<Value<'null'>>().toEqualTypeOf<null>()
    expectTypeOf<Value<'boolean'>>().toEqualTypeOf<boolean>()
    expectTypeOf<Value<'float'>>().toEqualTypeOf<number>()
    expectTypeOf<Value<'bytes'>>().toEqualTypeOf<Buffer>()
    expectTypeOf<Value<{ type: 'string' }>>().toEqualTypeOf<string>()
  })

  test('arrays, maps, enums, fixed and nested records', () => {
    expectTypeOf<Value<{ type: 'array'; items: 'int' }>>().toEqualTypeOf<number[]>()
    expectTypeOf<Value<{ type: 'map'; values: ['null', 'int'] }>>().toEqualTypeOf<{ [key: string]: number | null }>()
    expectTypeOf<Value<{ type: 'enum'; name: 'E'; symbols: readonly ['A', 'B'] }>>().toEqualTypeOf<'A' | 'B'>()
    expectTypeOf<Value<{ type: 'fixed'; name: 'F'; size: 4 }>>().toEqualTypeOf<Buffer>()
    type Leg = { type: 'record'; name: 'Leg'; fields: readonly [{ name: 'to'; type: 'string' }] }
    expectTypeOf<Value<{ type: 'array'; items: Leg }>>().toEqualTypeOf<{ to: string }[]>()
  })

  test('logical types, where the type below them is the right one', () => {
    expectTypeOf<Value<{ type: 'long'; logicalType: 'timestamp-micros' }>>().toEqualTypeOf<Date>()
    expectTypeOf<Value<{ type: 'int'; logicalType: 'date' }>>().toEqualTypeOf<Date>()
    expectTypeOf<Value<{ type: 'bytes'; logicalType: 'decimal'; precision: 9 }>>().toEqualTypeOf<string>()
    expectTypeOf<Value<{ type: 'string'; logicalType: 'uuid' }>>().toEqualTypeOf<string>()
    expectTypeOf<Value<{ type: 'int'; logicalType: 'timestamp-millis' }>>().toEqualTypeOf<number>()
  })

  test('unions', () => {
    expectTypeOf<Value<readonly ['string', 'null']>>().toEqualTypeOf<string | null>()
    expectTypeOf<Value<readonly ['null', 'int', 'string']>>().toEqualTypeOf<number | string | null>()
    expectTypeOf<Value<readonly ['null', { type: 'long'; logicalType: 'timestamp-millis' }, 'int']>>().toEqualTypeOf<
      Date | number | null
    >()
  })

  test('unions that are wrapped, because JavaScript cannot tell the branches apart', () => {
    type A = { type: 'record'; name: 'A'; fields: readonly [{ name: 'a'; type: 'int' }] }
    type B = { type: 'record'; name: 'B'; fields: readonly [{ name: 'b'; type: 'int' }] }
    expectTypeOf<Value<readonly ['null', A, B]>>().toEqualTypeOf<
      { [branch: string]: { a: number } } | { [branch: string]: { b: number } } | null
    >()
    expectTypeOf<Value<readonly ['int', 'double']>>().toEqualTypeOf<{ [branch: string]: number }>()
  })

  test('names, also qualified ones and those of records that hold themselves', () => {
    const schema = {
      type: 'record',
      name: 'demo.Node',
      fields: [
        { name: 'kind', type: { type: 'enum', name: 'Kind', symbols: ['A', 'B'] } },
        { name: 'again', type: 'demo.Kind' },
        { name: 'either', type: ['string', 'Kind'] },
        { name: 'next', type: ['null', 'Node'] },
      ],
    } as const
    type Node = AvroValue<typeof schema>
    expectTypeOf<Node['again']>().toEqualTypeOf<'A' | 'B'>()
    expectTypeOf<Node['either']>().toEqualTypeOf<{ [branch: string]: string } | { [branch: string]: 'A' | 'B' }>()
    expectTypeOf<NonNullable<NonNullable<Node['next']>['next']>['kind']>().toEqualTypeOf<'A' | 'B'>()
  })
})
