/** Random records and a random story of chunks, kills, rebalances and lost commits: the plan has to leave the same. */
import type { Arbitrary } from 'fast-check'
import { SettingsError } from '../core/errors.ts'
import { type OptionRules, validateOptions } from '../core/options.ts'
import type { OutcomeName } from '../core/outcome.ts'
import { requireTopics, stepsOf } from '../core/plan.ts'
import type { Sink } from '../core/sink.ts'
import type { TopicSource } from '../core/source.ts'
import { leavesOf, type Plan } from '../stream.ts'
import { checkLaws, type FastCheck, type LawRuns, lawRunRules, loadFastCheck } from './_fastCheck.ts'
import { placeOf } from './_place.ts'
import { planLawGroups } from './_planLawGroups.ts'
import { type Expected, type Given, type PlanLaw, PlanLaws, planLaws } from './_planLaws.ts'
import type { Source, Topics } from './_story.ts'
import { valuesOf } from './arbitraryOf.ts'
import type { MemoryStore, MemoryStoreOptions } from './memoryStore.ts'

/** Random records of one topic; made by {@link records}. */
export interface CheckInput {
  readonly topic: TopicSource<unknown>
  readonly values: Arbitrary<unknown> | undefined
  readonly key: ((value: unknown) => string | null) | undefined
}

/** Says with plain code what a plan does: by {@link rows}, and where it matters by {@link outcomes}. */
export type CheckModel = (given: Given) => Expected | readonly Expected[]

export interface CheckOptions extends LawRuns, MemoryStoreOptions {
  /** What each topic may hold. Default: what is derived from the Avro schemas of all topics that the plan reads. */
  readonly input?: CheckInput | readonly CheckInput[]
  /** What the tables have to hold in the end; those that it does not name, nothing. Default: none, and only the laws are checked. */
  readonly model?: CheckModel
  /** Records of a run at most. Default 20. */
  readonly maxRecords?: number
  /** Laws that the plan is not meant to keep. */
  readonly except?: readonly PlanLaw[]
}

/**
 * What a topic may hold, for {@link check}.
 *
 * @example
 * records(flightTopic, fc.record({ origin: fc.constantFrom('LAS', 'SEA'), delay: fc.integer() }), (flight) => flight.origin)
 *
 * @param values of the records. Default: what is derived from the schema of the topic's Avro codec
 * @param key of a record. Records of the same key go to the same partition. Default: none
 */
export function records<T>(
  topic: TopicSource<T>,
  values?: Arbitrary<T>,
  key?: (value: T) => string | null,
): CheckInput {
  return { topic, values, key } as CheckInput
}

/**
 * The rows that a table holds in the end, in any order, for a {@link CheckModel}.
 *
 * @example
 * await check(saved, { model: (given) => rows(delays, given(flightTopic).filter(({ delay }) => delay > 0)) })
 */
export function rows<Row extends object>(table: Sink<Row>, all: readonly NoInfer<Row>[]): Expected
/**
 * The values of the records that a topic was sent, in any order, for a {@link CheckModel}; null for a tombstone.
 *
 * @example
 * await check(alerts, { model: (given) => rows(delays, given(flightTopic).filter(({ delay }) => delay > 60)) })
 */
export function rows<T>(topic: TopicSource<T>, all: readonly (NoInfer<T> | null)[]): Expected
export function rows(target: Sink<never> | TopicSource<unknown>, all: readonly unknown[]): Expected {
  return { kind: 'rows', place: placeOf(target), rows: all }
}

/**
 * What becomes of the records of a topic, in the order in which the model was given them, for a {@link CheckModel}.
 *
 * @example
 * await check(saved, {
 *   model: (given) => [
 *     rows(delays, given(flightTopic)),
 *     outcomes(flightTopic, given(flightTopic).map(({ delay }) => (delay > 1_000 ? 'collected' : 'done'))),
 *   ],
 * })
 */
export function outcomes(topic: TopicSource<unknown>, all: readonly OutcomeName[]): Expected {
  return { kind: 'outcomes', topic: topic.name, outcomes: all }
}

const rules: OptionRules = {
  input: { type: 'object' },
  model: { type: 'function' },
  maxRecords: { type: 'number', min: 1 },
  except: { type: 'object' },
  refuses: { type: 'function' },
  lookups: { type: 'object' },
  ...lawRunRules,
}

