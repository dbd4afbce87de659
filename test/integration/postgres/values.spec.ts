/** What is written is what stands in the table, by COPY and by upsert alike. */
import fc from 'fast-check'
import { afterAll, describe, expect, it } from 'vitest'
import { table } from '../../../sinks/table.ts'
import { createPostgresStore } from '../../../src/postgres/postgresStore.ts'
import { freshDatabase } from '../../support/services.ts'
import { Member } from './member.ts'

const columns = `id integer primary key, int2 int2, int8 int8, float4 float4, float8 float8, numeric numeric, bool boolean,
  text text, varchar varchar(5), bpchar char(3), at timestamptz, local timestamp, day date, bytea bytea, json json, jsonb jsonb,
  uuid uuid, ints integer[], texts text[], grid integer[][], blobs bytea[], docs jsonb[], colour colour, positive positive, net inet,
  span interval, filled integer default 7`
const database = await freshDatabase(`
  create type colour as enum ('red', 'green');
  create domain positive as integer check (value > 0);
  create table plain (${columns});
  create table keyed (${columns});
`)
const sinks = [table('plain'), table<{ id: number }>('keyed', { key: 'id' })]
const store = createPostgresStore({ url: database.url })
await store.open(sinks)
afterAll(() => store.close())

/** Writes a row into both tables, and answers with what an expression makes of each. */
async function written(row: object, expression: string): Promise<unknown[]> {
  await database.query('truncate plain, keyed')
  const member = await Member.claim(store, sinks)
  for (const { name } of sinks) member.append(name, { id: 1, ...row }, 0)
  await member.commit(1)
  return Promise.all(
    sinks.map(
      async ({ name }) =>
        (await database.query<{ seen: unknown }>(`select ${expression} as seen from ${name}`))[0]?.seen,
    ),
  )
}

const twice = (value: unknown) => [value, value]

