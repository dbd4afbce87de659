import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type AvroSchema, avro } from '../../src/codecs/avro.ts'
import { codecContract, decodeError, errorOf } from './codecContract.ts'

const FlightSchema = {
  type: 'record',
  name: 'Flight',
  namespace: 'demo',
  fields: [
    { name: 'date', type: { type: 'long', logicalType: 'timestamp-millis' } },
    { name: 'delay', type: 'int' },
    { name: 'distance', type: 'int' },
    { name: 'origin', type: 'string' },
    { name: 'remark', type: ['null', 'string'], default: null },
  ],
} as const

const flight = { date: new Date('2001-01-01T00:01Z'), delay: -3, distance: 414, origin: 'LAS', remark: null }

const flights = fc.record(
  {
    date: fc.date({ noInvalidDate: true }),
    delay: fc.integer(),
    distance: fc.nat(),
    origin: fc.string({ unit: 'binary' }),
    remark: fc.option(fc.string()),
  },
  { noNullPrototype: true },
)

codecContract('avro()', { codec: avro(FlightSchema), values: flights })
codecContract('avro() with Confluent framing', {
  codec: avro(FlightSchema, { framing: { confluent: { 7: FlightSchema } } }),
  values: flights,
})

function roundTrip(schema: AvroSchema, value: unknown): unknown {
  const codec = avro<unknown>(schema)
  const bytes = codec.encode(value)
  return codec.decode(bytes, 0, bytes.length)
}

const field = (type: unknown) => ({ type: 'record', name: 'Row', fields: [{ name: 'value', type }] })
const fieldRoundTrip = (type: unknown, value: unknown) =>
  (roundTrip(field(type), { value }) as { value: unknown }).value

describe('avro()', () => {
  it('writes the encoding of the specification', () => {
    const bytes = avro(FlightSchema).encode({ ...flight, date: new Date(64), remark: 'ok' })
    expect(bytes).toEqual(Buffer.from([0x80, 0x01, 0x05, 0xbc, 0x06, 0x06, 0x4c, 0x41, 0x53, 0x02, 0x04, 0x6f, 0x6b]))
  })

  it('is called after its schema', () => {
    expect(avro(FlightSchema).name).toBe('avro(Flight)')
    expect(avro('string').name).toBe('avro(string)')
    expect(avro(['null', 'int']).name).toBe('avro(union)')
    expect(avro({ type: 'array', items: 'int' }).name).toBe('avro(array)')
  })

  it('gives plain objects, also for nested records and wrapped branches', () => {
    const schema = field(['int', 'double', { type: 'record', name: 'Leg', fields: [{ name: 'to', type: 'string' }] }])
    const row = roundTrip(schema, { value: { Leg: { to: 'SFO' } } }) as { value: { Leg: object } }
    for (const object of [row, row.value, row.value.Leg]) {
      expect(Object.getPrototypeOf(object)).toBe(Object.prototype)
    }
    expect(row).toStrictEqual({ value: { Leg: { to: 'SFO' } } })
  })

  it('wraps the branches of a union that JavaScript cannot tell apart, under their full names', () => {
    const type = ['null', { type: 'record', name: 'x.A', fields: [] }, { type: 'record', name: 'x.B', fields: [] }]
    expect(fieldRoundTrip(type, { 'x.B': {} })).toEqual({ 'x.B': {} })
    expect(fieldRoundTrip(type, null)).toBe(null)
    expect(fieldRoundTrip(['int', 'string'], 'a')).toBe('a')
  })

  it('takes schemas that hold themselves', () => {
    const node = { type: 'record', name: 'Node', fields: [{ name: 'next', type: ['null', 'Node'] }] }
    const value = { next: { next: { next: null } } }
    expect(roundTrip(node, value)).toStrictEqual(value)
  })

  it('reads arrays and maps in any blocks', () => {
    const ints = avro({ type: 'array', items: 'int' } as const)
    // Two blocks, the first with its size in bytes: -2, 2 bytes, 1, 2; 1, 3; end.
    const blocks = Buffer.from([0x03, 0x04, 0x02, 0x04, 0x02, 0x06, 0x00])
    expect(ints.decode(blocks, 0, blocks.length)).toEqual([1, 2, 3])
    const map = avro({ type: 'map', values: 'int' } as const)
    const entries = Buffer.from([0x01, 0x06, 0x02, 0x61, 0x02, 0x02, 0x02, 0x62, 0x04, 0x00])
    expect(map.decode(entries, 0, entries.length)).toEqual({ a: 1, b: 2 })
  })

  it('fills in defaults when it writes', () => {
    const schema = { type: 'record', name: 'Row', fields: [{ name: 'size', type: 'long', default: 5 }] }
    expect(roundTrip(schema, {})).toEqual({ size: 5 })
    const codec = avro<{ size?: bigint }>(schema, { longs: 'bigint' })
    const bytes = codec.encode({})
    expect(codec.decode(bytes, 0, bytes.length)).toEqual({ size: 5n })
  })
})

