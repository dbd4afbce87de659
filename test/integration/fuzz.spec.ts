/** Bad input against the real Postgres and Kafka: what it may be, it is; else its item is collected, and its neighbours are there. */
import fc from 'fast-check'
import pg from 'pg'
import { afterAll, describe, expect, test } from 'vitest'
import { table } from '../../sinks/table.ts'
import { json } from '../../src/codecs/index.ts'
import { MillraceError } from '../../src/core/errors.ts'
import type { SourceClient } from '../../src/core/source.ts'
import { createKafkaClient } from '../../src/kafka/kafkaClient.ts'
import { start } from '../../src/service/start.ts'
import { type Plan, stream } from '../../src/stream.ts'
import { createMemoryBroker } from '../../src/testing/memoryBroker.ts'
import { topic } from '../../src/topic.ts'
import { isAsSent, seenAs } from '../fuzz/asSent.ts'
import { hostileJson, hostileRecord, hostileText, hostileValue } from '../fuzz/hostile.ts'
import { freshDatabase, freshName } from '../support/services.ts'
import { createTopic } from '../support/topics.ts'
import { openKafkaHarness } from './kafka/kafkaHarness.ts'

const valuesOfType = 300
const names = 30
const recordsOfKafka = 200

const database = await freshDatabase()
const harness = await openKafkaHarness()
afterAll(() => harness.close())

const numbers = topic('numbers', json<number>())

interface Collected {
  readonly offset: number
  readonly code: string | null
  readonly message: string
}

/** Runs a plan over the numbers from 0 up to `count`. */
async function run(plan: Plan, group: string, count: number): Promise<readonly Collected[]> {
  const broker = createMemoryBroker()
  broker.createTopic(numbers.name, 1)
  for (let n = 0; n < count; n++) broker.append(numbers.name, 0, { value: Buffer.from(String(n)) })
  return runOver(plan, group, broker.client(group))
}

async function runOver(plan: Plan, group: string, client: SourceClient): Promise<readonly Collected[]> {
  const app = await start(plan, { group, client, postgres: { url: database.url }, from: 'earliest', logger: silent })
  await app.caughtUp()
  await app.stop()
  const rows = await database.query<{ record_offset: string; error_code: string; error_message: string }>(
    'select record_offset, error_code, error_message from millrace.errors where app = $1 order by record_offset',
    [group],
  )
  return rows.map((row) => ({ offset: Number(row.record_offset), code: row.error_code, message: row.error_message }))
}

const silent = { debug() {}, info() {}, warn() {}, error() {} }

/** Types of columns, each with a value that it takes. */
const types: readonly (readonly [type: string, good: unknown])[] = [
  ['int2', 1],
  ['int4', 1],
  ['int8', 1n],
  ['float4', 0.5],
  ['float8', 0.5],
  ['numeric', '1.5'],
  ['bool', true],
  ['text', 'x'],
  ['varchar(5)', 'x'],
  ['timestamptz', new Date(0)],
  ['timestamp', new Date(0)],
  ['date', new Date(0)],
  ['bytea', Buffer.from('x')],
  ['json', { a: 1 }],
  ['jsonb', { a: 1 }],
  ['uuid', '00000000-0000-4000-8000-000000000000'],
  ['integer[]', [1]],
  ['text[]', ['x']],
  ['jsonb[]', [{ a: 1 }]],
  ['inet', '127.0.0.1'],
]

