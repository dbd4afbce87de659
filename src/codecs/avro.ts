import type { Codec } from '../core/codec.ts'
import { type OptionRules, validateOptions } from '../core/options.ts'
import type { AvroType } from './_avro/avsc.ts'
import { type ConfluentFraming, confluentCodec } from './_avro/confluent.ts'
import { describeCodec } from './_avro/described.ts'
import { type Longs, parsePlanSchema } from './_avro/parseSchema.ts'
import type { AvroSchema, AvroValue } from './_avro/value.ts'
import { ValueCodec } from './_avro/valueCodec.ts'
import { defaultMaxBytes, defaultMaxDepth, defaultMaxItems } from './limits.ts'

export type { ConfluentFraming } from './_avro/confluent.ts'
export type { AvroSchema, AvroValue } from './_avro/value.ts'

export interface AvroOptions {
  /**
   * How values are wrapped. `plain` is the bytes of the value and nothing else; Confluent's framing puts a zero
   * byte and the id of the writer's schema before them. Default `plain`.
   */
  readonly framing?: 'plain' | ConfluentFraming
  /** What longs are read as. A long beyond 2^53 is an error of the item as a number, and exact as a bigint. Default `number`. */
  readonly longs?: Longs
  /** The largest value that is taken, in bytes. Default 16 MiB. */
  readonly maxBytes?: number
  /** How many array items and map entries a value may have, at all levels together. Default 1,000,000. */
  readonly maxItems?: number
  /** How deep records may hold records of their own type. Default 1,000. */
  readonly maxDepth?: number
}

const rules: OptionRules = {
  framing: { type: 'object' },
  longs: { type: 'choice', of: ['number', 'bigint'] },
  maxBytes: { type: 'number', min: 1 },
  maxItems: { type: 'number' },
  maxDepth: { type: 'number', min: 1 },
}

/**
 * Avro's binary encoding.
 *
 * A schema written `as const` gives the type; for any other the type is stated. Records become plain objects,
 * enums strings, `bytes` and `fixed` Buffers, maps objects, `['null', T]` becomes `T | null`. A union whose
 * branches JavaScript cannot tell apart (two records, two numbers) holds `{ 'full.Name': value }`.
 * Logical types: `timestamp-millis`, `timestamp-micros` (cut to milliseconds) and `date` (midnight UTC) become Date,
 * `decimal` a text such as `-12.30`; others are read as the type below them.
 *
 * The schema is the reader's: with Confluent framing, what another schema wrote is resolved against it.
 * A value must be all of its bytes; text that is not UTF-8, and a map key `__proto__`, are errors. Fields that are
 * not in the schema are not written.
 *
 * @example
 * topic('flights', avro(FlightSchema))
 * topic('flights', avro(FlightSchema, { framing: { confluent: { 7: FlightSchemaV1, 9: FlightSchema } } }))
 * topic('flights', avro<Flight>(JSON.parse(readFileSync('flight.avsc', 'utf8'))))
 *
 * Errors of one item: MR-DECODE-SIZE, MR-DECODE-COUNT, MR-DECODE-DEPTH, MR-DECODE-UTF8, MR-DECODE-LONG,
 * MR-DECODE-PROTO, MR-DECODE-AVRO, MR-DECODE-FRAMING, MR-DECODE-SCHEMA-ID, MR-ENCODE-AVRO.
 *
 * @throws PlanError MR-PLAN-OPTION, MR-PLAN-AVRO-SCHEMA (not a schema, or a writer's that cannot be read as it)
 */
export function avro<const Schema extends AvroSchema, const Options extends AvroOptions>(
  schema: Schema,
  options?: Options,
): Codec<AvroValue<Schema, Options extends { readonly longs: 'bigint' } ? bigint : number>>
export function avro<T>(schema: AvroSchema, options?: AvroOptions): Codec<T>
export function avro(schema: AvroSchema, options: AvroOptions = {}): Codec<unknown> {
  const { framing = 'plain', longs = 'number' } = options
  validateOptions('avro()', { ...options, framing: framing === 'plain' ? undefined : framing }, rules)
  const type = parsePlanSchema(schema, longs, 'the schema given to avro()')
  const name = `avro(${displayName(type)})`
  const values = new ValueCodec({
    name,
    plain: framing === 'plain',
    maxBytes: options.maxBytes ?? defaultMaxBytes,
    maxItems: options.maxItems ?? defaultMaxItems,
    maxDepth: options.maxDepth ?? defaultMaxDepth,
  })
  const described = { type, longs }
  if (framing !== 'plain') return describeCodec(confluentCodec(name, type, values, framing, longs), described)
  const codec = Object.freeze({
    name,
    decode: (bytes: Buffer, start: number, end: number) => values.read(type, type, bytes, start, end),
    encode: (value: unknown) => values.write(type, value),
  })
  return describeCodec(codec, described)
}

/** `Flight` of `com.example.Flight`, or the kind of a type without a name. */
function displayName(type: AvroType): string {
  if (type.types !== undefined) return 'union'
  return (type.name ?? type.typeName).replace(/^.*[.:]/, '')
}
