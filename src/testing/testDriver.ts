/** Runs a plan on a laptop: real codecs, the real runtime, a broker and a store in memory, and time that only moves when told. */
import { setImmediate as nextTurn } from 'node:timers/promises'
import { messageOf, SettingsError } from '../core/errors.ts'
import { silentLogger } from '../core/logger.ts'
import { type OptionRules, validateOptions } from '../core/options.ts'
import { noOutcomes, type OutcomeCounts, type OutcomeName } from '../core/outcome.ts'
import { requireTopics } from '../core/plan.ts'
import type { RecordHeader } from '../core/record.ts'
import type { Sink } from '../core/sink.ts'
import type { TopicSource } from '../core/source.ts'
import type { CollectedItem } from '../core/store.ts'
import type { Batch } from '../runtime/batch.ts'
import type { BatchEnd } from '../runtime/closeBatch.ts'
import type { CommitReport } from '../runtime/commitReport.ts'
import { ownerOf } from '../runtime/owner.ts'
import { Runner } from '../runtime/runner.ts'
import { leavesOf, type Plan } from '../stream.ts'
import { type EmittedRecord, emittedIn } from './_emitted.ts'
import { frozen } from './deepFreeze.ts'
import { createMemoryBroker } from './memoryBroker.ts'
import { MemoryStore, type MemoryStoreOptions } from './memoryStore.ts'
import { memoryWriter } from './memoryWriter.ts'
import { VirtualClock } from './virtualClock.ts'

export interface TestDriverOptions extends MemoryStoreOptions {
  /** Records that the source hands over at once at most. Default 1,000. */
  readonly chunk?: number
  /** Items of a batch at most. Default 10,000. */
  readonly maxItems?: number
  /** Partitions of each topic. Default 1. */
  readonly partitions?: number
  /** The time at the beginning. Default: the epoch. */
  readonly now?: Date
}

/** What a record has beside its value. */
export interface RecordOptions {
  readonly key?: string
  readonly partition?: number
  /** Default: the driver's time. */
  readonly timestamp?: Date
  readonly headers?: Readonly<Record<string, string>>
}

/** What the record of one value of many has beside it. */
export type RecordOptionsOf<T> = (value: T, index: number) => RecordOptions

/** What became of one item. */
export interface ItemOutcome {
  readonly stream: string
  readonly topic: string
  readonly partition: number
  readonly offset: number
  readonly outcome: OutcomeName
  /** The reason of an ignored item, or the message of a collected one's error. */
  readonly reason: string | undefined
}

export interface TestDriver {
  /** Sends a value, and resolves when everything has been done with it that can be done without time passing. Rejects when the plan stops. */
  send<T>(topic: TopicSource<T>, value: T, options?: RecordOptions): Promise<void>
  /** Sends values as one burst: they arrive in chunks and batches together. What the records have beside them may differ. */
  sendAll<T>(topic: TopicSource<T>, values: readonly T[], options?: RecordOptions | RecordOptionsOf<T>): Promise<void>
  /** Sends bytes as they are; null is a tombstone. */
  sendBytes(topic: TopicSource<unknown>, bytes: Buffer | null, options?: RecordOptions): Promise<void>
  /** Moves time, letting everything that falls due happen in order; event time too, as if a record of that time had come. */
  advanceTo(time: Date): Promise<void>
  advanceBy(ms: number): Promise<void>
  /** Committed rows of a table, in the order in which they were written; an upserted row keeps its place. */
  rows<Row extends object>(sink: Sink<Row>): Row[]
  /** Records that were sent to a topic, in order for each partition. */
  emitted<T>(topic: TopicSource<T>): readonly EmittedRecord<T>[]
  /** What became of each item that has committed, in offset order for each partition. */
  outcomes(): readonly ItemOutcome[]
  /** The error collector. */
  errors(): readonly CollectedItem[]
  /** Items by outcome: they add up to the items sent and committed. */
  counts(): OutcomeCounts
  /** Runs the items of the error collector again, as `millrace errors replay` does. */
  replay(): Promise<void>
  /** A report for each commit. */
  commits(): readonly CommitReport[]
  stop(): Promise<void>
}

const rules: OptionRules = {
  chunk: { type: 'number', min: 1 },
  maxItems: { type: 'number', min: 1 },
  partitions: { type: 'number', min: 1 },
  now: { type: 'object' },
  refuses: { type: 'function' },
  lookups: { type: 'object' },
}

/**
 * Runs a plan with neither broker nor database. Values are frozen when they are decoded: a callback that changes one throws.
 *
 * @example
 * const t = testDriver(stream('flights').from(flightTopic).to(delays))
 * await t.send(flightTopic, { origin: 'LAS', delay: 33 })
 * expect(t.rows(delays)).toEqual([{ origin: 'LAS', delay: 33 }])
 */
export function testDriver(plan: Plan, options: TestDriverOptions = {}): TestDriver {
  validateOptions('testDriver()', options, rules, (text) => new SettingsError('MR-TEST-OPTION', text))
  return new Driver(plan, options)
}

class Driver implements TestDriver {
  readonly #clock: VirtualClock
  readonly #broker
  readonly #store: MemoryStore
  readonly #runner: Runner
  readonly #topics: ReadonlySet<string>
  /** The plan's own streams: others depend on them or are triggered by them. */
  readonly #streams: ReadonlySet<string>
  readonly #outcomes: ItemOutcome[] = []
  readonly #reports: CommitReport[] = []
  readonly #sent = new Map<string, number>()
  #started: Promise<void> | undefined

