/** The laws of plans: two runs of one plan are compared, and the law is named that says they leave the same. */
import { cutSteps } from '../core/cutSteps.ts'
import { messageOf } from '../core/errors.ts'
import type { OutcomeName } from '../core/outcome.ts'
import { signal } from '../core/signal.ts'
import type { TopicSource } from '../core/source.ts'
import { leavesOf, type Plan } from '../stream.ts'
import { differences, firstDifference } from './_differences.ts'
import { lawBroken } from './_fastCheck.ts'
import { Calls, type Overlap, watchCalls, withLeaf } from './_instrument.ts'
import { isTopic, type PlacedRecord } from './_place.ts'
import { byTableAndKey, differenceBetween, numbered, rowDifferences, writtenBy } from './_planDifferences.ts'
import { type Cut, type Remains, Scene } from './_scene.ts'
import { decoded, type Sample, type Story } from './_story.ts'
import type { MemoryStore, MemoryStoreOptions } from './memoryStore.ts'

/** What each law says. */
const sentences = {
  'same twice': 'the same records give the same, whenever they are processed',
  'chunk invariance': 'where chunks and batches are cut does not show',
  'replay idempotence': 'processes that die, join and lose commits do not show',
  'order per key': 'what the records of a key give comes in their order',
  'key locality': 'the records of a key give the same, whatever other keys there are',
  'undo leaves no trace': 'an item that is undone is as if it had never been',
} as const

/** A law of plans, by its name. */
export type PlanLaw = keyof typeof sentences

export const planLaws = Object.keys(sentences) as readonly PlanLaw[]

/** What a model says that a plan does. Made by `rows()` and `outcomes()`. */
export type Expected =
  | { readonly kind: 'rows'; readonly place: string; readonly rows: readonly unknown[] }
  | { readonly kind: 'outcomes'; readonly topic: string; readonly outcomes: readonly OutcomeName[] }

/** The values of a topic, in the order in which they were sent. */
export type Given = <T>(topic: TopicSource<T>) => readonly T[]

export interface PlanUnderTest {
  readonly plan: Plan | (() => Plan)
  readonly except: ReadonlySet<PlanLaw>
  readonly model: ((given: Given) => Expected | readonly Expected[]) | undefined
  readonly refuses: MemoryStoreOptions['refuses']
  readonly lookups?: MemoryStoreOptions['lookups'] | undefined
  /** Default: stores that keep their promises. */
  readonly makeStore?: (() => MemoryStore) | undefined
}

/** What becomes of an item from outside of the plan. */
export type Fate = 'stands' | 'ignored' | 'thrown'

export interface DoomedSample {
  readonly sample: Sample
  readonly fate: Fate
}

/** Breaks with a run that nothing disturbed: the story has no part in it. */
export class UndisturbedFailure extends Error {}

interface Run {
  readonly remains: Remains
  readonly overlaps: readonly Overlap[]
}

/** Of the records of topics the model says the values only. */
function valuesOf({ rows }: Remains): Readonly<Record<string, readonly unknown[]>> {
  return Object.fromEntries(
    Object.entries(rows).map(([place, all]) => [place, isTopic(place) ? all.map(({ value }) => value) : all]),
  )
}

type Look = (record: { readonly topic: string; readonly partition: number; readonly offset: number }) => void

const atOnce = { chunk: 1_000, maxItems: 10_000 }

export class PlanLaws {
  readonly #under: PlanUnderTest

  constructor(under: PlanUnderTest) {
    this.#under = under
  }

  async twice(samples: readonly Sample[], partitions: number): Promise<void> {
    const records = numbered(samples, partitions)
    const first = await this.#undisturbed(records, partitions)
    const second = await this.#undisturbed(records, partitions)
    this.#compare('same twice', second, first)
  }