describe('avro() and longs', () => {
  const extremes = [0, -1, 1, 2 ** 52, -(2 ** 52), -(2 ** 52) - 1, Number.MAX_SAFE_INTEGER, Number.MIN_SAFE_INTEGER]

  it('keeps every safe integer, with its sign', () => {
    for (const long of extremes) expect(roundTrip('long', long)).toBe(long)
    fc.assert(
      fc.property(fc.maxSafeInteger(), (long) => {
        expect(roundTrip('long', long)).toBe(long)
      }),
    )
  })

  it('keeps all 64 bits as bigints, in the bytes that numbers have', () => {
    const codec = avro('long', { longs: 'bigint' })
    for (const long of extremes) expect(codec.encode(BigInt(long))).toEqual(avro('long').encode(long))
    for (const long of [-(1n << 63n), (1n << 63n) - 1n]) {
      const bytes = codec.encode(long)
      expect(codec.decode(bytes, 0, bytes.length)).toBe(long)
    }
    expect(codec.encode(-(1n << 63n))).toEqual(Buffer.from('ffffffffffffffffff01', 'hex'))
  })

  it('refuses a long beyond 2^53 as a number, and says what to do', () => {
    const schema = field('long')
    const bytes = avro<{ value: bigint }>(schema, { longs: 'bigint' }).encode({ value: 2n ** 53n })
    expect(decodeError(avro(schema), bytes).message).toBe(
      [
        'millrace: the value cannot be read as avro(Row): a long is beyond 2^53, where numbers lose digits',
        '  That is at byte 8 of 8 in field "value"; the value begins with 80 80 80 80 80 80 80 20.',
        "  If it is a field's value, read longs as bigints: avro(schema, { longs: 'bigint' }).  MR-DECODE-LONG",
      ].join('\n'),
    )
  })

  it('reads timestamps as Dates and nullable longs as bigints, when longs are bigints', () => {
    const schema = {
      type: 'record',
      name: 'Row',
      fields: [
        { name: 'at', type: { type: 'long', logicalType: 'timestamp-millis' } },
        { name: 'id', type: ['null', 'long'] },
      ],
    } as const
    const codec = avro(schema, { longs: 'bigint' })
    const bytes = codec.encode({ at: new Date(5), id: 1n << 60n })
    expect(codec.decode(bytes, 0, bytes.length)).toEqual({ at: new Date(5), id: 1n << 60n })
  })
})