describe('values', () => {
  it.each<readonly [column: string, value: unknown, expression: string, seen: unknown]>([
    ['int2', -32_768, 'int2', -32_768],
    ['int8', Number.MAX_SAFE_INTEGER, 'int8::text', '9007199254740991'],
    ['int8', -(2n ** 63n), 'int8::text', '-9223372036854775808'],
    ['float8', 0.1, 'float8', 0.1],
    ['float8', Number.NaN, 'float8::text', 'NaN'],
    ['float8', Number.POSITIVE_INFINITY, 'float8::text', 'Infinity'],
    ['float4', 1.5, 'float4', 1.5],
    ['numeric', '12345678901234567890.123456789', 'numeric::text', '12345678901234567890.123456789'],
    ['numeric', 1e21, 'numeric::text', '1000000000000000000000'],
    ['bool', false, 'bool', false],
    [
      'text',
      'tab\tline\nreturn\rback\\slash\\N \\. "quote" {brace},',
      'text',
      'tab\tline\nreturn\rback\\slash\\N \\. "quote" {brace},',
    ],
    ['text', '', 'text', ''],
    ['text', '\\.', 'text', '\\.'],
    ['text', 'NULL', 'text', 'NULL'],
    ['text', null, 'text', null],
    ['text', 12, 'text', '12'],
    ['varchar', 'Zürich'.slice(0, 5), 'varchar', 'Züric'],
    ['bpchar', 'ab', 'bpchar', 'ab '],
    ['at', new Date('2001-01-01T00:01:02.345Z'), "(at at time zone 'UTC')::text", '2001-01-01 00:01:02.345'],
    ['at', Date.UTC(12_345, 6, 8), "(at at time zone 'UTC')::text", '12345-07-08 00:00:00'],
    ['at', Date.UTC(-43, 2, 15, 1), "(at at time zone 'UTC')::text", '0044-03-15 01:00:00 BC'],
    ['local', new Date('2001-01-01T23:59:59Z'), 'local::text', '2001-01-01 23:59:59'],
    ['day', new Date('2001-01-01T23:59:59.999Z'), 'day::text', '2001-01-01'],
    ['day', new Date('2001-01-01T00:00:00Z'), 'day::text', '2001-01-01'],
    ['day', '2001-02-03', 'day::text', '2001-02-03'],
    ['bytea', Buffer.from([0, 1, 92, 255]), "encode(bytea, 'hex')", '00015cff'],
    ['bytea', new Uint8Array([9, 10, 13]).subarray(1), "encode(bytea, 'hex')", '0a0d'],
    ['json', { a: '\0', b: [1, null] }, 'json::text', '{"a":"\\u0000","b":[1,null]}'],
    ['jsonb', [1, { a: 'x' }], 'jsonb', [1, { a: 'x' }]],
    ['jsonb', 'a string', 'jsonb', 'a string'],
    ['jsonb', String.raw`\u0000 \\n`, 'jsonb', String.raw`\u0000 \\n`],
    ['uuid', '6A1F6F0E-6D2C-4F7E-9D50-0D7B7B8B6A11', 'uuid', '6a1f6f0e-6d2c-4f7e-9d50-0d7b7b8b6a11'],
    ['ints', [1, null, -3], 'ints', [1, null, -3]],
    ['ints', [], 'ints', []],
    ['texts', ['a,b', '"', '\\', null, 'NULL', '', '\t'], 'texts', ['a,b', '"', '\\', null, 'NULL', '', '\t']],
    [
      'grid',
      [
        [1, 2],
        [3, 4],
      ],
      'grid',
      [
        [1, 2],
        [3, 4],
      ],
    ],
    ['blobs', [Buffer.from([92, 0])], "encode(blobs[1], 'hex')", '5c00'],
    ['docs', [[1], { a: '"' }], 'docs', [[1], { a: '"' }]],
    ['colour', 'red', 'colour', 'red'],
    ['positive', 5, 'positive', 5],
    ['net', '10.0.0.1/8', 'net', '10.0.0.1/8'],
    ['span', '1 day 02:03', 'span::text', '1 day 02:03:00'],
    ['filled', undefined, 'filled', 7],
    ['filled', null, 'filled', null],
  ])('%s takes %s', async (column, value, expression, seen) => {
    expect(await written({ [column]: value }, expression)).toEqual(twice(seen))
  })

  it('any text, any bytes, any JSON and any time come back as they were', async () => {
    const text = fc.string({ unit: 'grapheme' }).filter((value) => !value.includes('\0'))
    const row = fc.record({
      text,
      texts: fc.array(fc.option(text)),
      bytea: fc.uint8Array().map((bytes) => Buffer.from(bytes)),
      json: fc.jsonValue(),
      float8: fc.double({ noNaN: true, noDefaultInfinity: true }),
      at: fc.date({
        min: new Date('0001-01-01T00:00:00Z'),
        max: new Date('9999-12-31T00:00:00Z'),
        noInvalidDate: true,
      }),
    })
    await fc.assert(
      fc.asyncProperty(row, async (value) => {
        const seen = await written(
          value,
          `json_build_object('text', text, 'texts', texts, 'bytea', encode(bytea, 'hex'), 'json', json, 'float8', float8, 'at', extract(epoch from at))`,
        )
        expect(seen).toEqual(
          twice({
            ...value,
            bytea: value.bytea.toString('hex'),
            json: JSON.parse(JSON.stringify(value.json)),
            float8: value.float8 + 0,
            at: value.at.getTime() / 1000,
          }),
        )
      }),
      { numRuns: 60 },
    )
  })

  it('a row of many columns and many rows come in one piece', async () => {
    await database.query('truncate plain, keyed')
    const member = await Member.claim(store, sinks)
    const long = 'é'.repeat(5_000)
    for (let id = 0; id < 2_000; id += 1) {
      for (const { name } of sinks) member.append(name, { id, text: long }, id)
    }
    await member.commit(1)
    for (const { name } of sinks) {
      const [seen] = await database.query<{ n: string }>(
        `select count(*) || ' ' || sum(length(text)) as n from ${name}`,
      )
      expect(seen?.n).toBe('2000 10000000')
    }
  })
})
