import { describe, expect, it } from 'vitest'
import { type AvroOptions, type AvroSchema, avro } from '../../src/codecs/avro.ts'
import { decodeError, errorOf } from './codecContract.ts'

const row = (...fields: readonly object[]) => ({ type: 'record', name: 'Row', fields })
const a = { name: 'a', type: 'int' }
const bWithDefault = { name: 'b', type: 'string', default: 'none' }

const confluent = (schemas: Readonly<Record<number, AvroSchema>>, writeId?: number): AvroOptions => ({
  framing: { confluent: schemas, ...(writeId === undefined ? {} : { writeId }) },
})

/** Writes a value with one schema and reads it with another. */
function resolved(
  writer: AvroSchema,
  reader: AvroSchema,
  value: unknown,
  longs: 'number' | 'bigint' = 'number',
): unknown {
  const bytes = avro<unknown>(writer, { ...confluent({ 1: writer }), longs }).encode(value)
  return avro<unknown>(reader, { ...confluent({ 1: writer }), longs }).decode(bytes, 0, bytes.length)
}

describe('avro() with Confluent framing', () => {
  it('writes a zero, the id and the value', () => {
    const codec = avro<unknown>(row(a), confluent({ 258: row(a) }))
    expect(codec.encode({ a: 1 })).toEqual(Buffer.from([0, 0, 0, 1, 2, 2]))
    expect(codec.name).toBe('avro(Row)')
  })

  it('takes ids of 32 bits', () => {
    const codec = avro<unknown>(row(a), confluent({ 4294967295: row(a) }))
    const bytes = codec.encode({ a: 1 })
    expect(bytes.subarray(1, 5)).toEqual(Buffer.alloc(4, 0xff))
    expect(codec.decode(bytes, 0, bytes.length)).toEqual({ a: 1 })
  })

  it('reads each value with the schema that it was written with, in any order', () => {
    const reader = row(a, bWithDefault)
    const codec = avro<unknown>(reader, confluent({ 1: row(a), 2: reader }))
    const old = avro<unknown>(row(a), confluent({ 1: row(a) })).encode({ a: 1 })
    const current = codec.encode({ a: 2, b: 'x' })
    const read = (bytes: Buffer) => codec.decode(bytes, 0, bytes.length)
    const unknown = Buffer.from([0, 0, 0, 0, 3, 2])
    expect([read(old), read(current), read(current), read(old)]).toEqual([
      { a: 1, b: 'none' },
      { a: 2, b: 'x' },
      { a: 2, b: 'x' },
      { a: 1, b: 'none' },
    ])
    expect(decodeError(codec, unknown).code).toBe('MR-DECODE-SCHEMA-ID')
    expect(read(old)).toEqual({ a: 1, b: 'none' })
  })

  it('names the id that it does not know, and those that it knows', () => {
    const codec = avro(row(a), confluent({ 7: row(a), 9: row(a) }))
    expect(decodeError(codec, Buffer.from([0, 0, 0, 0, 12, 2])).message).toBe(
      [
        'millrace: the value was written with schema 12, which avro(Row) does not know',
        '  It knows 7, 9.',
        '  Add the schema: { framing: { confluent: { 12: schema } } }.  MR-DECODE-SCHEMA-ID',
      ].join('\n'),
    )
  })

  it.each([
    ['JSON', Buffer.from('{"a":1}'), 'this one begins with 7b 22 61 22 3a 31 7d'],
    ['a value cut in its header', Buffer.from([0, 0, 0]), 'this one is 00 00 00'],
    ['an empty value', Buffer.alloc(0), 'this one is empty'],
    ['another magic byte', Buffer.from([1, 0, 0, 0, 7, 2]), 'this one begins with 01'],
  ])('refuses %s', (_name, bytes, excerpt) => {
    const error = decodeError(avro(row(a), confluent({ 7: row(a) })), bytes)
    expect(error.code).toBe('MR-DECODE-FRAMING')
    expect(error.message).toContain(excerpt)
  })

  it('recognises a header where it was told of none', () => {
    const bytes = avro<unknown>(row(bWithDefault), confluent({ 7: row(bWithDefault) })).encode({ b: 'x' })
    expect(decodeError(avro(row(bWithDefault)), bytes).message).toBe(
      [
        'millrace: the value cannot be read as avro(Row): 6 bytes are left over',
        '  That is at byte 1 of 7; the value begins with 00 00 00 00 07 02 78.',
        '  If 00 and the next 4 bytes are a Confluent header, say so: { framing: { confluent: { [id]: schema } } }.  MR-DECODE-AVRO',
      ].join('\n'),
    )
  })

  it('writes with the id that is asked for, else with the highest one of its own schema', () => {
    const reader = row(a, bWithDefault)
    const schemas = { 1: reader, 3: { ...reader, doc: 'the same' }, 5: row(a) }
    expect(avro<unknown>(reader, confluent(schemas)).encode({ a: 1, b: '' })[4]).toBe(3)
    expect(avro<unknown>(reader, confluent(schemas, 5)).encode({ a: 1, b: '' })).toEqual(
      Buffer.from([0, 0, 0, 0, 5, 2]),
    )
    const readOnly = avro<unknown>(reader, confluent({ 5: row(a) }))
    expect(errorOf(() => readOnly.encode({ a: 1, b: '' })).message).toBe(
      [
        'millrace: avro(Row) has no schema id to write with',
        "  None of the schemas in its framing is the codec's own.",
        '  Say which one to write with: { framing: { confluent: { … }, writeId: 7 } }.  MR-PLAN-OPTION',
      ].join('\n'),
    )
  })

  it('refuses framing that cannot be meant', () => {
    const of = (framing: object) => errorOf(() => avro('int', { framing } as AvroOptions)).message
    expect(of({ confluent: {} })).toContain('"confluent" names no schema')
    expect(of({ confluent: { latest: 'int' } })).toContain('"latest" is no schema id')
    expect(of({ confluent: { 4294967296: 'int' } })).toContain('"4294967296" is no schema id')
    expect(of({ confluent: { 7: 'int' }, writeId: 8 })).toContain('"writeId" is 8, and "confluent" has no such schema')
    expect(of({ confluent: { 7: 'nope' } })).toContain('schema 7 of avro(int) is no Avro schema')
    expect(of({})).toContain('framing of avro() needs "confluent"')
    expect(of({ glue: {} })).toContain('framing of avro() has no option "glue"')
  })
})

