/**
 * Runs what was planned: tasks of the plan's streams over ranges of partitions, with progress of their own. A reparse that is
 * killed goes on where its last commit was.
 */
import type { Clock } from '../core/clock.ts'
import { StoreError } from '../core/errors.ts'
import type { Logger } from '../core/logger.ts'
import { noOutcomes, type OutcomeCounts, type OutcomeName } from '../core/outcome.ts'
import type { DirectClient } from '../core/source.ts'
import type { Store } from '../core/store.ts'
import type { OldRows, Reparse, ReparseAdmin, ReparseRange } from '../postgres/reparseAdmin.ts'
import type { Batch } from '../runtime/batch.ts'
import type { BatchEnd } from '../runtime/closeBatch.ts'
import type { CommitReport } from '../runtime/commitReport.ts'
import type { CommitLimits } from '../runtime/filling.ts'
import { Runner, type RunnerSettings } from '../runtime/runner.ts'
import { droppingWriter } from '../runtime/standInWriters.ts'
import type { Task } from '../runtime/task.ts'
import type { ReparsePlan } from './planReparse.ts'
import { type Gap, RangeClient } from './rangeClient.ts'
import { ReparseStore } from './reparseStore.ts'

export interface ReparseParts {
  readonly admin: ReparseAdmin
  /** Closed at the end. */
  readonly store: Store
  connect(): DirectClient
  readonly limits: CommitLimits
  readonly buffer: RunnerSettings['buffer']
  readonly clock: Clock
  readonly log: Logger
  /** Aborting it stops the reparse after the batch at hand; it goes on when it is run again. */
  readonly signal?: AbortSignal | undefined
  /** Called when it has begun, and after every commit. */
  readonly onProgress?: ((progress: ReparseProgress) => void) | undefined
  readonly readAs?: RunnerSettings['readAs']
  readonly onBatch?: ((batch: Batch, end: BatchEnd) => void) | undefined
}

export interface ReparseProgress {
  readonly id: number
  /** Offsets that were passed, in this run and in those before it, of all. */
  readonly passed: number
  readonly total: number
  /** Items of this run. */
  readonly items: number
}

/** Where a `signal.break()` has ended the reparse of a partition. What comes from there on is as it was. */
export interface BrokenRange {
  readonly topic: string
  readonly partition: number
  readonly offset: number | undefined
  readonly reason: string | undefined
}

export interface ReparseReport {
  readonly id: number
  /** `stopped`: it goes on when it is run again. */
  readonly state: 'done' | 'stopped'
  /** Of this run; the outcomes of all streams of a task stand under the names of the streams. */
  readonly items: number
  readonly rows: number
  readonly outcomes: OutcomeCounts
  readonly streams: Readonly<Record<string, OutcomeCounts>>
  /** Rows of records that the log did not have. They are as they were. */
  readonly gone: readonly OldRows[]
  readonly broken: readonly BrokenRange[]
}

/** Milliseconds that open batches have to end in. */
export const stopMs = 6_000
/** Gaps that are remembered one by one: a compacted log may have one behind every record. */
const maxGaps = 1_000

/** @throws what stops a task */
export async function runReparse(plan: ReparsePlan, parts: ReparseParts): Promise<ReparseReport> {
  const { admin } = parts
  if (plan.drops !== undefined) await admin.end(plan.drops, 'dropped')
  const { app, hash, selection, ranges } = plan
  const streams = plan.streams.map(({ name }) => name)
  const reparse = plan.resumes ?? (await admin.create({ app, streams, selection, plan: hash, ranges }))
  return new RunningReparse(plan, reparse, parts).run()
}

class RunningReparse {
  readonly #plan: ReparsePlan
  readonly #reparse: Reparse
  readonly #parts: ReparseParts
  readonly #runner: Runner
  readonly #gaps: Gap[] = []
  readonly #positions = new Map<ReparseRange, number>()
  readonly #broken = new Map<ReparseRange, BrokenRange>()
  readonly #outcomes = noOutcomes()
  readonly #streams: Record<string, OutcomeCounts> = {}
  #items = 0
  #rows = 0

