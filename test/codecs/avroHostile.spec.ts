import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { describe, expect, it } from 'vitest'
import { type AvroOptions, type AvroSchema, avro } from '../../src/codecs/avro.ts'
import { decodeError } from './codecContract.ts'

const field = (type: unknown) => ({ type: 'record', name: 'Row', fields: [{ name: 'value', type }] })

/** The error that bytes give when the schema reads them, and when it is only skipped over in a writer's schema. */
function errors(type: unknown, bytes: readonly number[], options: AvroOptions = {}) {
  const reader = { type: 'record', name: 'Row', fields: [{ name: 'last', type: 'null' }] }
  const writer = { ...reader, fields: [{ name: 'value', type }, ...reader.fields] }
  const framed = Buffer.from([0, 0, 0, 0, 1, ...bytes])
  return {
    read: decodeError(avro(field(type), options), Buffer.from(bytes)),
    skipped: decodeError(avro(reader, { ...options, framing: { confluent: { 1: writer } } }), framed),
  }
}

const nulls: AvroSchema = { type: 'array', items: 'null' }
const node = { type: 'record', name: 'Node', fields: [{ name: 'next', type: ['null', 'Node'] }] } as const

/** The varint of a zigzagged number, as long as need be. */
function long(value: bigint): number[] {
  let bits = value < 0n ? -value * 2n - 1n : value * 2n
  const bytes: number[] = []
  for (; bits >= 128n; bits >>= 7n) bytes.push(Number(bits & 127n) | 128)
  return [...bytes, Number(bits)]
}

describe('avro() on bytes that cost more than they are', () => {
  it('refuses an array of nulls by its count, before it makes any', () => {
    const twentyMillion = [...long(20_000_000n), 0]
    expect(twentyMillion).toHaveLength(5)
    const { read, skipped } = errors(nulls, twentyMillion)
    expect(read.message).toBe(
      [
        'millrace: the value cannot be read as avro(Row): its arrays and maps announce more than 1000000 items',
        '  That is at byte 4 of 5 in field "value"; the value begins with 80 b4 89 13 00.',
        '  If such values are right, raise the cap: { maxItems: … }.  MR-DECODE-COUNT',
      ].join('\n'),
    )
    expect(skipped.code).toBe('MR-DECODE-COUNT')
  })

  it('counts all arrays and maps of a value together', () => {
    const lists = avro({ type: 'array', items: nulls } as AvroSchema, { maxItems: 10 })
    const of = (counts: number[]) => Buffer.from([counts.length * 2, ...counts.flatMap((count) => [count * 2, 0]), 0])
    const right = of([4, 4])
    expect(lists.decode(right, 0, right.length)).toEqual([Array(4).fill(null), Array(4).fill(null)])
    expect(decodeError(lists, of([4, 5])).code).toBe('MR-DECODE-COUNT')
    // The count starts afresh with each value.
    expect(lists.decode(right, 0, right.length)).toHaveLength(2)
  })

  it('counts items in many small blocks, and in blocks with a size', () => {
    const small = Array.from({ length: 11 }, () => 2)
    expect(errors(nulls, [...small, 0], { maxItems: 10 }).read.code).toBe('MR-DECODE-COUNT')
    expect(errors(nulls, [...long(-20_000_000n), 0, 0]).read.code).toBe('MR-DECODE-COUNT')
  })

  it.each([
    ['strings', { type: 'array', items: 'string' }],
    ['map entries', { type: 'map', values: 'string' }],
    ['empty records', { type: 'array', items: { type: 'record', name: 'Empty', fields: [] } }],
    ['fixed of no bytes', { type: 'array', items: { type: 'fixed', name: 'Nothing', size: 0 } }],
  ])('refuses 2^40 %s', (_name, type) => {
    const { read, skipped } = errors(type, [...long(1n << 40n), 0])
    expect(read.code).toBe('MR-DECODE-COUNT')
    expect(skipped.code).toBe('MR-DECODE-COUNT')
  })

  it('stops at the end of the bytes, however many items are announced', () => {
    const { read, skipped } = errors({ type: 'array', items: 'string' }, long(900_000n))
    expect(read.code).toBe('MR-DECODE-AVRO')
    expect(skipped.code).toBe('MR-DECODE-AVRO')
  })

  it('does not jump by the size of a skipped block, which may point backwards for ever', () => {
    // A block of one int with a size of -3 bytes.
    const { skipped } = errors({ type: 'array', items: 'int' }, [1, 5, 2])
    expect(skipped.code).toBe('MR-DECODE-AVRO')
    const map = errors({ type: 'map', values: 'int' }, [1, 7, 2, 0x61, 2])
    expect(map.skipped.code).toBe('MR-DECODE-AVRO')
  })

  it.each(['string', 'bytes'])('refuses a %s longer than the value, or of less than nothing', (type) => {
    for (const length of [1n, 1n << 31n, 1n << 52n, 1n << 62n, -1n, -(1n << 40n)]) {
      const { read, skipped } = errors(type, [...long(length)])
      expect(read.code).toMatch(/MR-DECODE-(AVRO|LONG)/)
      expect(skipped.code).toMatch(/MR-DECODE-(AVRO|LONG)/)
    }
  })

  it('refuses a value above the cap on size', () => {
    expect(decodeError(avro('bytes', { maxBytes: 4 }), Buffer.alloc(5)).message).toContain(
      'the value of 5 bytes is larger than avro(bytes) takes',
    )
  })
})

