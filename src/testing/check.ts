/** Random records and a random story of chunks, kills, rebalances and lost commits: the rows have to be the same. */
import { deepStrictEqual } from 'node:assert'
import { inspect } from 'node:util'
import type { Arbitrary } from 'fast-check'
import { SettingsError } from '../core/errors.ts'
import { type OptionRules, validateOptions } from '../core/options.ts'
import type { TopicSource } from '../core/source.ts'
import type { Plan } from '../stream.ts'
import { checkLaws, type LawRuns, law, loadFastCheck } from './_fastCheck.ts'
import { happenings, told } from './_happenings.ts'
import { type Cut, type Happening, type PlacedRecord, type Remains, Scene } from './_scene.ts'
import type { MemoryStoreOptions, Row } from './memoryStore.ts'

/** Random records of one topic; made by {@link records}. */
export interface CheckInput {
  readonly topic: TopicSource<unknown>
  readonly values: Arbitrary<unknown>
  readonly key: ((value: unknown) => string | null) | undefined
}

/** A record as the model sees it. */
export interface CheckRecord<T = unknown> {
  readonly topic: string
  readonly key: string | null
  readonly value: T
}

/** Rows by table. The order of rows does not matter. */
export type CheckModel = (records: readonly CheckRecord[]) => Readonly<Record<string, readonly object[]>>

export interface CheckOptions extends LawRuns, MemoryStoreOptions {
  /** What each topic may hold. */
  readonly input: CheckInput | readonly CheckInput[]
  /** What the tables have to hold in the end. Default: what the same plan leaves when nothing disturbs it. */
  readonly model?: CheckModel
  /** Records of a run at most. Default 20. */
  readonly maxRecords?: number
}

/**
 * What a topic may hold, for {@link check}.
 *
 * @param key of a record. Records of the same key go to the same partition. Default: none
 */
export function records<T>(topic: TopicSource<T>, values: Arbitrary<T>, key?: (value: T) => string | null): CheckInput {
  return { topic, values, key } as CheckInput
}

interface Sample {
  readonly topic: TopicSource<unknown>
  readonly value: unknown
  readonly key: string | null
  /** Of a record without a key, any number. */
  readonly place: number
}

interface Story extends Cut {
  readonly samples: readonly Sample[]
  readonly happenings: readonly Happening[]
}

const rules: OptionRules = {
  input: { type: 'object', required: true },
  model: { type: 'function' },
  maxRecords: { type: 'number', min: 0 },
  refuses: { type: 'function' },
  numRuns: { type: 'number', min: 1 },
  seed: { type: 'number' },
  path: { type: 'string' },
}

const undisturbed = { chunk: 1_000, maxItems: 10_000 }

/**
 * Runs a plan on random records while processes are killed, frozen and joined and commits are lost, on the real runtime,
 * with neither broker nor database, in virtual time. In the end its tables have to hold what the model says, or, without a
 * model, what the same plan leaves when nothing disturbs it; and the error collector the same items.
 *
 * A plan passes when its rows depend on its records alone. Rows of groups (`batch`) depend on where groups are cut.
 *
 * @example
 * const numbers = topic('numbers', json<{ n: number }>())
 * const doubled = table<{ n: number }>('doubled')
 * const plan = stream('doubles').from(numbers).map(({ n }) => ({ n: n * 2 })).to(doubled)
 * await check(plan, {
 *   input: records(numbers, fc.record({ n: fc.integer() })),
 *   model: (given) => ({ doubled: given.map(({ value }) => ({ n: (value as { n: number }).n * 2 })) }),
 * })
 *
 * @throws Error with the shortest records and story that fail, what was seen, and how to repeat it; SettingsError MR-TEST-OPTION
 */
export async function check(plan: Plan, options: CheckOptions): Promise<void> {
  validateOptions('check()', options, rules, (text) => new SettingsError('MR-TEST-OPTION', text))
  const fc = await loadFastCheck()
  const { input, model, maxRecords = 20, refuses } = options
  const store: MemoryStoreOptions = refuses === undefined ? {} : { refuses }
  const inputs = 'topic' in input ? [input] : input
  const sample = fc.oneof(
    ...inputs.map(({ topic, values, key }) =>
      fc
        .record({ value: values, place: fc.nat({ max: 7 }) })
        .map(({ value, place }): Sample => ({ topic, value, place, key: key?.(value) ?? null })),
    ),
  )
  const stories: Arbitrary<Story> = fc.record({
    samples: fc.array(sample, { maxLength: maxRecords }),
    happenings: happenings(fc),
    partitions: fc.integer({ min: 1, max: 3 }),
    chunk: fc.integer({ min: 1, max: 6 }),
    maxItems: fc.integer({ min: 1, max: 6 }),
  })
  await checkLaws(
    fc,
    'check',
    stories,
    options,
    async (story) => {
      const placed = story.samples.map((one) => place(one, story.partitions))
      const quiet = await new Scene(plan, { ...story, ...undisturbed }, store).play(placed, [])
      if (model !== undefined) {
        const given = story.samples.map(({ topic, key, value }) => ({ topic: topic.name, key, value }))
        law('the rows are those of the model', () =>
          deepStrictEqual(sortedTables(quiet.rows), sortedTables(model(given))),
        )
      }
      const seen = await new Scene(plan, story, store).play(placed, story.happenings)
      law('the rows are those of a run that nothing disturbs', () =>
        deepStrictEqual(sortedTables(seen.rows), sortedTables(quiet.rows)),
      )
      law('the error collector holds what it does when nothing disturbs the run', () =>
        deepStrictEqual(sortedErrors(seen), sortedErrors(quiet)),
      )
    },
    tell,
  )
}

function place({ topic, value, key, place: any }: Sample, partitions: number): PlacedRecord {
  const number = key === null ? any : [...key].reduce((sum, char) => sum + (char.codePointAt(0) as number), 0)
  return {
    topic: topic.name,
    partition: number % partitions,
    key: key === null ? null : Buffer.from(key),
    value: value === null ? null : topic.codec.encode(value),
  }
}

/** Tables without rows do not count: a model need not name them. */
function sortedTables(tables: Readonly<Record<string, readonly object[]>>): Record<string, readonly object[]> {
  const filled = Object.entries(tables).filter(([, rows]) => rows.length > 0)
  return Object.fromEntries(
    filled.map(([name, rows]) => [name, sorted(rows as readonly Row[]).map((row) => ({ ...row }))]),
  )
}

function sortedErrors({ errors }: Remains): readonly object[] {
  return sorted(errors)
}

function sorted<T extends object>(values: readonly T[]): readonly T[] {
  const texts = new Map(values.map((value) => [value, inspect(value, { sorted: true, depth: null })]))
  return values.toSorted((a, b) => ((texts.get(a) as string) < (texts.get(b) as string) ? -1 : 1))
}

function tell({ samples, happenings: events, partitions, chunk, maxItems }: Story): string {
  const lines = samples.map((one, index) => {
    const { topic, partition } = place(one, partitions)
    const key = one.key === null ? '' : ` key ${JSON.stringify(one.key)}`
    return `  ${index + 1}. ${topic}[${partition}]${key} ${inspect(one.value, { depth: null, breakLength: Infinity })}`
  })
  const lines2 = events.map((happening, index) => `  ${index + 1}. ${told(happening)}`)
  return [
    `${samples.length} records in ${partitions} partitions, up to ${chunk} in a chunk and ${maxItems} in a batch:`,
    ...lines,
    'while',
    ...lines2,
    `  ${events.length + 1}. the rest arrives, and the plan comes to its end`,
  ].join('\n')
}