  constructor(plan: ReparsePlan, reparse: Reparse, parts: ReparseParts) {
    this.#plan = plan
    this.#reparse = reparse
    this.#parts = parts
    const { app, leaves, key } = plan
    const client = new RangeClient({
      source: parts.connect(),
      ranges: reparse.ranges,
      filter: { key: key === undefined ? undefined : Buffer.from(key) },
      onGap: (gap) => {
        if (this.#gaps.length < maxGaps) this.#gaps.push(gap)
      },
    })
    this.#runner = new Runner({
      app,
      leaves,
      client,
      store: new ReparseStore(parts.store, reparse.id),
      writer: droppingWriter,
      limits: parts.limits,
      buffer: parts.buffer,
      from: 'earliest',
      clock: parts.clock,
      log: parts.log,
      ...(parts.readAs === undefined ? {} : { readAs: parts.readAs }),
      onCommit: (report) => this.#committed(report),
      onBatch: (batch, end, task) => this.#ended(batch, end, task),
    })
  }

  async run(): Promise<ReparseReport> {
    const { signal, store } = this.#parts
    try {
      await this.#runner.start()
      this.#tell()
      await this.#runner.when(() => signal?.aborted === true || (this.#runner.assigned && this.#isOver()))
    } finally {
      await this.#runner.stop(stopMs)
      await store.close()
    }
    // Of a failure that came while it was stopped somebody has to hear.
    await this.#runner.when(() => true)
    const isDone = this.#reparse.ranges.every((range) => this.#isDone(range))
    if (isDone) await this.#parts.admin.end(this.#reparse, 'done')
    return {
      id: this.#reparse.id,
      state: isDone ? 'done' : 'stopped',
      items: this.#items,
      rows: this.#rows,
      outcomes: this.#outcomes,
      streams: this.#streams,
      gone: await this.#goneRows(),
      broken: [...this.#broken.values()],
    }
  }

  /** Whether nothing more happens: every range is at its end, or was broken off. */
  #isOver(): boolean {
    return this.#reparse.ranges.every((range) => {
      const task = this.#taskOf(range)
      const committedTo = task?.committedTo(range.topic)
      if (committedTo !== undefined) this.#positions.set(range, committedTo)
      if (this.#isDone(range) || task?.state === 'parked') return true
      if (task === undefined) throw takenOver(this.#reparse, range)
      return false
    })
  }

  #isDone(range: ReparseRange): boolean {
    return (this.#positions.get(range) ?? range.from) >= range.to
  }

  #taskOf(range: ReparseRange): Task | undefined {
    return this.#runner.tasks.find((task) => task.reads(range))
  }

  #rangeOf(topic: string, partition: number): ReparseRange | undefined {
    return this.#reparse.ranges.find((range) => range.topic === topic && range.partition === partition)
  }

  #committed({ partition, inputs, items, rows, outcomes, streams }: CommitReport): void {
    for (const { topic, nextOffset } of inputs) {
      const range = this.#rangeOf(topic, partition)
      if (range !== undefined) this.#positions.set(range, nextOffset)
    }
    this.#items += items
    this.#rows += rows
    add(this.#outcomes, outcomes)
    for (const other of streams) {
      const counts = this.#streams[other.stream] ?? noOutcomes()
      add(counts, other.outcomes)
      this.#streams[other.stream] = counts
    }
    this.#tell()
  }

  #ended(batch: Batch, end: BatchEnd, { partition }: Pick<Task, 'partition'>): void {
    this.#parts.onBatch?.(batch, end)
    if (end.broke === undefined || end.broke.resumeAfterMs !== undefined) return
    const { topic, offset, reason } = end.broke
    const range = this.#rangeOf(topic, partition)
    if (range !== undefined) this.#broken.set(range, { topic, partition, offset, reason })
  }

  #tell(): void {
    let passed = 0
    let total = 0
    for (const range of this.#reparse.ranges) {
      passed += Math.min(this.#positions.get(range) ?? range.from, range.to) - range.from
      total += range.to - range.from
    }
    this.#parts.onProgress?.({ id: this.#reparse.id, passed, total, items: this.#items })
  }

  async #goneRows(): Promise<readonly OldRows[]> {
    const lost = this.#gaps.map(({ range, from, to }) => ({ ...range, from, to }))
    const rows = lost.length === 0 ? [] : await this.#parts.admin.oldRows(this.#plan.app, lost)
    return rows.filter((found) => found.rows > 0)
  }
}

/** Another process runs the same one. */
export function takenOver({ id }: Reparse, { stream, partition }: ReparseRange): StoreError {
  return new StoreError('MR-REPARSE-TAKEN', {
    what: `somebody else has taken over reparse ${id}: stream "${stream}", partition ${partition}`,
    why: 'The same command was started a second time.',
    fix: 'Let that one finish.',
  })
}

/** Adds counts to others. */
export function add(sum: OutcomeCounts, counts: OutcomeCounts): void {
  for (const name of Object.keys(counts) as OutcomeName[]) sum[name] += counts[name]
}
