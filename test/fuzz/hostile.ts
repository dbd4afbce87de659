/** Input that nobody should send, and somebody will. */
import fc from 'fast-check'

const half = '\ud800'

/** Texts that have broken programs before. */
export const hostileText: fc.Arbitrary<string> = fc.oneof(
  fc.constantFrom(
    '',
    '\0',
    half,
    `${half}x`,
    '\\N',
    '\\.',
    '__proto__',
    'constructor',
    'null',
    'NaN',
    '-0',
    '1e999',
    '9007199254740993',
    '{"a":',
    "'; drop table x; --",
    '"',
    '\u202e\ufeff',
    'İ',
  ),
  fc.string({ unit: 'binary', maxLength: 40 }),
  fc.string({ unit: 'grapheme', maxLength: 40 }),
)

/** Values of any kind, as JavaScript knows them. */
export const hostileValue: fc.Arbitrary<unknown> = fc.oneof(
  fc.anything({
    withBigInt: true,
    withDate: true,
    withMap: true,
    withSet: true,
    withSparseArray: true,
    withTypedArray: true,
    withNullPrototype: true,
    withObjectString: true,
    maxDepth: 3,
  }),
  hostileText,
  fc.bigInt(),
  fc.double(),
  fc.constantFrom(new Date(Number.NaN), new Date(8.64e15), new Date(-8.64e15), Symbol('s'), () => 1, Buffer.alloc(3)),
)

/** JSON, whole and in pieces, and what looks like it. */
export const hostileJson: fc.Arbitrary<Buffer> = fc.oneof(
  fc.json({ maxDepth: 4, stringUnit: 'binary' }).map((text) => Buffer.from(text)),
  fc.tuple(fc.json(), fc.nat({ max: 200 })).map(([text, length]) => Buffer.from(text).subarray(0, length)),
  fc.nat({ max: 3_000 }).map((depth) => Buffer.from('['.repeat(depth))),
  fc.nat({ max: 3_000 }).map((depth) => Buffer.from(`${'{"a":'.repeat(depth)}1${'}'.repeat(depth)}`)),
  hostileText.map((text) => Buffer.from(`{"n":${JSON.stringify(text)},"__proto__":{"x":1}}`)),
  fc
    .constantFrom('1e400', '-', '"\\ud800"', '{"a":1,"a":2}', '\ufeff{}', '{"n":123456789012345678901234567890}')
    .map((text) => Buffer.from(text)),
  bytes(),
)

export function bytes(maxLength = 60): fc.Arbitrary<Buffer> {
  return fc.uint8Array({ maxLength }).map((array) => Buffer.from(array))
}

/** Bytes with some of them changed, cut off or doubled. */
export function damaged(honest: fc.Arbitrary<Buffer>): fc.Arbitrary<Buffer> {
  const hit = fc.record({ at: fc.nat(), byte: fc.nat({ max: 255 }) })
  const changed = fc.tuple(honest, fc.array(hit, { minLength: 1, maxLength: 4 })).map(([given, hits]) => {
    const copy = Buffer.from(given)
    for (const { at, byte } of hits) if (copy.length > 0) copy[at % copy.length] = byte
    return copy
  })
  const cut = fc.tuple(honest, fc.nat()).map(([given, at]) => given.subarray(0, at % (given.length + 1)))
  const doubled = fc.tuple(honest, honest).map(([one, other]) => Buffer.concat([one, other]))
  return fc.oneof(honest, changed, cut, doubled, bytes())
}

export interface HostileRecord {
  readonly key: Buffer | null
  readonly value: Buffer | null
  readonly headers: readonly { readonly key: string; readonly value: Buffer | null }[]
  readonly timestamp: number
}

/** Records with null keys and values, the same header many times, and times outside of what a Date can hold. */
export function hostileRecord(value: fc.Arbitrary<Buffer>): fc.Arbitrary<HostileRecord> {
  return fc.record({
    key: fc.option(bytes(), { nil: null }),
    value: fc.option(value, { nil: null, freq: 8 }),
    headers: fc.array(
      fc.record({
        key: fc.oneof(fc.constantFrom('same', '', '__proto__'), hostileText),
        value: fc.option(bytes(10), { nil: null }),
      }),
      { maxLength: 5 },
    ),
    timestamp: fc.oneof(fc.nat(), fc.constantFrom(-1, 0, 8.64e15, 8.64e15 + 1, -8.64e15, Number.MAX_SAFE_INTEGER)),
  })
}