describe('avro() on deep bytes', () => {
  const deep = (levels: number) => [...Array(levels - 1).fill(2), 0]

  it('takes 1,000 levels and no more', () => {
    const bytes = Buffer.from(deep(1_000))
    expect(avro(node).decode(bytes, 0, bytes.length)).toBeTypeOf('object')
    expect(decodeError(avro(node), Buffer.from(deep(1_001))).message).toContain(
      'its records are nested deeper than 1000 levels',
    )
  })

  it('refuses 100,000 levels: read, skipped and resolved', () => {
    const { read, skipped } = errors(node, deep(100_000))
    expect(read.code).toBe('MR-DECODE-DEPTH')
    expect(skipped.code).toBe('MR-DECODE-DEPTH')
    const grown = { ...node, fields: [...node.fields, { name: 'size', type: 'int', default: 0 }] }
    const resolving = avro(grown, { framing: { confluent: { 1: node } } })
    expect(decodeError(resolving, Buffer.from([0, 0, 0, 0, 1, ...deep(100_000)])).code).toBe('MR-DECODE-DEPTH')
  })

  it('catches what overflows the stack where the cap is raised, and works on', () => {
    const codec = avro(node, { maxDepth: 10_000_000 })
    expect(decodeError(codec, Buffer.from(deep(1_000_000))).code).toBe('MR-DECODE-DEPTH')
    expect(codec.decode(Buffer.from([2, 0]), 0, 2)).toEqual({ next: { next: null } })
  })

  it('counts depth and not records', () => {
    const tree = { type: 'record', name: 'Tree', fields: [{ name: 'inner', type: { type: 'array', items: 'Tree' } }] }
    const wide = Buffer.from([...long(3_000n), ...Array(3_000).fill(0), 0])
    expect(avro<{ inner: object[] }>(tree).decode(wide, 0, wide.length).inner).toHaveLength(3_000)
  })
})

