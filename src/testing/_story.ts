/** What `check` draws: records, how they are cut, and what happens meanwhile; and how it is told. */
import type { Arbitrary } from 'fast-check'
import type { TopicSource } from '../core/source.ts'
import { textOf } from './_differences.ts'
import type { FastCheck } from './_fastCheck.ts'
import { happenings, told } from './_happenings.ts'
import type { PlacedRecord } from './_place.ts'
import type { Cut, Happening } from './_scene.ts'

/** A record that was drawn: its bytes, so that the plan, the model and a replay see the same. */
export interface Sample {
  readonly topic: string
  /** A character for each byte: texts are packed the same each time, and short. */
  readonly value: string | null
  readonly key: string | null
  /** Of a record without a key, any number: it goes to a partition by it. */
  readonly place: number
}

export interface Story extends Cut {
  readonly samples: readonly Sample[]
  readonly happenings: readonly Happening[]
  /** Turns of the event loop that asynchronous calls wait before they begin, by turns. */
  readonly pace: readonly number[]
}

/** What a topic may hold. */
export interface Source {
  readonly topic: TopicSource<unknown>
  readonly values: Arbitrary<unknown>
  readonly key: ((value: unknown) => string | null) | undefined
}

export function samplesOf(fc: FastCheck, sources: readonly Source[]): Arbitrary<Sample> {
  const drawn = sources.map(({ topic, values, key }) =>
    fc.record({ value: values, place: fc.nat({ max: 7 }) }).map(({ value, place }): Sample => {
      const bytes = value === null ? null : topic.codec.encode(value).toString('latin1')
      return { topic: topic.name, value: bytes, key: key?.(value) ?? null, place }
    }),
  )
  return fc.oneof(...drawn)
}

export interface StoryOptions {
  readonly maxRecords: number
  /** Whether there are asynchronous calls. */
  readonly paced: boolean
  /** Whether the plan writes to topics. */
  readonly emits: boolean
}

export function storiesOf(
  fc: FastCheck,
  sample: Arbitrary<Sample>,
  { maxRecords, paced, emits }: StoryOptions,
): Arbitrary<Story> {
  return fc.record({
    samples: fc.array(sample, { maxLength: maxRecords }),
    happenings: happenings(fc, emits),
    partitions: fc.integer({ min: 1, max: 3 }),
    chunk: fc.integer({ min: 1, max: 6 }),
    maxItems: fc.integer({ min: 1, max: 6 }),
    pace: paced ? fc.array(fc.nat({ max: 3 }), { maxLength: 4 }) : fc.constant([]),
  })
}

export function placed({ topic, value, key, place }: Sample, partitions: number): PlacedRecord {
  const number = key === null ? place : [...key].reduce((sum, char) => sum + (char.codePointAt(0) as number), 0)
  return { topic, partition: number % partitions, key: key === null ? null : Buffer.from(key), value: bytesOf(value) }
}

export function decoded({ value }: Sample, { codec }: TopicSource<unknown>): unknown {
  const bytes = bytesOf(value)
  return bytes === null ? null : codec.decode(bytes, 0, bytes.length)
}

function bytesOf(value: string | null): Buffer | null {
  return value === null ? null : Buffer.from(value, 'latin1')
}

export type Topics = ReadonlyMap<string, TopicSource<unknown>>

/** The records, a line for each. */
export function tellRecords(samples: readonly Sample[], partitions: number, topics: Topics): string[] {
  const where = partitions === 1 ? 'one partition' : `${partitions} partitions`
  if (samples.length === 0) return [`with no records, in ${where}`]
  return [
    `with ${samples.length === 1 ? 'one record' : `${samples.length} records`}, in ${where}:`,
    ...samples.map((sample, index) => `  ${index + 1}. ${tellRecord(sample, partitions, topics)}`),
  ]
}

function tellRecord(sample: Sample, partitions: number, topics: Topics): string {
  const { topic, partition } = placed(sample, partitions)
  const source = topics.get(topic)
  const key = sample.key === null ? '' : ` key ${JSON.stringify(sample.key)}`
  const value = source === undefined ? sample.value : decoded(sample, source)
  return `${topic}[${partition}]${key} ${textOf(value)}`
}

export function tellStory(story: Story, topics: Topics): string {
  const { samples, happenings: events, partitions, chunk, maxItems, pace } = story
  const lines = events.map(told)
  if (pace.some((turns) => turns > 0)) {
    lines.unshift(`asynchronous calls wait ${pace.join(', ')} turns of the event loop, and so on, before they begin`)
  }
  if (samples.length > 0) lines.push('what is left arrives')
  lines.push('the plan comes to its end')
  return [
    ...tellRecords(samples, partitions, topics),
    `in chunks of up to ${chunk} and batches of up to ${maxItems}, while this happens:`,
    ...lines.map((line, index) => `  ${index + 1}. ${line}`),
  ].join('\n')
}