  constructor(plan: Plan, options: TestDriverOptions) {
    const { chunk = 1_000, maxItems = 10_000, partitions = 1, now = new Date(0) } = options
    const leaves = leavesOf(plan)
    this.#clock = new VirtualClock(now.getTime())
    this.#broker = createMemoryBroker({ chunkRecords: chunk })
    this.#store = new MemoryStore({ clock: () => this.#clock.now(), ...options })
    this.#topics = new Set(requireTopics('testDriver()', leaves).map(({ name }) => name))
    this.#streams = new Set(leaves.map(({ name }) => name))
    for (const topic of this.#topics) this.#broker.createTopic(topic, partitions)
    this.#runner = new Runner({
      app: 'test',
      leaves,
      client: this.#broker.client('test'),
      store: this.#store,
      writer: memoryWriter(this.#broker, { create: partitions }),
      limits: { everyMs: 1_000, maxItems, maxBytes: 64 * 2 ** 20 },
      buffer: { maxBytes: 256 * 2 ** 20, maxItems: 1_000_000 },
      from: 'earliest',
      clock: this.#clock,
      log: silentLogger,
      readAs: frozen,
      onCommit: (report) => this.#reports.push(report),
      onBatch: (batch, end) => this.#note(batch, end),
    })
  }

  send<T>(topic: TopicSource<T>, value: T, options?: RecordOptions): Promise<void> {
    return this.sendAll(topic, [value], options)
  }

  async sendAll<T>(
    topic: TopicSource<T>,
    values: readonly T[],
    options?: RecordOptions | RecordOptionsOf<T>,
  ): Promise<void> {
    const encoded = values.map((value) => (value === null ? null : topic.codec.encode(value)))
    for (const [index, bytes] of encoded.entries()) {
      this.#append(topic, bytes, typeof options === 'function' ? options(values[index] as T, index) : options)
    }
    await this.#settle()
  }

  async sendBytes(topic: TopicSource<unknown>, bytes: Buffer | null, options?: RecordOptions): Promise<void> {
    this.#append(topic, bytes, options)
    await this.#settle()
  }

  async advanceTo(time: Date): Promise<void> {
    await this.#calm()
    let moved = true
    while (moved) {
      moved = this.#clock.step(time.getTime())
      // What was waiting for this moment looks idle until it had a turn.
      await nextTurn()
      await this.#calm()
    }
    for (const task of this.#runner.tasks) task.advanceTime(time.getTime())
    await this.#calm()
  }

  advanceBy(ms: number): Promise<void> {
    return this.advanceTo(new Date(this.#clock.now() + ms))
  }

  rows<Row extends object>(sink: Sink<Row>): Row[] {
    return this.#store.rows(sink.name).map((row) => ({ ...row }) as Row)
  }

  emitted<T>(topic: TopicSource<T>): readonly EmittedRecord<T>[] {
    return emittedIn(this.#broker, topic).map(({ id, ...record }) => record)
  }

  outcomes(): readonly ItemOutcome[] {
    return this.#outcomes
  }

  errors(): readonly CollectedItem[] {
    return this.#store.collected
  }

  counts(): OutcomeCounts {
    const counts = noOutcomes()
    for (const { stream, outcome } of this.#outcomes) if (this.#streams.has(stream)) counts[outcome]++
    return counts
  }

  async replay(): Promise<void> {
    this.#store.collector.replay()
    for (const task of this.#runner.tasks) task.lookForWaiting()
    await this.#settle()
  }

  commits(): readonly CommitReport[] {
    return this.#reports
  }

  async stop(): Promise<void> {
    await this.#runner.stop(10_000)
  }

  #append(topic: TopicSource<unknown>, value: Buffer | null, options: RecordOptions = {}): void {
    const { key, partition = 0, timestamp, headers = {} } = options
    if (!this.#topics.has(topic.name)) {
      throw new SettingsError('MR-TEST-TOPIC', {
        what: `the plan does not read topic "${topic.name}"`,
        why: `It reads ${[...this.#topics].join(', ')}.`,
      })
    }
    const end = this.#broker.append(topic.name, partition, {
      key: key === undefined ? null : Buffer.from(key),
      value,
      timestamp: timestamp?.getTime() ?? this.#clock.now(),
      headers: Object.entries(headers).map(([name, text]): RecordHeader => ({ key: name, value: Buffer.from(text) })),
    })
    this.#sent.set(`${topic.name}/${partition}`, end + 1)
  }

  async #settle(): Promise<void> {
    this.#started ??= this.#runner.start()
    await this.#started
    const arrived = () =>
      [...this.#sent].every(([of, end]) =>
        this.#runner.tasks.some((task) =>
          task.partitions.some(
            ({ topic, partition }) => `${topic}/${partition}` === of && (task.fetchedTo(topic) ?? 0) >= end,
          ),
        ),
      )
    await this.#runner.when(() => this.#runner.assigned && arrived() && this.#runner.tasks.every((task) => task.isIdle))
  }

  /** Everything in memory happens within a few turns; a callback that waits for time to move must not be waited for. */
  async #calm(): Promise<void> {
    await Promise.race([this.#settle(), turns(100)])
  }

  #note(batch: Batch, end: BatchEnd): void {
    for (let item = 0; item < end.items; item++) {
      const { records, index } = batch.locate(item)
      const { topic, partition } = records
      for (const [at, { name }] of batch.streams.entries()) {
        const outcome = batch.marks.outcomeIn(at, item)
        if (outcome === undefined) continue
        const fall = batch.falls.byOwner.get(ownerOf(at, item))
        const reason =
          fall?.kind === 'ignored'
            ? fall.reason
            : fall !== undefined && 'error' in fall
              ? messageOf(fall.error)
              : undefined
        const offset = records.offset(index)
        this.#outcomes.push({ stream: name, topic, partition, offset, outcome, reason })
      }
    }
  }
}

async function turns(count: number): Promise<void> {
  for (let turn = 0; turn < count; turn++) await nextTurn()
}