describe('avro() on bytes that are no value', () => {
  it.each([
    ['an int above 32 bits', 'int', [0xff, 0xff, 0xff, 0xff, 0x10], 'an int has more than 32 bits'],
    ['an int without an end', 'int', [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01], 'an int has more than 32 bits'],
    ['a long without an end', 'long', Array(20).fill(0xff), 'a long has more than 10 bytes'],
    ['an int cut short', 'int', [0x80], 'the bytes end too early'],
    ['a long cut short', 'long', [0x80, 0x80, 0x80, 0x80, 0x80], 'the bytes end too early'],
    ['a boolean of 7', 'boolean', [7], 'a boolean is 0 or 1, and here is 7'],
    ['a boolean that is missing', 'boolean', [], 'the bytes end too early'],
    ['a float cut short', 'float', [1, 2, 3], 'the bytes end too early: 4 announced, 3 left'],
    ['a double cut short', 'double', [1], 'the bytes end too early: 8 announced, 1 left'],
    ['a branch that is not there', ['null', 'int'], [4], 'a union of 2 branches has no branch 2'],
    ['a branch below zero', ['null', 'int'], [1], 'a union of 2 branches has no branch -1'],
    ['a symbol that is not there', { type: 'enum', name: 'E', symbols: ['A'] }, [2], 'invalid E enum index: 1'],
    ['a string that is not UTF-8', 'string', [2, 0xff], 'a string is not UTF-8'],
    ['a long string that is not UTF-8', 'string', [12, 0x61, 0x61, 0x61, 0x61, 0x61, 0xe9], 'a string is not UTF-8'],
    ['a byte too many', 'int', [2, 2], 'a byte is left over'],
  ])('refuses %s', (_name, type, bytes, reason) => {
    const error = decodeError(avro(field(type)), Buffer.from(bytes))
    expect(error.message).toContain(`cannot be read as avro(Row): ${reason}`)
    expect(error.name).toBe('ItemError')
  })

  it('refuses a union branch that is not there also where it is skipped or resolved', () => {
    const { skipped } = errors(['null', 'int'], [4])
    expect(skipped.message).toContain('a union of 2 branches has no branch 2')
  })

  it('reads 10 bytes of a bigint and no more', () => {
    const codec = avro('long', { longs: 'bigint' })
    expect(decodeError(codec, Buffer.alloc(20, 0xff)).message).toContain('a long has more than 10 bytes')
    expect(decodeError(codec, Buffer.from([...Array(9).fill(0xff), 0x02])).message).toContain('more than 64 bits')
    expect(decodeError(codec, Buffer.from([0x80])).message).toContain('the bytes end too early')
  })

  it('names the field inside nested records and nullable ones', () => {
    const leg = {
      type: 'record',
      name: 'Leg',
      fields: [
        { name: 'from', type: 'string' },
        { name: 'to', type: 'string' },
      ],
    }
    const error = decodeError(avro(field(['null', leg])), Buffer.from([2, 2, 0x61, 8, 0x62]))
    expect(error.message).toBe(
      [
        'millrace: the value cannot be read as avro(Row): the bytes end too early: 4 announced, 1 left',
        '  That is at byte 4 of 5 in field "value.to"; the value begins with 02 02 61 08 62.',
        '  Compare the schema with the one that the producer writes with.  MR-DECODE-AVRO',
      ].join('\n'),
    )
  })

  it('says so when a value is empty', () => {
    expect(decodeError(avro('int'), Buffer.alloc(0)).message).toContain('at byte 0 of 0; the value is empty')
  })

  it('refuses a map key __proto__ and leaves other names of Object.prototype alone', () => {
    const type = { type: 'map', values: { type: 'map', values: 'int' } } as const
    const entry = (key: string) => Buffer.from([2, key.length * 2, ...Buffer.from(key), 2, 2, 0x61, 2, 0, 0])
    expect(decodeError(avro(type), entry('__proto__')).code).toBe('MR-DECODE-PROTO')
    expect(errors(type, [...entry('__proto__')]).skipped.code).toBe('MR-DECODE-PROTO')
    const bytes = entry('constructor')
    const map = avro(type).decode(bytes, 0, bytes.length)
    expect(Object.entries(map)).toEqual([['constructor', { a: 1 }]])
    expect(Object.getPrototypeOf(map)).toBe(Object.prototype)
  })
})

describe('avro() and the bytes of the fetch', () => {
  it('lets go of them, after a value and after an error', async () => {
    setFlagsFromString('--expose-gc')
    const collect = runInNewContext('gc') as () => void
    const codec = avro('bytes')
    const read = (bytes: Buffer): WeakRef<ArrayBufferLike> => {
      try {
        codec.decode(bytes, 0, bytes.length)
      } catch {
        // The other half of the test.
      }
      return new WeakRef(bytes.buffer)
    }
    const fetched = [read(Buffer.alloc(20_000)), read(Buffer.from(new Uint8Array(20_000)).fill(0xff))]
    for (let turn = 0; turn < 50 && fetched.some((bytes) => bytes.deref() !== undefined); turn++) {
      await new Promise((resolve) => setImmediate(resolve))
      collect()
    }
    expect(fetched.map((bytes) => bytes.deref())).toEqual([undefined, undefined])
    expect(codec.name).toBe('avro(bytes)')
  })
})
