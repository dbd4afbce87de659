/**
 * What bad input is aimed at, and what has to hold: an error of ours that names the place, or a value; never another error, never
 * harm to a neighbour. Needs no service; `test/integration/fuzz.spec.ts` aims at the real ones.
 */
import { fail, ok } from 'node:assert'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { table } from '../../sinks/table.ts'
import { readSettings } from '../../src/cli/settings.ts'
import { settingsTable } from '../../src/cli/settingsTable.ts'
import { type AvroSchema, avro, bytes as bytesCodec, json, text } from '../../src/codecs/index.ts'
import type { Codec } from '../../src/core/codec.ts'
import { MillraceError } from '../../src/core/errors.ts'
import { decodeFetchResponse } from '../../src/kafka/fetchProtocol.ts'
import { decodeFetch } from '../../src/kafka/records/decodeFetch.ts'
import { postgresTarget } from '../../src/postgres/settings.ts'
import { resolveSettings, type StartSettings } from '../../src/service/settings.ts'
import { stream } from '../../src/stream.ts'
import { topic } from '../../src/topic.ts'
import { schemasWithValues } from '../codecs/avroSchemas.ts'
import { fetched, plainRecord, TRANSACTIONAL, writeBatch } from '../kafka/records/_batches.ts'
import { javaBytes, javaNames } from '../kafka/records/_java.ts'
import { bytes, damaged, hostileJson, hostileText, hostileValue } from './hostile.ts'
import { amongNeighbours, burst, deeds, hostileDeeds } from './planTargets.ts'

export interface Target {
  readonly name: string
  /** Inputs of a round, of which each target has as many as take about a second. */
  readonly inputs: number
  /** @throws Error with the shortest input that does harm, and its seed */
  run(inputs: number, seed: number): Promise<void>
}

/** Far beyond what any input takes, also on a machine that is busy. */
const stallMs = 10_000

function target<T>(
  name: string,
  inputs: number,
  arbitrary: fc.Arbitrary<T>,
  check: (input: T) => void | Promise<void>,
): Target {
  return {
    name,
    inputs,
    run: (numRuns, seed) =>
      fc.assert(
        fc.asyncProperty(arbitrary, async (input) => {
          const begun = performance.now()
          await check(input)
          const tookMs = performance.now() - begun
          ok(tookMs < stallMs, `it took ${Math.round(tookMs)} ms`)
        }),
        { numRuns, seed },
      ),
  }
}

/** What is done gives a value or an error of ours, with a code and a text that says what happened. */
function guarded(act: () => unknown): void {
  try {
    act()
  } catch (error) {
    expectOurs(error)
  }
}

function expectOurs(error: unknown): void {
  if (!(error instanceof MillraceError)) throw error
  ok(/^MR-[A-Z0-9-]+$/.test(error.code), `the code "${error.code}"`)
  ok(!error.code.startsWith('MR-INTERNAL'), error.message)
}

function decoded(codec: Codec<unknown>): (input: Buffer) => void {
  return (input) =>
    guarded(() => {
      // Between other bytes, as in a fetch: nothing outside of the range may count.
      const around = Buffer.concat([Buffer.from('{"'), input, Buffer.from('"}')])
      codec.decode(around, 2, 2 + input.length)
    })
}

/** Schemas are parsed once in many inputs: that is slow, and not what is looked at. */
const avroCodecs = fc
  .sample(schemasWithValues({ logical: true, longs: fc.maxSafeInteger() }), { numRuns: 60, seed: 4 })
  .map(({ schema, values }, index) => {
    const framing = index % 2 === 0 ? {} : { framing: { confluent: { 7: schema as AvroSchema } } }
    const codec = avro<unknown>(schema as AvroSchema, { ...framing, maxItems: 1_000, maxDepth: 50 })
    return { codec, honest: values.map((value) => codec.encode(value)) }
  })

const avroInput = fc
  .constantFrom(...avroCodecs)
  .chain(({ codec, honest }) => damaged(honest).map((input) => ({ codec, input })))

const batch = fc
  .record({
    values: fc.array(fc.option(bytes(20), { nil: null }), { minLength: 1, maxLength: 5 }),
    attributes: fc.constantFrom(0, TRANSACTIONAL, 8, 1, 2, 3, 4),
  })
  .map(({ values, attributes }) =>
    writeBatch({
      baseOffset: 10,
      attributes,
      records: values.map((value, offsetDelta) => ({ offsetDelta, value, headers: [{ key: 'h', value }] })),
    }),
  )

async function readBatches(records: Buffer): Promise<void> {
  let position = -1
  const limit = 1_000_000
  try {
    for await (const chunk of decodeFetch(fetched(records), { maxUnpackedBytes: limit })) {
      ok(chunk.byteSize < 2 * limit, 'a chunk within its bounds')
      for (let index = 0; index < chunk.size; index++) {
        ok(chunk.offset(index) > position, 'offsets rise')
        position = chunk.offset(index)
        guarded(() => plainRecord(chunk, index))
      }
      ok(chunk.nextOffset > position, 'a chunk moves the position')
      position = chunk.nextOffset - 1
    }
  } catch (error) {
    expectOurs(error)
  }
}