  async story(story: Story): Promise<void> {
    const records = numbered(story.samples, story.partitions)
    const quiet = await this.#compareUndisturbed(story, records)
    const played = await this.#run(records, story, story.pace, story.happenings)
    if (this.#under.except.has('chunk invariance')) return
    const differs = differenceBetween(played.remains, quiet.remains)
    if (differs !== undefined) {
      // A plan that is not the same twice differs from itself in any way there is.
      await this.twice(story.samples, story.partitions)
      const arrivals = story.happenings.filter(({ kind }) => kind === 'arrive')
      const cut = await this.#run(records, story, [], arrivals)
      this.#compare('chunk invariance', cut, quiet)
      this.#broken('replay idempotence', differs)
    }
    this.#compareCalls(played)
    this.#compareOrder(played, quiet)
  }

  /** What can be said of a run that nothing disturbs. */
  async #compareUndisturbed({ samples, partitions }: Story, records: readonly PlacedRecord[]): Promise<Run> {
    try {
      const quiet = await this.#undisturbed(records, partitions)
      this.#compareWithModel(samples, records, quiet)
      this.#compareCalls(quiet)
      return quiet
    } catch (error) {
      throw new UndisturbedFailure(messageOf(error), { cause: error })
    }
  }

  /** @param pick chooses the key */
  async keys(samples: readonly Sample[], partitions: number, pick: number): Promise<void> {
    const keys = [...new Set(samples.flatMap(({ key }) => key ?? []))]
    const key = keys[pick % keys.length]
    if (key === undefined) return
    const records = numbered(samples, partitions)
    const own = records.filter((_, index) => samples[index]?.key === key)
    const among = await this.#undisturbed(records, partitions)
    const alone = await this.#undisturbed(own, partitions)
    const writtenOf = ({ remains }: Run) => writtenBy(remains, (record) => own.includes(record))
    const lines = differences(writtenOf(among), writtenOf(alone))
    if (lines !== undefined) {
      const title = `Among the others, the records of key ${JSON.stringify(key)} do not give what they give alone:`
      this.#broken('key locality', [title, ...lines])
    }
  }

