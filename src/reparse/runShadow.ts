/**
 * Makes tables anew: runs whole topics through the plan, as a service of its own would, into tables beside those that are there;
 * follows the service until little is left; then keeps it from committing for a moment, does the rest, and swaps the tables.
 * One that is killed goes on where its last commit was.
 */

import { sleep } from '../core/clock.ts'
import { noOutcomes, type OutcomeCounts } from '../core/outcome.ts'
import type { Store } from '../core/store.ts'
import type { LiveProgress, Reparse, ReparseRange } from '../postgres/reparseAdmin.ts'
import { shadowApp } from '../postgres/shadow/bookkeeping.ts'
import { type ShadowAdmin, swapPatienceMs } from '../postgres/shadow/shadowAdmin.ts'
import type { Shadow } from '../postgres/shadow/shadowTables.ts'
import type { CommitReport } from '../runtime/commitReport.ts'
import { Runner } from '../runtime/runner.ts'
import { droppingWriter } from '../runtime/standInWriters.ts'
import type { Task } from '../runtime/task.ts'
import type { ShadowPlan } from './planShadow.ts'
import { MovableEnd, RangeClient } from './rangeClient.ts'
import { add, type ReparseParts, stopMs, takenOver } from './runReparse.ts'
import { brokenRange, setBack, tooBusy } from './shadowErrors.ts'

export interface ShadowParts extends Omit<ReparseParts, 'store'> {
  readonly shadows: ShadowAdmin
  /** A store over the tables of a reparse; closed at the end. */
  storeOf(reparse: Reparse): Store
}

/** A table that has taken the place of another one, which is kept. */
export interface SwappedTable {
  readonly name: string
  readonly before: string
}

export interface ShadowReport {
  readonly id: number
  /** `stopped`: it goes on when it is run again. */
  readonly state: 'done' | 'stopped'
  /** Of this run; the outcomes of all streams of a task stand under the names of the streams. */
  readonly items: number
  readonly rows: number
  readonly outcomes: OutcomeCounts
  readonly streams: Readonly<Record<string, OutcomeCounts>>
  readonly swapped: readonly SwappedTable[]
}

const mostLeftAtSwap = 20_000
/** Milliseconds until the next look at what does not hurry: tables that somebody uses, items that wait in the collector. */
const lookAgainMs = 1_000
/** Looks at tables that somebody uses before it is given up. */
const maxBusy = 60

/** @throws what stops a task; StoreError when the tables cannot be swapped: the same command goes on then */
export async function runShadow(plan: ShadowPlan, parts: ShadowParts): Promise<ShadowReport> {
  const { admin, shadows } = parts
  if (plan.drops !== undefined) await shadows.drop(plan.drops)
  const { app, hash, selection, ranges, streams } = plan
  const reparse = plan.resumes ?? (await admin.create({ app, streams, selection, plan: hash, ranges }))
  await shadows.make(reparse, plan.tables)
  // What an earlier one had no time for.
  await shadows.tidy()
  const running = new RunningShadow(plan, reparse, parts)
  return running.run()
}

class RunningShadow {
  readonly #plan: ShadowPlan
  readonly #reparse: Reparse
  readonly #parts: ShadowParts
  #ranges: readonly ReparseRange[] = []
  readonly #ends = new Map<ReparseRange, MovableEnd>()
  readonly #positions = new Map<ReparseRange, number>()
  readonly #outcomes = noOutcomes()
  readonly #streams: Record<string, OutcomeCounts> = {}
  #items = 0
  #rows = 0
  #busy = 0
  /** Offsets that may be left when the service is made to wait: fewer, where they took too long. */
  #mayBeLeft = mostLeftAtSwap

  constructor(plan: ShadowPlan, reparse: Reparse, parts: ShadowParts) {
    this.#plan = plan
    this.#reparse = reparse
    this.#parts = parts
  }