describe('avro() resolving a writer against its reader', () => {
  it('drops fields, fills in defaults and follows aliases', () => {
    const writer = row({ name: 'gone', type: { type: 'array', items: 'string' } }, a, { name: 'old', type: 'string' })
    const reader = row(bWithDefault, { name: 'renamed', type: 'string', aliases: ['old'] }, a)
    expect(resolved(writer, reader, { gone: ['x'], a: 1, old: 'y' })).toEqual({ b: 'none', renamed: 'y', a: 1 })
  })

  it('widens numbers', () => {
    const of = (type: string) => row({ name: 'a', type })
    expect(resolved(of('int'), of('long'), { a: 1 })).toEqual({ a: 1 })
    expect(resolved(of('long'), of('double'), { a: 2 ** 40 })).toEqual({ a: 2 ** 40 })
    expect(resolved(of('int'), of('long'), { a: -1 }, 'bigint')).toEqual({ a: -1n })
    expect(resolved(of('long'), of('double'), { a: 5n }, 'bigint')).toEqual({ a: 5 })
  })

  it('makes fields nullable, and enums wider by a default', () => {
    const e = (...symbols: string[]) => ({ type: 'enum', name: 'E', symbols, default: symbols[0] })
    expect(resolved(row(a), row({ name: 'a', type: ['null', 'int'] }), { a: 1 })).toEqual({ a: 1 })
    const narrow = row({ name: 'e', type: e('A', 'B') })
    expect(resolved(row({ name: 'e', type: e('B', 'C') }), narrow, { e: 'C' })).toEqual({ e: 'A' })
  })

  it('takes logical types off and puts them on, and reads any timestamp as any other', () => {
    const of = (logicalType?: string) =>
      row({ name: 'at', type: { type: 'long', ...(logicalType && { logicalType }) } })
    expect(resolved(of('timestamp-millis'), of(), { at: new Date(5) })).toEqual({ at: 5 })
    expect(resolved(of(), of('timestamp-millis'), { at: 5 })).toEqual({ at: new Date(5) })
    expect(resolved(of('timestamp-micros'), of('timestamp-millis'), { at: new Date(5) })).toEqual({ at: new Date(5) })
    expect(resolved(of(), of('timestamp-millis'), { at: 5n }, 'bigint')).toEqual({ at: new Date(5) })
    expect(resolved(of('timestamp-millis'), of(), { at: new Date(5) }, 'bigint')).toEqual({ at: 5n })
    const int = row({ name: 'at', type: 'int' })
    expect(resolved(int, of('timestamp-millis'), { at: 5 })).toEqual({ at: new Date(5) })
  })

  it.each([
    [
      'a field without a default',
      row(a),
      row(a, { name: 'c', type: 'int' }),
      'no matching field for default-less Row.c',
    ],
    ['a narrower number', row({ name: 'a', type: 'long' }), row(a), 'cannot read "long" as "int"'],
    [
      'another scale',
      row({ name: 'a', type: { type: 'bytes', logicalType: 'decimal', precision: 4, scale: 2 } }),
      row({ name: 'a', type: { type: 'bytes', logicalType: 'decimal', precision: 4, scale: 1 } }),
      'cannot read',
    ],
    [
      'a date as a timestamp',
      row({ name: 'a', type: { type: 'int', logicalType: 'date' } }),
      row({ name: 'a', type: { type: 'long', logicalType: 'timestamp-millis' } }),
      'cannot read',
    ],
  ])('refuses %s when it is made', (_name, writer, reader, reason) => {
    const error = errorOf(() => avro(reader, confluent({ 4: writer })))
    expect(error.code).toBe('MR-PLAN-AVRO-SCHEMA')
    expect(error.message).toContain("schema 4 of avro(Row) cannot be read as the codec's own: ")
    expect(error.message).toContain(reason)
  })
})