  async undo(items: readonly DoomedSample[], partitions: number): Promise<void> {
    const records = numbered(
      items.map(({ sample }) => sample),
      partitions,
    )
    const standing = records.filter((_, index) => items[index]?.fate === 'stands')
    const fates = new Map<string, Fate | undefined>()
    const ends = new Map<string, number>()
    for (const [index, { topic, partition }] of records.entries()) {
      const offset = ends.get(`${topic}/${partition}`) ?? 0
      ends.set(`${topic}/${partition}`, offset + 1)
      fates.set(`${topic}/${partition}/${offset}`, items[index]?.fate)
    }
    const undone = await this.#undisturbed(records, partitions, ({ topic, partition, offset }) => {
      const fate = fates.get(`${topic}/${partition}/${offset}`)
      if (fate === 'ignored') signal.ignore('undone from outside')
      if (fate === 'thrown') throw new Error('undone from outside')
    })
    const without = await this.#undisturbed(standing, partitions, () => {})
    const among = new Set(standing)
    const kept: Remains = {
      ...undone.remains,
      errors: undone.remains.errors.filter(({ record }) => record === undefined || among.has(record)),
      ended: undone.remains.ended.filter(({ record }) => among.has(record)),
    }
    this.#compare('undo leaves no trace', { ...undone, remains: kept }, without)
  }

  #undisturbed(records: readonly PlacedRecord[], partitions: number, look?: Look): Promise<Run> {
    return this.#run(records, { ...atOnce, partitions }, [], [], look)
  }

  async #run(
    records: readonly PlacedRecord[],
    { partitions, chunk, maxItems }: Cut,
    pace: readonly number[],
    happenings: Story['happenings'],
    look?: Look,
  ): Promise<Run> {
    const { plan, refuses, lookups, makeStore } = this.#under
    const calls = new Calls(pace)
    const scene = new Scene(
      plan,
      { partitions, chunk, maxItems },
      {
        ...(refuses === undefined ? {} : { refuses }),
        ...(lookups === undefined ? {} : { lookups }),
        ...(makeStore === undefined ? {} : { store: makeStore() }),
        isBusy: () => calls.underWay > 0,
        instrument(leaves) {
          const watched = watchCalls(leaves, calls)
          return look === undefined ? watched : withLeaf(watched, ({ record }) => look(record))
        },
      },
    )
    return { remains: await scene.play(records, happenings), overlaps: calls.overlaps }
  }

  #compare(name: PlanLaw, seen: Run, expected: Run): void {
    const differs = differenceBetween(seen.remains, expected.remains)
    if (differs !== undefined) this.#broken(name, differs)
    if (name !== 'chunk invariance') this.#compareOrder(seen, expected, name)
  }

  #compareOrder(seen: Run, expected: Run, name: PlanLaw = 'order per key'): void {
    const { except } = this.#under
    if (except.has('order per key')) return
    const given = byTableAndKey(seen.remains)
    for (const [place, { title, rows }] of byTableAndKey(expected.remains)) {
      const lines = firstDifference(given.get(place)?.rows ?? [], rows)
      if (lines !== undefined) this.#broken(name, [`${title}:`, ...lines])
    }
  }

  #compareCalls({ overlaps: [overlap] }: Run): void {
    if (overlap === undefined) return
    this.#broken('order per key', [
      `Step "${overlap.step}" has two calls for the key ${JSON.stringify(overlap.key)} at once: the later may be done first.`,
      "With { order: 'key' } they are made one after the other.",
    ])
  }

  #compareWithModel(samples: readonly Sample[], records: readonly PlacedRecord[], { remains }: Run): void {
    const { model } = this.#under
    if (model === undefined) return
    const given: Given = <T>(topic: TopicSource<T>) =>
      samples.filter((sample) => sample.topic === topic.name).map((sample) => decoded(sample, topic) as T)
    const said = [model(given)].flat() as readonly Expected[]
    const places = new Map<string, readonly unknown[]>()
    for (const expected of said) if (expected.kind === 'rows') places.set(expected.place, expected.rows)
    const lines = rowDifferences(valuesOf(remains), Object.fromEntries(places))
    if (lines !== undefined) throw lawBroken('model: the rows are those of the model', lines.join('\n'))
    for (const expected of said) {
      if (expected.kind !== 'outcomes') continue
      const own = records.filter(({ topic }) => topic === expected.topic)
      const seen = own.map((record) => remains.ended.find((end) => end.record === record)?.outcome)
      const wrong = firstDifference(seen, expected.outcomes)
      if (wrong !== undefined) {
        const detail = [`The outcomes of the records of "${expected.topic}" differ:`, ...wrong].join('\n')
        throw lawBroken('model: the outcomes are those of the model', detail)
      }
    }
  }

  /** The steps to which it matters where batches are cut. */
  #cutHint(): string[] {
    const { plan } = this.#under
    const steps = cutSteps(leavesOf(typeof plan === 'function' ? plan() : plan))
    return steps.length === 0 ? [] : ['What depends on where batches are cut:', ...steps.map((step) => `  ${step}`)]
  }

  #broken(name: PlanLaw, lines: readonly string[]): void {
    if (this.#under.except.has(name)) return
    const hint: string[] =
      name === 'same twice'
        ? [
            'Something outside of the stream decides: a variable that outlives the run, the time, chance.',
            ...(typeof this.#under.plan === 'function'
              ? []
              : [
                  'What belongs to a process may stand beside the plan if a function makes both: check(() => plan, …).',
                ]),
          ]
        : []
    if (name === 'chunk invariance' || name === 'replay idempotence') hint.push(...this.#cutHint())
    const excuse = `For a plan that is meant so: { except: ['${name}'] }.`
    throw lawBroken(`${name}: ${sentences[name]}`, [...lines, ...hint, excuse].join('\n'))
  }
}