  async run(): Promise<ShadowReport> {
    const { admin, shadows } = this.#parts
    let tables: readonly Shadow[] | undefined
    while (tables === undefined && !this.#isStopped) {
      // Partitions that were added to a topic are read with the others from the next round on.
      this.#follow(await this.#live())
      for (const { stream, partition, nextOffset } of await admin.progressOf(shadowApp(this.#reparse))) {
        this.#endsOf(stream, partition)?.moveTo(nextOffset)
      }
      tables = await this.#round()
    }
    if (tables !== undefined) await shadows.tidy()
    return this.#report(tables)
  }

  get #isStopped(): boolean {
    return this.#parts.signal?.aborted === true
  }

  /** Reads what the service reads until the tables are swapped. @returns undefined when another partition is to be read, or it is stopped */
  async #round(): Promise<readonly Shadow[] | undefined> {
    const { shadows } = this.#parts
    const store = this.#parts.storeOf(this.#reparse)
    const runner = this.#runner(store)
    try {
      await runner.start()
      this.#tell()
      for (;;) {
        await runner.when(() => this.#isStopped || (runner.assigned && this.#hasReached(runner)))
        if (this.#isStopped) return undefined
        const live = await this.#live()
        if (!this.#knowsAll(live)) return undefined
        if (this.#moveEnds(live) > this.#mayBeLeft) continue
        const made = await shadows.shadows(this.#reparse)
        if (await this.#swap(runner)) return made
      }
    } finally {
      await runner.stop(stopMs)
      await store.close()
    }
  }

  async #swap(runner: Runner): Promise<boolean> {
    const { shadows, admin, clock } = this.#parts
    try {
      const end = await shadows.swap(this.#reparse, (live) => this.#reach(runner, this.#ownOf(live)))
      if (end === 'swapped') return true
      if (end === 'busy') this.#busy += 1
      else this.#mayBeLeft = Math.floor(this.#mayBeLeft / 4)
    } catch (error) {
      // A COMMIT that was not answered may have gone through.
      const now = (await admin.reparses(this.#plan.app)).find(({ id }) => id === this.#reparse.id)
      if (now?.state === 'done') return true
      throw error
    }
    if (this.#busy >= maxBusy) throw tooBusy()
    await sleep(clock, lookAgainMs, this.#parts.signal)
    return false
  }

  /** Does what is left, while the service waits; not for long. */
  async #reach(runner: Runner, live: readonly LiveProgress[]): Promise<boolean> {
    if (!this.#knowsAll(live)) return false
    this.#moveEnds(live)
    const enough = new AbortController()
    const reached = runner.when(() => enough.signal.aborted || this.#isStopped || this.#hasReached(runner))
    try {
      await Promise.race([reached, sleep(this.#parts.clock, swapPatienceMs, enough.signal)])
    } finally {
      enough.abort()
      reached.catch(() => undefined)
    }
    return !this.#isStopped && this.#hasReached(runner)
  }

  #runner(store: Store): Runner {
    const { connect, limits, buffer, clock, log, readAs, onBatch } = this.#parts
    const client = new RangeClient({
      source: connect(),
      ranges: this.#ranges,
      filter: {},
      // A compacted log has them everywhere; where it began was told before.
      onGap: () => {},
      ends: this.#ends,
    })
    return new Runner({
      app: shadowApp(this.#reparse),
      leaves: this.#plan.leaves,
      client,
      store,
      writer: droppingWriter,
      limits,
      buffer,
      from: 'earliest',
      clock,
      log,
      // Items that are put off come back here, as they do in a service.
      lookForWaitingMs: lookAgainMs,
      ...(readAs === undefined ? {} : { readAs }),
      ...(onBatch === undefined ? {} : { onBatch }),
      onCommit: (report) => this.#committed(report),
    })
  }

  async #live(): Promise<readonly LiveProgress[]> {
    return this.#ownOf(await this.#parts.admin.progressOf(this.#plan.app))
  }

  /** Of the inputs that are read here: a stream may have had others once. */
  #ownOf(live: readonly LiveProgress[]): readonly LiveProgress[] {
    return live.filter((row) =>
      this.#reparse.ranges.some(({ stream, source }) => row.stream === stream && row.source === source),
    )
  }

  /** Takes up partitions that the service reads. */
  #follow(live: readonly LiveProgress[]): void {
    const known = this.#ranges.length === 0 ? this.#reparse.ranges : this.#ranges
    const added = live.flatMap(({ stream, source, partition, nextOffset }) => {
      const sibling = known.find((range) => range.stream === stream && range.source === source)
      const isKnown = known.some((range) => range.stream === stream && range.partition === partition)
      return sibling === undefined || isKnown ? [] : [{ ...sibling, partition, from: 0, to: nextOffset }]
    })
    this.#ranges = [...known, ...added]
    for (const range of this.#ranges) if (!this.#ends.has(range)) this.#ends.set(range, new MovableEnd(range.to))
    for (const { stream, partition, nextOffset } of live) this.#endsOf(stream, partition)?.moveTo(nextOffset)
  }

  #endsOf(stream: string, partition: number): MovableEnd | undefined {
    const range = this.#rangeOf(stream, partition)
    return range && this.#ends.get(range)
  }

  #knowsAll(live: readonly LiveProgress[]): boolean {
    return live.every(({ stream, partition }) => this.#rangeOf(stream, partition) !== undefined)
  }

  /** @returns how many offsets are left @throws StoreError when the service was set back */
  #moveEnds(live: readonly LiveProgress[]): number {
    let left = 0
    for (const { stream, partition, nextOffset } of live) {
      const range = this.#rangeOf(stream, partition)
      if (range === undefined) continue
      const position = this.#positionOf(range)
      if (nextOffset < position) throw setBack(this.#reparse, range, nextOffset, position)
      this.#endsOf(stream, partition)?.moveTo(nextOffset)
      left += nextOffset - position
    }
    return left
  }

  /** Whether everything that was to be read for now is committed. */
  #hasReached(runner: Runner): boolean {
    return this.#ranges.every((range) => {
      const task = taskOf(runner, range)
      if (task === undefined) throw takenOver(this.#reparse, range)
      const committedTo = task.committedTo(range.topic)
      if (committedTo !== undefined) this.#positions.set(range, committedTo)
      if (task.state === 'parked' && this.#positionOf(range) < this.#endOf(range)) throw brokenRange(range)
      return committedTo !== undefined && committedTo >= this.#endOf(range)
    })
  }

  #rangeOf(stream: string, partition: number): ReparseRange | undefined {
    return this.#ranges.find((range) => range.stream === stream && range.partition === partition)
  }

  #positionOf(range: ReparseRange): number {
    return this.#positions.get(range) ?? range.from
  }

  #endOf(range: ReparseRange): number {
    return this.#ends.get(range)?.to ?? range.to
  }

  #committed({ stream, partition, inputs, items, rows, outcomes, streams }: CommitReport): void {
    for (const { topic, nextOffset } of inputs) {
      const range = this.#ranges.find(
        (own) => own.stream === stream && own.topic === topic && own.partition === partition,
      )
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

  #tell(): void {
    let passed = 0
    let total = 0
    for (const range of this.#ranges) {
      passed += this.#positionOf(range) - range.from
      total += this.#endOf(range) - range.from
    }
    this.#parts.onProgress?.({ id: this.#reparse.id, passed, total, items: this.#items })
  }

  #report(swapped: readonly Shadow[] | undefined): ShadowReport {
    return {
      id: this.#reparse.id,
      state: swapped === undefined ? 'stopped' : 'done',
      items: this.#items,
      rows: this.#rows,
      outcomes: this.#outcomes,
      streams: this.#streams,
      swapped: (swapped ?? []).map(({ name, before }) => ({ name, before })),
    }
  }
}

function taskOf(runner: Runner, range: ReparseRange): Task | undefined {
  return runner.tasks.find((task) => task.reads(range))
}