describe('avro() and logical types', () => {
  const millis = { type: 'long', logicalType: 'timestamp-millis' }
  const micros = { type: 'long', logicalType: 'timestamp-micros' }
  const date = { type: 'int', logicalType: 'date' }
  const decimal = { type: 'bytes', logicalType: 'decimal', precision: 6, scale: 2 }

  it('reads times and dates as Dates, in UTC', () => {
    expect(fieldRoundTrip(millis, new Date('1969-12-31T23:59:59.999Z'))).toEqual(new Date(-1))
    expect(fieldRoundTrip(micros, new Date(-1))).toEqual(new Date(-1))
    expect(fieldRoundTrip(date, new Date('2001-02-03'))).toEqual(new Date('2001-02-03T00:00:00Z'))
  })

  it('cuts microseconds to the millisecond they are in', () => {
    const codec = avro<Date>(micros)
    for (const [us, ms] of [
      [1_999, 1],
      [-1, -1],
      [-1_001, -2],
    ] as const) {
      const bytes = avro('long').encode(us)
      expect(codec.decode(bytes, 0, bytes.length)).toEqual(new Date(ms))
    }
  })

  it('refuses times that no Date can hold', () => {
    for (const schema of [millis, date]) {
      const bytes = avro<number>(schema.type).encode(schema === millis ? 8.64e15 + 1 : 2 ** 31 - 1)
      expect(decodeError(avro(schema), bytes).message).toContain('a time is outside of what a Date can hold')
    }
  })

  it.each([
    ['0', '0.00'],
    ['-0.01', '-0.01'],
    ['1.5', '1.50'],
    ['0012.300', '12.30'],
    ['-1.28', '-1.28'],
    ['1.28', '1.28'],
    ['9999.99', '9999.99'],
    ['-9999.99', '-9999.99'],
  ])('reads and writes decimals as text: %s', (written, read) => {
    expect(fieldRoundTrip(decimal, written)).toBe(read)
    const fixed = { type: 'fixed', name: 'Money', size: 8, logicalType: 'decimal', precision: 6, scale: 2 }
    expect(fieldRoundTrip(fixed, written)).toBe(read)
  })

  it('writes decimals in two complements as short as can be', () => {
    const whole = avro({ type: 'bytes', logicalType: 'decimal', precision: 9 } as const)
    expect(whole.encode('127')).toEqual(Buffer.from([2, 0x7f]))
    expect(whole.encode('128')).toEqual(Buffer.from([4, 0x00, 0x80]))
    expect(whole.encode('-128')).toEqual(Buffer.from([2, 0x80]))
    expect(whole.encode('-129')).toEqual(Buffer.from([4, 0xff, 0x7f]))
  })

  it.each(['1.001', '10000.00', '1e3', ' 1', '', '.5', '--1', 'NaN'])('refuses %j for a decimal', (text) => {
    expect(errorOf(() => avro<string>(decimal).encode(text)).message).toContain('a decimal as text')
  })

  it('refuses decimals with more digits than their precision, without printing them', () => {
    const bytes = avro('bytes').encode(Buffer.alloc(1_000_000, 0x7f))
    expect(decodeError(avro(decimal), bytes).message).toContain('a decimal has more than 6 digits')
    expect(decodeError(avro(decimal), Buffer.from([0])).message).toContain('a decimal has no bytes')
  })

  it('finds the logical type behind the name of a fixed', () => {
    const schema = {
      type: 'record',
      name: 'Row',
      fields: [
        {
          name: 'net',
          type: { type: 'fixed', name: 'Money', size: 4, logicalType: 'decimal', precision: 6, scale: 2 },
        },
        { name: 'gross', type: 'Money' },
      ],
    } as const
    expect(roundTrip(schema, { net: '1.00', gross: '1.19' })).toEqual({ net: '1.00', gross: '1.19' })
  })

  it('reads logical types that it does not know, or that are wrong, as the type below', () => {
    expect(fieldRoundTrip({ type: 'string', logicalType: 'uuid' }, 'x')).toBe('x')
    expect(fieldRoundTrip({ type: 'string', logicalType: 'timestamp-millis' }, 'x')).toBe('x')
    expect(fieldRoundTrip({ type: 'long', logicalType: 'local-timestamp-millis' }, 5)).toBe(5)
    const wrong = { type: 'bytes', logicalType: 'decimal', precision: 2, scale: 3 }
    expect(fieldRoundTrip(wrong, Buffer.from([1]))).toEqual(Buffer.from([1]))
    const array = { type: 'array', items: 'int', logicalType: 'date' }
    expect(fieldRoundTrip(array, [1])).toEqual([1])
  })
})

