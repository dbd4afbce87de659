import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { json } from '../../src/codecs/json.ts'
import type { StandardIssue, StandardSchema } from '../../src/codecs/standardSchema.ts'
import { codecContract, decodeError, errorOf } from './codecContract.ts'

const decode = (text: string, codec = json()) => codec.decode(Buffer.from(text), 0, Buffer.byteLength(text))

/** JSON.stringify writes -0 as 0. */
/** Without the key that is refused by design, which has tests of its own. */
const jsonValues = fc
  .jsonValue({ noUnicodeString: false })
  .map((value) => JSON.stringify(value))
  .filter((text) => !text.includes('__proto__'))
  .map((text) => JSON.parse(text) as unknown)

codecContract('json()', { codec: json(), values: jsonValues })

describe('json()', () => {
  it('reads any JSON value', () => {
    expect(decode('{"origin":"LAS","delay":-3,"legs":[{"to":"SFO"}]}')).toEqual({
      origin: 'LAS',
      delay: -3,
      legs: [{ to: 'SFO' }],
    })
    expect(decode(' null ')).toBe(null)
    expect(decode('"München 😀"')).toBe('München 😀')
  })

  it('writes what JSON.stringify writes, also half a surrogate pair, which it escapes', () => {
    expect(
      json()
        .encode({ at: new Date(0), half: '\ud800' })
        .toString(),
    ).toBe('{"at":"1970-01-01T00:00:00.000Z","half":"\\ud800"}')
  })

  it('refuses to write what JSON cannot hold, and keeps the cause', () => {
    const cyclic: Record<string, unknown> = {}
    cyclic.self = cyclic
    const error = errorOf(() => json().encode(cyclic))
    expect(error.code).toBe('MR-ENCODE-JSON')
    expect(error.cause).toBeInstanceOf(TypeError)
    expect(errorOf(() => json().encode({ id: 1n })).code).toBe('MR-ENCODE-JSON')
    expect(errorOf(() => json().encode(undefined)).message).toBe(
      [
        'millrace: the value cannot be written as JSON',
        '  JSON has no undefined, functions, symbols, bigints or cycles.',
        '  Write a plain object: dates and bigints as strings, nothing that refers to itself.  MR-ENCODE-JSON',
      ].join('\n'),
    )
  })

  it('refuses options that it does not have', () => {
    expect(errorOf(() => json({ maxByte: 1 } as object)).message).toBe(
      [
        'millrace: json() has no option "maxByte"; did you mean "maxBytes"?',
        '  Its options are maxBytes, maxDepth.  MR-PLAN-OPTION',
      ].join('\n'),
    )
  })
})

describe('json() on bytes that are wrong', () => {
  it('says what is wrong and shows the text', () => {
    const error = decodeError(json(), Buffer.from('{"origin":'))
    expect(error.message).toBe(
      [
        'millrace: the value is not JSON: Unexpected end of JSON input',
        '  It has 10 bytes and reads "{\\"origin\\":".',
        '  Look at what the producer writes; text() and bytes() take any value.  MR-DECODE-JSON',
      ].join('\n'),
    )
    expect(error.cause).toBeInstanceOf(SyntaxError)
    expect(error.retryable).toBe(false)
  })

  it('shows the place in a long text, on one line', () => {
    const text = `{${'"a":1,'.repeat(100)}"b"\n\t2}`
    const { message } = decodeError(json(), Buffer.from(text))
    expect(message).toContain('1,\\"a\\":1,\\"b\\"\\n\\t2}')
    expect(message.split('\n')).toHaveLength(3)
  })

  it.each([
    ['', 'it is empty'],
    [' \n', 'it is blank'],
    ['\0\0\0\0\x07abc', 'it begins with a zero byte'],
    ['\ufeff{}', 'it begins with a byte order mark'],
    ['{"a":1}{"a":2}', 'the value is not JSON'],
    ["{'a':1}", 'the value is not JSON'],
    ['{"a":NaN}', 'the value is not JSON'],
  ])('refuses %j', (text, reason) => {
    const error = decodeError(json(), Buffer.from(text))
    expect(error.code).toBe('MR-DECODE-JSON')
    expect(error.message).toContain(reason)
  })

  it('refuses bytes that are not UTF-8 instead of replacing them', () => {
    expect(decodeError(json(), Buffer.from('{"name":"Müller"}', 'latin1')).code).toBe('MR-DECODE-UTF8')
    expect(decode('{"name":"\ufffd"}')).toEqual({ name: '\ufffd' })
  })

  it('refuses a value above the cap on size before it reads it', () => {
    const codec = json({ maxBytes: 10 })
    expect(decode('"12345678"', codec)).toBe('12345678')
    expect(decodeError(codec, Buffer.from('{{{{{{{{{{{')).message).toBe(
      [
        'millrace: the value of 11 bytes is larger than json() takes',
        '  It takes at most 10 bytes, so that one value cannot exhaust the memory.',
        '  If such values are right, raise the cap: { maxBytes: 11 }.  MR-DECODE-SIZE',
      ].join('\n'),
    )
    const large = Buffer.alloc(16 * 1024 * 1024 + 1, 0x20)
    expect(decodeError(json(), large).code).toBe('MR-DECODE-SIZE')
  })
})

