import type { Codec } from '../../core/codec.ts'
import { ItemError, messageOf, PlanError } from '../../core/errors.ts'
import { type OptionRules, validateOptions } from '../../core/options.ts'
import { hexExcerpt, oneLine } from '../excerpt.ts'
import type { AvroType, Reader } from './avsc.ts'
import { type Longs, parsePlanSchema } from './parseSchema.ts'
import type { AvroSchema } from './value.ts'
import type { ValueCodec } from './valueCodec.ts'

export interface ConfluentFraming {
  /** The schemas that values are written with, by their ids. Each must be readable as the codec's own schema. */
  readonly confluent: { readonly [id: number]: AvroSchema }
  /** The id to write with. Default: the highest id whose schema is the codec's own. */
  readonly writeId?: number
}

const framingRules: OptionRules = {
  confluent: { type: 'object', required: true },
  writeId: { type: 'number', max: 0xffff_ffff },
}

/** The bytes before a value in Confluent framing: a zero and a schema id. */
const headerSize = 5

/** A schema that values are written with, and what reads them. */
interface Written {
  readonly type: AvroType
  readonly reader: Reader
}

/** A codec whose values begin with the id of the schema that they were written with. */
export function confluentCodec(
  name: string,
  type: AvroType,
  values: ValueCodec,
  framing: ConfluentFraming,
  longs: Longs,
): Codec<unknown> {
  validateOptions('framing of avro()', framing, framingRules)
  const known = new Map<number, Written>()
  for (const [key, schema] of Object.entries(framing.confluent)) {
    known.set(schemaId(key), writtenWith(schema, `schema ${key} of ${name}`, type, longs))
  }
  if (known.size === 0) {
    throw new PlanError('MR-PLAN-OPTION', { what: `framing of ${name}: "confluent" names no schema`, fix: namingIds })
  }
  const writeId = framing.writeId ?? idOfOwnSchema(known, type)
  if (framing.writeId !== undefined && !known.has(framing.writeId)) {
    throw new PlanError('MR-PLAN-OPTION', {
      what: `framing of ${name}: "writeId" is ${framing.writeId}, and "confluent" has no such schema`,
      why: `It has ${[...known.keys()].join(', ')}.`,
    })
  }
  // A topic's values mostly have one id: looked up once, compared from then on.
  let lastId = -1
  let last: Written | undefined
  return Object.freeze({
    name,
    decode(bytes: Buffer, start: number, end: number): unknown {
      if (end - start < headerSize || bytes[start] !== 0) throw unframed(name, bytes, start, end)
      const id = bytes.readUInt32BE(start + 1)
      if (last === undefined || id !== lastId) {
        last = known.get(id)
        if (last === undefined) throw unknownId(name, id, known)
        lastId = id
      }
      return values.read(last.reader, last.type, bytes, start + headerSize, end)
    },
    encode(value: unknown): Buffer {
      const written = writeId === undefined ? undefined : known.get(writeId)
      if (writeId === undefined || written === undefined) throw noWriteId(name)
      const body = values.write(written.type, value)
      const framed = Buffer.alloc(headerSize + body.length)
      framed.writeUInt32BE(writeId, 1)
      body.copy(framed, headerSize)
      return framed
    },
  })
}

const namingIds = 'Give the schemas by their ids: { framing: { confluent: { 7: schema } } }.'

function schemaId(key: string): number {
  const id = Number(key)
  if (Number.isInteger(id) && id >= 0 && id <= 0xffff_ffff) return id
  throw new PlanError('MR-PLAN-OPTION', { what: `framing of avro(): "${key}" is no schema id`, fix: namingIds })
}

function writtenWith(schema: AvroSchema, owner: string, reader: AvroType, longs: Longs): Written {
  const type = parsePlanSchema(schema, longs, owner)
  // Without a detour where nothing is to be resolved.
  if (isSame(type, reader)) return { type, reader }
  try {
    return { type, reader: reader.createResolver(type) }
  } catch (cause) {
    throw new PlanError('MR-PLAN-AVRO-SCHEMA', {
      what: `${owner} cannot be read as the codec's own: ${oneLine(messageOf(cause))}`,
      why: 'A field that the writer does not have needs a default, and types must be the same or widen.',
      fix: "Change the reader's schema, or leave that id out if no value was written with it.",
      cause,
    })
  }
}

/** Whether the values of two schemas have the same bytes and the same meaning. */
function isSame(one: AvroType, other: AvroType): boolean {
  return shapeOf(one) === shapeOf(other)
}

const noShape = new Set(['doc', 'aliases', 'order', 'default'])

function shapeOf(type: AvroType): string {
  return JSON.stringify(type.schema({ exportAttrs: true }), (key, value) => (noShape.has(key) ? undefined : value))
}

function idOfOwnSchema(known: ReadonlyMap<number, Written>, type: AvroType): number | undefined {
  const own = [...known].filter(([, written]) => written.reader === type).map(([id]) => id)
  return own.length === 0 ? undefined : Math.max(...own)
}

function unframed(name: string, bytes: Buffer, start: number, end: number): ItemError {
  const short = end - start < headerSize
  return new ItemError('MR-DECODE-FRAMING', {
    what: `the value is not in the Confluent framing that ${name} is told to expect`,
    why: `Such a value begins with 00 and 4 bytes of schema id; this one ${short ? 'is' : 'begins with'} ${hexExcerpt(bytes, start, end) || 'empty'}.`,
    fix: 'Read Avro without a header by leaving out `framing`, and JSON with json().',
  })
}

function unknownId(name: string, id: number, known: ReadonlyMap<number, Written>): ItemError {
  return new ItemError('MR-DECODE-SCHEMA-ID', {
    what: `the value was written with schema ${id}, which ${name} does not know`,
    why: `It knows ${[...known.keys()].join(', ')}.`,
    fix: `Add the schema: { framing: { confluent: { ${id}: schema } } }.`,
  })
}

function noWriteId(name: string): PlanError {
  return new PlanError('MR-PLAN-OPTION', {
    what: `${name} has no schema id to write with`,
    why: "None of the schemas in its framing is the codec's own.",
    fix: 'Say which one to write with: { framing: { confluent: { … }, writeId: 7 } }.',
  })
}
