/** One run of an operator over random items, some of which are undone elsewhere in the stream. */
import { AssertionError } from 'node:assert'
import { deserialize, serialize } from 'node:v8'
import type { Codec } from '../core/codec.ts'
import type { AsyncItemContext, ItemContext } from '../core/context.ts'
import type { RecordView } from '../core/record.ts'
import { signal } from '../core/signal.ts'
import type { Sink } from '../core/sink.ts'
import type { TopicSource } from '../core/source.ts'
import { type Stream, stream } from '../stream.ts'
import { topic } from '../topic.ts'
import { type TestDriver, testDriver } from './testDriver.ts'

/** What happens to an item elsewhere in the stream: before the operator, behind it, or in another leaf of the same name. */
export const fates = [
  'ignored before',
  'ignored behind',
  'throws behind',
  'ignored in another leaf',
  'throws in another leaf',
  'ignored in an asynchronous leaf',
  'rejects in an asynchronous leaf',
] as const

export type Fate = 'stands' | (typeof fates)[number]

export interface LawItem<In> {
  readonly value: In
  readonly key: string
  readonly fate: Fate
}

/** How the items arrive. */
export interface Arrival {
  /** Records that the source hands over at once at most. */
  readonly chunk: number
  /** Items of a batch at most. */
  readonly maxItems: number
  readonly partitions: number
}

/** A value that came out, with the numbers of the items that it belongs to. */
export interface LawRow {
  readonly items: readonly number[]
  readonly value: unknown
}

export interface LawRun {
  /** By partition, in offset order. */
  readonly rows: readonly LawRow[]
  /** The same in the order in which the operator gave them. */
  readonly given: readonly LawRow[]
  /** Numbers of the items that were ignored or collected. */
  readonly undone: ReadonlySet<number>
  /** Messages of the collected items. */
  readonly errors: readonly string[]
}

export type Build<In, Out> = (stream: Stream<In>) => Stream<Out>

/** Any value that structured clones keep. Each decoding gives a value of its own. */
const cloneCodec: Codec<unknown> = {
  name: 'clone',
  decode: (bytes, start, end) => deserialize(bytes.subarray(start, end)),
  encode: (value) => serialize(value),
}

/** Longer than any group waits. */
const longMs = 24 * 3_600_000

/** Runs the items whose numbers are not left out. */
export async function lawRun<In, Out>(
  build: Build<In, Out>,
  items: readonly LawItem<In>[],
  arrival: Arrival,
  without: ReadonlySet<number> = new Set(),
): Promise<LawRun> {
  const source = topic('laws', cloneCodec as Codec<In>, { tombstones: 'pass' }) as TopicSource<In>
  const t = testDriver(lawPlan(build, stream('laws').from(source), items), arrival)
  try {
    const numbers = [...items.keys()].filter((number) => !without.has(number))
    const sent = numbers.map((number) => ({ number, partition: number % arrival.partitions }))
    await t.sendAll(
      bytesOf(source),
      numbers.map((number) => serialize(items[number]?.value)),
      (_, index) => {
        const number = numbers[index] as number
        const partition = number % arrival.partitions
        return { partition, key: items[number]?.key ?? '', headers: { item: String(number) } }
      },
    )
    await t.advanceBy(longMs)
    return runOf(t, sent)
  } finally {
    await t.stop()
  }
}

interface WrittenRow extends LawRow {
  readonly partition: number
  /** Counts the values in the order in which the operator gave them. */
  readonly at: number
}

const written: Sink<WrittenRow> = Object.freeze({
  kind: 'table',
  name: 'laws',
  key: [],
  columns: undefined,
  onConflict: 'nothing',
  create: undefined,
  track: false,
})

function lawPlan<In, Out>(build: Build<In, Out>, base: Stream<In>, items: readonly LawItem<In>[]): Stream<unknown>[] {
  const fateOf = (record: RecordView): Fate => items[numberOf(record)]?.fate ?? 'stands'
  const act = (ignored: Fate, thrown?: Fate) => (_: unknown, ctx: ItemContext | AsyncItemContext) => {
    const present = ctx.records.map(fateOf)
    if (present.includes(ignored)) signal.ignore(ignored)
    if (thrown !== undefined && present.includes(thrown)) throw new Error(thrown)
  }
  let at = 0
  const leaf = build(base.tap(act('ignored before')))
    .to(written, (value, { records }) => ({
      items: records.map(numberOf),
      partition: records[0]?.partition ?? -1,
      value,
      at: at++,
    }))
    .tap(act('ignored behind', 'throws behind'))
  const leaves: Stream<unknown>[] = [leaf]
  const needs = (word: string) => items.some(({ fate }) => fate.endsWith(word))
  if (needs('another leaf')) leaves.push(base.tap(act('ignored in another leaf', 'throws in another leaf')))
  if (needs('asynchronous leaf')) {
    const settle = act('ignored in an asynchronous leaf', 'rejects in an asynchronous leaf')
    leaves.push(
      base.mapAsync(async (value, ctx) => {
        await Promise.resolve()
        settle(value, ctx)
      }),
    )
  }
  return leaves
}

function runOf(t: TestDriver, sent: readonly { number: number; partition: number }[]): LawRun {
  const ended = new Map<string, string>()
  for (const { partition, offset, outcome } of t.outcomes()) {
    const place = `${partition}@${offset}`
    if (ended.has(place))
      throw new AssertionError({ message: `the record ${place} has two outcomes: ${ended.get(place)} and ${outcome}` })
    ended.set(place, outcome)
  }
  const nextOffset = new Map<number, number>()
  const undone = new Set<number>()
  for (const { number, partition } of sent) {
    const offset = nextOffset.get(partition) ?? 0
    nextOffset.set(partition, offset + 1)
    const outcome = ended.get(`${partition}@${offset}`)
    if (outcome === undefined) throw new AssertionError({ message: `item ${number} went in and has no outcome` })
    if (outcome === 'ignored' || outcome === 'collected') undone.add(number)
  }
  if (ended.size !== sent.length) {
    throw new AssertionError({ message: `${sent.length} items went in, and ${ended.size} have an outcome` })
  }
  const rows = t.rows(written)
  const plain = ({ items, value }: WrittenRow): LawRow => ({ items, value })
  // Which of two partitions commits first is no law: sorting is stable and keeps the order within each.
  const inOrder = rows.toSorted((a, b) => a.partition - b.partition)
  return {
    rows: inOrder.map(plain),
    given: inOrder.toSorted((a, b) => a.partition - b.partition || a.at - b.at).map(plain),
    undone,
    errors: t.errors().map(({ error }) => error.message),
  }
}

function numberOf(record: RecordView): number {
  return Number(record.header('item'))
}

/** The same topic for values that are encoded already: a null among them is a value like any other. */
function bytesOf(source: TopicSource<unknown>): TopicSource<Buffer> {
  return { ...source, codec: { name: 'encoded', decode: (bytes) => bytes, encode: (bytes) => bytes } }
}