/** Answers with one partition and with several, with aborted transactions, with errors, and with nothing. */
const fetchAnswers = [0, 1, 3].map((partitions) => {
  const one = Buffer.alloc(4 + 2 + 3 * 8 + 4 + 16 + 4 + 4 + 5)
  one.writeInt32BE(1, 30)
  one.writeInt32BE(5, 54)
  const count = (number: number) => {
    const four = Buffer.alloc(4)
    four.writeInt32BE(number)
    return four
  }
  const topics = [count(1), Buffer.from('\0\x01t'), count(partitions), ...Array<Buffer>(partitions).fill(one)]
  return Buffer.concat([Buffer.alloc(10), ...topics])
})

const settingPaths = settingsTable.map(({ path }) => path)
const settingNames = fc.oneof(fc.constantFrom(...settingPaths.flatMap((path) => path.split('.'))), hostileText)
const settingValues = fc.oneof(
  {
    weight: 3,
    arbitrary: fc.constantFrom<unknown>('localhost:9092', 'x', 0, -1, 1.5, 1e9, true, false, null, [], {}, ['a:1']),
  },
  hostileValue,
)
const startSettings = fc.letrec((tie) => ({
  object: fc.dictionary(settingNames, fc.oneof({ depthSize: 'small' }, settingValues, tie('object')), {
    maxKeys: 6,
    noNullPrototype: true,
  }),
})).object

const good = {
  group: 'g',
  kafka: { brokers: ['localhost:9092'] },
  postgres: { url: 'postgres://u:p@localhost/d' },
}

const texts = fc.dictionary(
  fc.oneof(
    fc.constantFrom(...settingsTable.flatMap(({ env, flag }) => [env, flag].filter((name) => name !== undefined))),
    hostileText.map((name) => `MILLRACE_${name}`),
  ),
  fc.oneof(fc.constantFrom('1', '0', 'true', '-1', 'earliest', '2026-01-01', 'a,b', ''), hostileText),
  { maxKeys: 5, noNullPrototype: true },
)

export const targets: readonly Target[] = [
  target('json', 4_000, damaged(hostileJson), decoded(json())),
  target('json with a small limit', 4_000, damaged(hostileJson), decoded(json({ maxDepth: 5, maxBytes: 50 }))),
  target('text and bytes', 8_000, bytes(), (input) => {
    decoded(text())(input)
    decoded(bytesCodec())(input)
  }),
  target('avro', 4_000, avroInput, ({ codec, input }) => decoded(codec)(input)),
  target('values to encode', 3_000, fc.tuple(fc.constantFrom(...avroCodecs), hostileValue), ([{ codec }, value]) => {
    guarded(() => codec.encode(value))
    guarded(() => json().encode(value))
    guarded(() => text().encode(value as string))
    guarded(() => bytesCodec().encode(value as Buffer))
  }),
  target('record batches', 3_000, damaged(batch), readBatches),
  target(
    'record batches of every compression',
    500,
    damaged(fc.constantFrom(...javaNames.map(javaBytes))),
    readBatches,
  ),
  target('answers to a fetch', 4_000, damaged(fc.constantFrom(...fetchAnswers)), (answer) =>
    guarded(() => decodeFetchResponse(answer)),
  ),
  target('records among good neighbours', 300, burst, amongNeighbours),
  target('rows, keys and throws of any kind', 500, deeds, hostileDeeds),
  target('settings of start()', 4_000, startSettings, (settings) => {
    guarded(() => resolveSettings(settings as unknown as StartSettings))
    guarded(() => resolveSettings({ ...good, ...(settings as object) } as StartSettings))
  }),
  target('settings of the environment and of flags', 3_000, texts, (given) => {
    const env = Object.fromEntries(Object.entries(given).filter(([name]) => name.startsWith('MILLRACE_')))
    const flags = Object.fromEntries(Object.entries(given).filter(([name]) => name.startsWith('--')))
    guarded(() => readSettings({ env, flags, cwd: tmpdir() }))
  }),
  target(
    'a settings file',
    600,
    fc.oneof(
      hostileJson,
      startSettings.map((value) => Buffer.from(asJson(value))),
    ),
    (file) => {
      const folder = mkdtempSync(join(tmpdir(), 'millrace-fuzz-'))
      try {
        writeFileSync(join(folder, 'millrace.config.json'), file)
        guarded(() => readSettings({ env: {}, flags: {}, cwd: folder }))
      } finally {
        rmSync(folder, { recursive: true })
      }
    },
  ),
  target(
    'urls of Postgres',
    3_000,
    fc.oneof(
      hostileText,
      hostileText.map((part) => `postgres://${part}`),
    ),
    (url) => guarded(() => postgresTarget({ url })),
  ),
  target('tables and topics', 4_000, fc.tuple(hostileText, hostileText, hostileValue), ([name, column, options]) => {
    guarded(() => table(name, { key: column as never }))
    guarded(() => table(name, options as object))
    guarded(() => topic(name, text(), options as object))
    guarded(() => stream(name).from(topic('t', text())).named(column))
  }),
]

function asJson(value: unknown): string {
  try {
    return JSON.stringify(value) ?? ''
  } catch {
    return '{}'
  }
}

/** Every target with as many inputs as it has for a round. @throws Error naming the target */
export async function runRound(seed: number, share: number): Promise<number> {
  let inputs = 0
  for (const { name, inputs: most, run } of targets) {
    const count = Math.max(1, Math.round(most * share))
    try {
      await run(count, seed)
    } catch (cause) {
      fail(`${name}: ${cause instanceof Error ? cause.message : String(cause)}`)
    }
    inputs += count
  }
  return inputs
}