describe.each(['copied', 'upserted'])('hostile values, %s', (way) => {
  test.each(types)('into %s', { timeout: 60_000 }, async (type, good) => {
    const [seed] = [way.length * 1_000 + type.length]
    const hostile = fc.sample(hostileValue, { numRuns: valuesOfType, seed })
    const name = freshName('fuzz').replaceAll('-', '_')
    await database.query(`create table ${name} (id integer primary key, value ${type})`)
    const sink = table<{ id: number; value: unknown }>(name, way === 'copied' ? {} : { key: 'id' })
    // Every second one is good.
    const plan = stream('s')
      .from(numbers)
      .to(sink, (n) => ({ id: n, value: n % 2 === 0 ? good : hostile[n >> 1] }))
    const errors = await run(plan, name, 2 * valuesOfType)
    const collected = new Set(errors.map(({ offset }) => offset))
    const stored = await database.query<{ id: number; seen: string | null }>(
      `select id, ${seenAs(type)} as seen from ${name}`,
    )
    const ids = new Set(stored.map(({ id }) => id))
    for (const { id, seen } of stored) {
      const sent = id % 2 === 0 ? good : hostile[id >> 1]
      expect(isAsSent(type, sent, seen), `${fc.stringify(sent)} is ${seen} in the table`).not.toBe(false)
    }
    for (const { offset, code, message } of errors) {
      const where = fc.stringify(hostile[offset >> 1])
      expect(code, `the code of ${where}`).toMatch(/^(MR-SINK-(TYPE|NULL|ROW)|(22|23|54)...)$/)
      // Where Postgres says it, it may name the value only.
      if (code?.startsWith('MR-')) expect(message, where).toContain('column "value"')
      else expect(message.length, where).toBeGreaterThan(10)
    }
    for (let n = 0; n < 2 * valuesOfType; n++) {
      const where = `value ${n}: ${String(fc.stringify(hostile[n >> 1]))}`
      if (n % 2 === 0) expect(ids.has(n), `the good neighbour before ${where}`).toBe(true)
      expect(ids.has(n) !== collected.has(n), `${where} is a row or collected, and not both`).toBe(true)
    }
  })
})

describe.each(['copied', 'upserted'])('rows of any kind, %s', (way) => {
  test('are rows or collected', { timeout: 60_000 }, async () => {
    const anyRow = fc.oneof(
      hostileValue,
      fc.record({ id: hostileValue, value: hostileValue }),
      fc.dictionary(hostileText, hostileValue, { maxKeys: 4 }),
      fc.record({ id: fc.nat({ max: 5 }), value: fc.option(hostileText) }),
    )
    const hostile = fc.sample(anyRow, { numRuns: valuesOfType, seed: way.length })
    const name = freshName('rows').replaceAll('-', '_')
    await database.query(`create table ${name} (id integer primary key, value text)`)
    const columns = ['id', 'value'] as const
    const sink = table<{ id: number; value: string }>(name, way === 'copied' ? { columns } : { columns, key: 'id' })
    const first = 1_000_000_000
    const plan = stream('s')
      .from(numbers)
      .to(sink, (n) => (n % 2 === 0 ? { id: first + n, value: 'good' } : (hostile[n >> 1] as never)))
    const errors = await run(plan, name, 2 * valuesOfType)
    const stored = new Set((await database.query<{ id: number }>(`select id from ${name}`)).map(({ id }) => id))
    for (let n = 0; n < 2 * valuesOfType; n += 2) {
      expect(stored.has(first + n), `the good neighbour of ${fc.stringify(hostile[n >> 1])}`).toBe(true)
    }
    expect(errors.every(({ offset }) => offset % 2 === 1)).toBe(true)
    // A row that is upserted may be one that was there.
    const rows = stored.size + errors.length
    if (way === 'copied') expect(rows).toBe(2 * valuesOfType)
    else expect(rows).toBeGreaterThan(valuesOfType)
  })
})

/** Runs a plan whose names may be impossible. Gives what is collected, or the error of ours that it ends with. */
async function runOrRefuse(
  plan: () => Plan,
  group: string,
  about: string,
): Promise<readonly Collected[] | MillraceError> {
  try {
    return await run(plan(), group, 3)
  } catch (error) {
    expect(error, about).toBeInstanceOf(MillraceError)
    expect((error as MillraceError).code, about).not.toMatch(/INTERNAL/)
    expect((error as MillraceError).message, about).toMatch(/^millrace: /)
    return error as MillraceError
  }
}

const identifier = fc.oneof(
  hostileText,
  fc.constantFrom(
    'select',
    'a.b',
    'a"b',
    'Ä'.repeat(40),
    'x'.repeat(63),
    'x'.repeat(64),
    'pg_catalog.pg_class',
    'ctid',
  ),
)