describe('json() and a key __proto__', () => {
  it.each([
    ['at the top', '{"__proto__":{"admin":true}}'],
    ['at the top, with null', '{"a":1,"__proto__":null}'],
    ['at the top, flat', '{"__proto__":1}'],
    ['inside', '{"a":{"b":[1,{"__proto__":{"admin":true}}]}}'],
    ['in a list', '[{"__proto__":{}}]'],
    ['escaped', '{"a":{"\\u005f\\u005fproto\\u005F_":{"admin":true}}}'],
    ['escaped at the top', '{"\\u005f_proto__":[]}'],
  ])('refuses it %s', (_where, text) => {
    expect(decodeError(json(), Buffer.from(text)).code).toBe('MR-DECODE-PROTO')
  })

  it('takes the word where it is no key', () => {
    const value = { note: '__proto__', inner: { text: '"__proto__": {} \u0001', list: ['__proto__'] } }
    expect(decode(JSON.stringify(value))).toEqual(value)
  })

  it('finds it wherever it hides, and nowhere else', () => {
    const key = fc.oneof(fc.constant('__proto__'), fc.string({ unit: 'binary', maxLength: 3 }))
    const { tree } = fc.letrec<{ tree: unknown }>((tie) => ({
      tree: fc.oneof(
        { depthSize: 'small', maxDepth: 4 },
        fc.oneof(fc.constant('__proto__'), fc.integer(), fc.constant(null)),
        fc.array(tie('tree'), { maxLength: 3 }),
        fc.array(fc.tuple(key, tie('tree')), { maxLength: 3 }).map(entriesText),
      ),
    }))
    fc.assert(
      fc.property(tree, fc.boolean(), (value, escaped) => {
        const plain = textOf(value)
        const text = escaped ? plain.replaceAll('__proto__"', '\\u005f_proto__"') : plain
        let keys = 0
        JSON.parse(text, (name, inner) => {
          if (name === '__proto__') keys++
          return inner
        })
        if (keys === 0) expect(decode(text)).toEqual(JSON.parse(text))
        else expect(decodeError(json(), Buffer.from(text)).code).toBe('MR-DECODE-PROTO')
      }),
      { numRuns: 500 },
    )
  })
})

/** An object as text, which may name __proto__ where an object could not. */
class ObjectText {
  readonly text: string
  constructor(text: string) {
    this.text = text
  }
}

function entriesText(entries: [string, unknown][]): ObjectText {
  return new ObjectText(`{${entries.map(([key, value]) => `${JSON.stringify(key)}:${textOf(value)}`).join(',')}}`)
}

function textOf(value: unknown): string {
  if (value instanceof ObjectText) return value.text
  return Array.isArray(value) ? `[${value.map(textOf).join(',')}]` : JSON.stringify(value)
}

describe('json() and depth', () => {
  const nested = (levels: number, open = '[', close = ']') => `${open.repeat(levels)}${close.repeat(levels)}`

  it('takes 1,000 levels and no more', () => {
    expect(decode(nested(1_000))).toBeInstanceOf(Array)
    expect(decodeError(json(), Buffer.from(nested(1_001))).message).toBe(
      [
        'millrace: the value is nested deeper than 1000 levels',
        '  Whatever walks such a value by recursion overflows the stack.',
        '  If such values are right, raise the cap: { maxDepth: … }.  MR-DECODE-DEPTH',
      ].join('\n'),
    )
  })

  it.each([
    ['lists', `${'['.repeat(100_000)}${']'.repeat(100_000)}`],
    ['objects', `${'{"a":'.repeat(100_000)}1${'}'.repeat(100_000)}`],
    ['lists that go on behind what is nested', `${'[1,'.repeat(100_000)}1${',1]'.repeat(100_000)}`],
    ['lists that never end', '['.repeat(100_000)],
  ])('refuses 100,000 %s', (_name, text) => {
    expect(decodeError(json(), Buffer.from(text)).code).toBe('MR-DECODE-DEPTH')
  })

  it('does not overflow where the cap is raised', () => {
    const codec = json({ maxDepth: 200_000 })
    expect(decode(`{"a":"\\u0041","b":${nested(100_000)}}`, codec)).toBeTypeOf('object')
  })

  it('counts levels and not brackets', () => {
    const wide = JSON.stringify(Array.from({ length: 3_000 }, () => [{}]))
    expect(decode(wide)).toHaveLength(3_000)
    const brackets = JSON.stringify([`${'['.repeat(3_000)}\\"{`, '\\'])
    expect(decode(brackets)).toHaveLength(2)
  })
})

