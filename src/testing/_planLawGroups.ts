/** What the laws of plans are checked on, law by law. */
import type { Arbitrary } from 'fast-check'
import type { FastCheck, LawGroup } from './_fastCheck.ts'
import { type DoomedSample, type Fate, type PlanLaw, type PlanLaws, UndisturbedFailure } from './_planLaws.ts'
import {
  type Sample,
  type Source,
  type Story,
  type StoryOptions,
  samplesOf,
  storiesOf,
  type Topics,
  tellRecords,
  tellStory,
} from './_story.ts'

interface Subject extends StoryOptions {
  readonly laws: PlanLaws
  readonly sources: readonly Source[]
  readonly topics: Topics
}

/** Inputs for one law, or for several. */
export interface PlanLawGroup<Input> extends LawGroup<Input> {
  /** How many inputs there are for each story. */
  readonly share: number
  /** The law that it is about; undefined for stories, which are about several. */
  readonly law: PlanLaw | undefined
}

/** Records that arrive at once. */
interface Few {
  readonly samples: readonly Sample[]
  readonly partitions: number
}

type Picked = Few & { readonly pick: number }

interface Doomed {
  readonly items: readonly DoomedSample[]
  readonly partitions: number
}

/** The groups in the order in which they are checked: what spoils the others comes first. */
export function planLawGroups(fc: FastCheck, subject: Subject): PlanLawGroup<unknown>[] {
  const sample = samplesOf(fc, subject.sources)
  const groups = [
    // One record first, and the simplest: what is left outside of the stream cannot be taken back between two tries.
    twice(fc, subject, fc.array(sample, { minLength: 1, maxLength: 1 })),
    twice(fc, subject, fc.array(sample, { minLength: 1, maxLength: subject.maxRecords })),
    stories(fc, subject, sample),
    keys(fc, subject, sample),
    undo(fc, subject, sample),
  ]
  return groups as PlanLawGroup<unknown>[]
}

function again(replay: string): string {
  return `await check(plan, { ...options, replay: '${replay}' })`
}

function partitions(fc: FastCheck): Arbitrary<number> {
  return fc.integer({ min: 1, max: 3 })
}

function tell({ samples, partitions }: Few, topics: Topics): string {
  return tellRecords(samples, partitions, topics).join('\n')
}

function twice(fc: FastCheck, { laws, topics }: Subject, samples: Arbitrary<Sample[]>): PlanLawGroup<Few> {
  return {
    name: 'twice',
    law: 'same twice',
    share: 0.1,
    simplestFirst: true,
    inputs: fc.record({ samples, partitions: partitions(fc) }),
    check: (input) => laws.twice(input.samples, input.partitions),
    tell: (input) => tell(input, topics),
    again,
  }
}

function stories(fc: FastCheck, subject: Subject, sample: Arbitrary<Sample>): PlanLawGroup<Story> {
  return {
    name: 'story',
    law: undefined,
    share: 1,
    inputs: storiesOf(fc, sample, subject),
    check: (story) => subject.laws.story(story),
    tell: (story, error) =>
      error instanceof UndisturbedFailure ? tell(story, subject.topics) : tellStory(story, subject.topics),
    again,
  }
}

function keys(fc: FastCheck, { laws, topics, maxRecords }: Subject, sample: Arbitrary<Sample>): PlanLawGroup<Picked> {
  return {
    name: 'keys',
    law: 'key locality',
    share: 0.2,
    inputs: fc.record({
      samples: fc.array(sample, { maxLength: maxRecords }),
      partitions: partitions(fc),
      pick: fc.nat({ max: 7 }),
    }),
    check: (input) => laws.keys(input.samples, input.partitions, input.pick),
    tell: (input) => tell(input, topics),
    again,
  }
}

function undo(fc: FastCheck, { laws, topics, maxRecords }: Subject, sample: Arbitrary<Sample>): PlanLawGroup<Doomed> {
  const fate = fc.constantFrom<Fate>('stands', 'ignored', 'thrown')
  return {
    name: 'undo',
    law: 'undo leaves no trace',
    share: 0.2,
    inputs: fc.record({
      items: fc.array(fc.record({ sample, fate }), { maxLength: maxRecords }),
      partitions: partitions(fc),
    }),
    check: (input) => laws.undo(input.items, input.partitions),
    tell: ({ items, partitions }) => tellUndone(items, partitions, topics),
    again,
  }
}

function tellUndone(items: readonly DoomedSample[], partitions: number, topics: Topics): string {
  const [title, ...records] = tellRecords(
    items.map(({ sample }) => sample),
    partitions,
    topics,
  )
  const ends: Record<Fate, string> = {
    stands: '',
    ignored: '  ← ignored in another leaf of the stream',
    thrown: '  ← another leaf of the stream throws',
  }
  const marked = records.map((line, index) => `${line}${ends[items[index]?.fate ?? 'stands']}`)
  return [title, ...marked].join('\n')
}