test('hostile names of tables and columns', { timeout: 120_000 }, async () => {
  await database.query('create table x (id integer)')
  const samples = fc.sample(fc.tuple(identifier, identifier, fc.boolean()), { numRuns: names, seed: 3 })
  let written = 0
  for (const [index, [given, column, create]] of samples.entries()) {
    const quoted = pg.escapeIdentifier(given)
    const statement = `create table ${quoted} (${pg.escapeIdentifier(column)} text)`
    const about = `table ${quoted}, column ${JSON.stringify(column)}`
    const exists = await database.query(create ? 'select' : statement).then(
      () => true,
      () => false,
    )
    const sink = () => table<Record<string, unknown>>(quoted, create ? { create: statement } : {})
    const plan = () =>
      stream('s')
        .from(numbers)
        .to(sink(), (n) => ({ [column]: `v${n}` }))
    const collected = await runOrRefuse(plan, `names-${index}`, about)
    const rows = await database.query(`select from ${quoted}`).catch(() => [])
    if (!(collected instanceof MillraceError)) {
      expect(exists, about).toBe(true)
      expect(rows.length + collected.length, about).toBe(3)
    }
    written += rows.length
    await database.query(`drop table if exists ${quoted}`).catch(() => {})
    // As somebody writes it who does not know that it has to be quoted.
    await runOrRefuse(
      () =>
        stream('s')
          .from(numbers)
          .to(table<object>(given), (n) => ({ id: n })),
      `raw-${index}`,
      given,
    )
  }
  expect(written).toBeGreaterThan(names)
  expect(await database.query("select to_regclass('x')::text as name")).toEqual([{ name: 'x' }])
})

test('hostile names of streams, steps and groups', { timeout: 120_000 }, async () => {
  await database.query('create table named (id integer)')
  const samples = fc.sample(fc.tuple(hostileText, hostileText, hostileText), { numRuns: names, seed: 5 })
  let done = 0
  for (const [streamName, step, group] of samples) {
    const plan = () =>
      stream(streamName)
        .from(numbers)
        .map((n) => {
          if (n === 1) throw new Error(step)
          return n
        })
        .named(step)
        .to(table<{ id: number }>('named'), (id) => ({ id }))
    const about = JSON.stringify([streamName, step, group])
    const collected = await runOrRefuse(plan, `${group}#${done}`, about)
    if (collected instanceof MillraceError) continue
    expect(
      collected.map(({ offset }) => offset),
      about,
    ).toEqual([1])
    done++
  }
  expect(done).toBeGreaterThan(names / 3)
})

test('hostile records in a real topic, one of 10 MB among them', { timeout: 120_000 }, async () => {
  const name = freshName('fuzz')
  const limit = 15 * 2 ** 20
  await createTopic(harness.admin, {
    topic: name,
    numPartitions: 1,
    configEntries: [
      { name: 'max.message.bytes', value: String(limit) },
      { name: 'message.timestamp.after.max.ms', value: '9223372036854775807' },
    ],
  })
  const sink = table<{ id: number; size: number }>('from_kafka', {
    create: 'create table from_kafka (id integer primary key, size integer)',
  })
  const orders = topic(name, json<{ id: number; pad?: string }>())
  const plan = stream('s')
    .from(orders)
    .tap((_, { record }) => {
      void [record.timestamp.getTime(), record.header('same'), record.key?.toString()]
    })
    .to(sink, ({ id, pad = '' }) => ({ id, size: pad.length }))
  const hostile = fc.sample(hostileRecord(hostileJson), { numRuns: recordsOfKafka, seed: 11 })
  let goods = 0
  const good = (pad?: string) => ({
    value: JSON.stringify({ id: goods++, ...(pad === undefined ? {} : { pad }) }),
    partition: 0,
  })
  for (const { key, value, headers, timestamp } of hostile) {
    const many: Record<string, (Buffer | string)[]> = {}
    for (const header of headers) many[header.key] = [header.value ?? '', 'again', 'and again']
    await harness.producer.send({
      topic: name,
      messages: [good(), { key, value, headers: many, partition: 0, timestamp: String(Math.max(0, timestamp)) }],
    })
  }
  const padding = 'x'.repeat(10 * 2 ** 20)
  await harness.producer.send({ topic: name, messages: [good(padding)] })
  await harness.producer.send({ topic: name, messages: [good()] })
  const collected = await runOver(plan, name, createKafkaClient(harness.settings(name)))
  const rows = await database.query<{ id: number; size: number }>('select id, size from from_kafka order by id')
  // A hostile one may be an order, too; none of the good ones is missing.
  const ids = new Set(rows.map(({ id }) => id))
  for (let id = 0; id < goods; id++) expect(ids.has(id), `the good record ${id}`).toBe(true)
  expect(rows.find(({ id }) => id === recordsOfKafka)?.size).toBe(padding.length)
  for (const { message } of collected) expect(message.length).toBeGreaterThan(0)
  expect(collected.length).toBeGreaterThan(recordsOfKafka / 3)
})