describe('json(schema)', () => {
  /** A schema by hand: objects with a text `origin`, to which it adds its length. */
  const schema: StandardSchema<unknown, { origin: string; length: number }> = {
    '~standard': {
      version: 1,
      vendor: 'byhand',
      validate(value) {
        const { origin } = value as { origin?: unknown }
        if (typeof origin === 'string') return { value: { origin, length: origin.length } }
        return { issues: [{ message: 'expected a string', path: ['origin'] }] }
      },
    },
  }

  const failing = (issues: readonly StandardIssue[]): StandardSchema<unknown, unknown> => ({
    '~standard': { version: 1, vendor: 'byhand', validate: () => ({ issues }) },
  })

  it('is called after the library and gives what the schema puts out', () => {
    expect(json(schema).name).toBe('json(byhand)')
    expect(json().name).toBe('json')
    expect(decode('{"origin":"LAS"}', json(schema))).toEqual({ origin: 'LAS', length: 3 })
  })

  it('says what does not fit, and where', () => {
    expect(decodeError(json(schema), Buffer.from('{"origin":5}')).message).toBe(
      [
        'millrace: the value does not fit its byhand schema: origin: expected a string',
        '  It reads "{\\"origin\\":5}".',
        '  Correct the producer, or let the schema take such values.  MR-DECODE-SCHEMA',
      ].join('\n'),
    )
  })

  it('lists three issues, counts the rest and keeps all of them as the cause', () => {
    const issues = [
      { message: 'first', path: ['legs', 2, { key: 'to' }] },
      { message: 'second', path: [0] },
      { message: 'third\nline.' },
      { message: 'fourth' },
      { message: 'fifth' },
    ]
    const error = decodeError(json(failing(issues)), Buffer.from('1'))
    expect(error.message).toBe(
      [
        'millrace: the value does not fit its byhand schema: legs[2].to: first',
        '  [0]: second',
        '  third line',
        '  and 2 more',
        '  It reads "1".',
        '  Correct the producer, or let the schema take such values.  MR-DECODE-SCHEMA',
      ].join('\n'),
    )
    expect(error.cause).toBe(issues)
    expect(decodeError(json(failing([])), Buffer.from('1')).code).toBe('MR-DECODE-SCHEMA')
  })

  it('takes a schema that is a function', () => {
    const callable = Object.assign(() => undefined, schema)
    expect(decode('{"origin":"LAS"}', json(callable))).toEqual({ origin: 'LAS', length: 3 })
  })

  it('refuses a schema that validates asynchronously, also when it rejects', async () => {
    const rejected: unknown[] = []
    const onRejection = (reason: unknown) => rejected.push(reason)
    process.on('unhandledRejection', onRejection)
    try {
      const codec = json({
        '~standard': { version: 1, vendor: 'byhand', validate: () => Promise.reject(new Error('later')) },
      } satisfies StandardSchema)
      expect(decodeError(codec, Buffer.from('1')).message).toBe(
        [
          'millrace: the byhand schema given to json() validates asynchronously',
          '  Values are decoded synchronously, so a schema with async checks or transforms cannot be used here.',
          '  Take the async part out of the schema and do it in a step: .mapAsync(value => …).  MR-PLAN-ASYNC-SCHEMA',
        ].join('\n'),
      )
      await new Promise((resolve) => setImmediate(resolve))
      expect(rejected).toEqual([])
    } finally {
      process.off('unhandledRejection', onRejection)
    }
  })

  it('lets through what the schema throws', () => {
    const thrown = new Error('from the schema')
    const codec = json({
      '~standard': {
        version: 1,
        vendor: 'byhand',
        validate: () => {
          throw thrown
        },
      },
    } satisfies StandardSchema)
    expect(() => decode('1', codec)).toThrow(thrown)
  })

  it('guards before it validates, with options of its own', () => {
    const codec = json(schema, { maxBytes: 5 })
    expect(decodeError(codec, Buffer.from('{"origin":"LAS"}')).code).toBe('MR-DECODE-SIZE')
    expect(decodeError(json(schema), Buffer.from('{"__proto__":{"origin":"LAS"}}')).code).toBe('MR-DECODE-PROTO')
  })
})