/**
 * Runs a plan on random records while processes are killed, frozen and joined and commits are lost, on the real runtime,
 * with neither broker nor database, in virtual time. Rows, outcomes and the error collector have to be those of a run that
 * nothing disturbs, and the rows those of the model where there is one. The laws, by the names that failures and `except` use:
 *
 * - `same twice`: the same records give the same, whenever they are processed.
 * - `chunk invariance`: where chunks and batches are cut does not show. Rows of groups (`batch`) do not keep it; what
 *   depends on the cut depends on kills too, so without it no stories are compared.
 * - `replay idempotence`: processes that die, join and lose commits do not show.
 * - `order per key`: what the records of a key give comes in their order, and asynchronous calls for them are made one after
 *   the other. `mapAsync` with `order: 'none'` does not keep it.
 * - `key locality`: the records of a key give the same, whatever other keys there are.
 * - `undo leaves no trace`: an item that is undone is as if it had never been.
 *
 * @example
 * const numbers = topic('numbers', json<{ n: number }>())
 * const doubled = table<{ n: number }>('doubled')
 * const plan = stream('doubles').from(numbers).map(({ n }) => ({ n: n * 2 })).to(doubled)
 * await check(plan, {
 *   input: records(numbers, fc.record({ n: fc.integer() })),
 *   model: (given) => rows(doubled, given(numbers).map(({ n }) => ({ n: n * 2 }))),
 * })
 *
 * @param plan a function makes the plan anew for each process, with what it keeps in variables of its own
 * @param options `input` what topics hold · `model` what tables hold in the end · `except` laws that are not meant to hold ·
 *   `maxRecords` of a run (20) · `numRuns` stories (100) · `seed` draws the same again · `replay` one story, as a failure prints it ·
 *   `refuses` the SQLSTATE with which a table would refuse a row · `lookups` what queries of `lookup()` find
 * @throws Error with the law that broke, the shortest records and story that break it, what was seen, and the line of code that
 *   runs it again; SettingsError MR-TEST-OPTION, MR-TEST-TOPIC, MR-TEST-ARBITRARY, MR-TEST-REPLAY, MR-TEST-FAST-CHECK
 */
export async function check(plan: Plan | (() => Plan), options: CheckOptions = {}): Promise<void> {
  await checkOver(plan, options)
}

/** @param makeStore what the plan commits to; for tests of the kit itself, which has to find stores that break their promises */
export async function checkOver(
  plan: Plan | (() => Plan),
  options: CheckOptions,
  makeStore?: () => MemoryStore,
): Promise<void> {
  validate(options)
  const fc = await loadFastCheck()
  const { maxRecords = 20, except = [], numRuns = 100, model, refuses, lookups } = options
  const leaves = leavesOf(typeof plan === 'function' ? plan() : plan)
  const steps = stepsOf(leaves)
  const topics = new Map(requireTopics('check()', leaves).map((source) => [source.name, source]))
  const groups = planLawGroups(fc, {
    laws: new PlanLaws({ plan, except: new Set(except), model, refuses, lookups, makeStore }),
    sources: sourcesOf(fc, topics, options.input),
    topics,
    maxRecords,
    emits: steps.some((step) => step.kind === 'emit'),
    paced: steps.some((step) => step.kind === 'operator' && step.operator.mode === 'async'),
  })
  for (const { share, law, ...group } of groups) {
    if (law !== undefined && except.includes(law)) continue
    await checkLaws(fc, group, { ...options, numRuns: Math.ceil(numRuns * share) })
  }
}

function validate(options: CheckOptions): void {
  const error = (text: { what: string; why?: string; fix?: string }) => new SettingsError('MR-TEST-OPTION', text)
  validateOptions('check()', options, rules, error)
  for (const name of options.except ?? []) {
    if (planLaws.includes(name)) continue
    throw error({ what: `check() has no law "${name}" to leave out`, why: `There are ${planLaws.join(', ')}.` })
  }
}

function sourcesOf(fc: FastCheck, topics: Topics, input: CheckOptions['input']): readonly Source[] {
  const given = input === undefined ? Array.from(topics.values(), (topic) => records(topic)) : [input].flat()
  return (given as readonly CheckInput[]).map(({ topic, values, key }) => {
    if (!topics.has(topic.name)) {
      throw new SettingsError('MR-TEST-TOPIC', {
        what: `the plan does not read topic "${topic.name}"`,
        why: `It reads ${[...topics.keys()].join(', ')}.`,
      })
    }
    return { topic, key, values: values ?? valuesOf(fc, topic.codec) }
  })
}