describe('avro() that cannot write', () => {
  it('names the field, what it takes and what it was given', () => {
    expect(errorOf(() => avro(FlightSchema).encode({ ...flight, delay: 1.5 })).message).toBe(
      [
        'millrace: the value cannot be written as avro(Flight): field "delay" must be a whole number of 32 bits, but is 1.5',
        '  Change the value, or the schema that it is written with.  MR-ENCODE-AVRO',
      ].join('\n'),
    )
  })

  it.each([
    ['int', 2 ** 31, 'a whole number of 32 bits'],
    ['long', 2 ** 53, 'a whole number up to 2^53 - 1'],
    ['string', 'a\ud800', 'a string without half surrogate pairs'],
    ['string', undefined, 'a string'],
    ['bytes', 'abc', 'a Buffer'],
    [{ type: 'enum', name: 'E', symbols: ['A', 'B'] }, 'toString', 'one of A, B'],
    [{ type: 'fixed', name: 'F', size: 2 }, Buffer.alloc(3), 'a Buffer of 2 bytes'],
    [['null', 'string'], 5, 'one of ["null","string"]'],
    [{ type: 'long', logicalType: 'timestamp-millis' }, new Date(Number.NaN), 'a valid Date'],
    [{ type: 'long', logicalType: 'timestamp-micros' }, 5, 'a valid Date'],
    [{ type: 'int', logicalType: 'date' }, new Date(1), 'a Date at midnight UTC'],
  ])('refuses for %j the value %o', (type, value, expected) => {
    const error = errorOf(() => avro<unknown>(field(type)).encode({ value }))
    expect(error.code).toBe('MR-ENCODE-AVRO')
    expect(error.message).toContain(`field "value" must be ${expected}`)
  })

  it('refuses bigints where longs are numbers, and the reverse', () => {
    expect(errorOf(() => avro<unknown>('long').encode(1n)).code).toBe('MR-ENCODE-AVRO')
    expect(errorOf(() => avro<unknown>('long', { longs: 'bigint' }).encode(1)).code).toBe('MR-ENCODE-AVRO')
    expect(errorOf(() => avro('long', { longs: 'bigint' }).encode(1n << 63n)).message).toContain('a bigint of 64 bits')
  })

  it('refuses a value that holds itself', () => {
    const value: { next: unknown } = { next: null }
    value.next = value
    const node = { type: 'record', name: 'Node', fields: [{ name: 'next', type: ['null', 'Node'] }] }
    expect(errorOf(() => avro<unknown>(node).encode(value)).code).toBe('MR-ENCODE-AVRO')
  })
})

describe('avro() with a schema that is wrong', () => {
  it.each([
    [{ type: 'record', name: 'Row', fields: [{ name: 'a', type: 'Nope' }] }, 'undefined type name: Nope'],
    [{ type: 'record', name: 'Row', fields: [{ name: '__proto__', type: 'int' }] }, 'a field is named "__proto__"'],
    [{ type: 'record', name: 'Row', fields: [{ name: 'a b', type: 'int' }] }, 'invalid field name: a b'],
    [[], 'empty union'],
    [null, 'invalid type: null'],
  ])('refuses %j when it is made', (schema, reason) => {
    const error = errorOf(() => avro(schema as unknown as AvroSchema))
    expect(error.name).toBe('PlanError')
    expect(error.code).toBe('MR-PLAN-AVRO-SCHEMA')
    expect(error.message).toContain(`the schema given to avro() is no Avro schema: ${reason}`)
  })

  it('recognises the text of one', () => {
    expect(errorOf(() => avro('{"type":"int"}')).message).toBe(
      [
        'millrace: the schema given to avro() is no Avro schema: invalid name: "{\\"type\\":\\"int\\"}"',
        '  It is the text of one: give JSON.parse(text).  MR-PLAN-AVRO-SCHEMA',
      ].join('\n'),
    )
  })

  it('refuses options that it does not have', () => {
    expect(errorOf(() => avro('int', { maxItem: 3 } as object)).message).toContain('did you mean "maxItems"?')
    expect(errorOf(() => avro('int', { longs: 'string' } as object)).code).toBe('MR-PLAN-OPTION')
    expect(errorOf(() => avro('int', { framing: 'confluent' } as object)).code).toBe('MR-PLAN-OPTION')
  })
})
