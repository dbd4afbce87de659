/**
 * One member of a group at work: a runner with a client and a store, watched.
 *
 *     starting ──► running ──► stopping ──► stopped
 *         └────────────────────────▲
 *
 * Both a stop and a failure lead through `stopping`, once; what is open is then committed or rolled back, the group left
 * and the connections closed, each with a deadline, so that nothing that hangs keeps a process from ending.
 *
 * Tasks change at every commit and in between, so the service looks at them after each commit and at short intervals.
 */
import { type Clock, sleep } from '../core/clock.ts'
import type { TopicWriter } from '../core/emit.ts'
import { messageOf } from '../core/errors.ts'
import type { Logger } from '../core/logger.ts'
import type { PlanLeaf } from '../core/plan.ts'
import type { SourceClient } from '../core/source.ts'
import type { Store } from '../core/store.ts'
import type { Batch } from '../runtime/batch.ts'
import type { BatchEnd } from '../runtime/closeBatch.ts'
import type { CommitReport } from '../runtime/commitReport.ts'
import type { Cursor } from '../runtime/cursor.ts'
import type { CommitLimits } from '../runtime/filling.ts'
import { Runner, type StartFrom } from '../runtime/runner.ts'
import type { Task } from '../runtime/task.ts'
import type { App, AppStats } from './app.ts'
import { CatchUp } from './catchUp.ts'
import { Journal, summaryEveryMs } from './journal.ts'
import { lagOf, nameOf, Partitions } from './partitions.ts'
import { brokenOff, type Parking, stoppedFirst } from './serviceErrors.ts'
import type { BufferLimits } from './settings.ts'
import { Statistics } from './statistics.ts'
import { Watchdog } from './watchdog.ts'

export interface ServiceParts {
  readonly group: string
  readonly leaves: readonly PlanLeaf[]
  readonly client: SourceClient
  readonly store: Store
  /** Where emits are sent. */
  readonly writer?: TopicWriter
  readonly commit: CommitLimits
  readonly buffer: BufferLimits
  readonly stateKeys: number
  readonly from: StartFrom | undefined
  /** How long items of the error collector are kept once they are settled. */
  readonly keepErrorsMs: number
  readonly stallAfterMs: number
  /** Shows which step runs, where somebody looks on. */
  readonly cursor?: Cursor
  readonly clock: Clock
  readonly log: Logger
}

const lookEveryMs = 100
/** As soon as somebody who has asked for a replay expects to see something. */
const lookForWaitingMs = 1_000

/** Settled items of the error collector go now and then, a few at a time: no commit has to wait for it. */
const pruneEveryMs = 600_000
const pruneItems = 1_000

/** Shares of a stop: half of the first is for open batches, half for leaving; the others are for what hangs even then. */
const runnerStopMs = 6_000
const clientStopMs = 1_000
const storeStopMs = 1_000

interface Waiter {
  readonly catchUp: CatchUp
  resolve(): void
  reject(error: unknown): void
}

export class Service implements App {
  readonly done: Promise<void>
  readonly #parts: ServiceParts
  readonly #client: SourceClient
  readonly #runner: Runner
  readonly #partitions: Partitions
  readonly #statistics = new Statistics()
  readonly #journal: Journal
  readonly #watchdog: Watchdog
  readonly #parked = new Map<string, Parking>()
  readonly #waiters = new Set<Waiter>()
  readonly #timers = new Set<() => void>()
  #state: 'starting' | 'running' | 'stopping' | 'stopped' = 'starting'
  #stopped: Promise<void> | undefined
  #end: { resolve(): void; reject(error: unknown): void } = { resolve: () => {}, reject: () => {} }

  constructor(parts: ServiceParts) {
    const { clock, log } = parts
    this.#parts = parts
    this.#partitions = new Partitions(() => this.#runner.tasks)
    this.#client = this.#partitions.watch(parts.client)
    this.#journal = new Journal(log, clock.now())
    this.#watchdog = new Watchdog(this.#partitions, parts.stallAfterMs, log, clock)
    this.#runner = new Runner({
      app: parts.group,
      leaves: parts.leaves,
      client: this.#client,
      store: parts.store,
      writer: parts.writer,
      limits: parts.commit,
      buffer: parts.buffer,
      stateKeys: parts.stateKeys,
      from: parts.from,
      lookForWaitingMs,
      clock,
      log,
      ...(parts.cursor === undefined ? {} : { cursor: parts.cursor }),
      onCommit: (report) => this.#committed(report),
      onBatch: (batch, end, task) => this.#ended(batch, end, task),
    })
    this.done = new Promise((resolve, reject) => {
      this.#end = { resolve, reject }
    })
    // Whoever wants to know asks; the failure is in the log as well, so nobody has to.
    this.done.catch(() => {})
  }

  /** Checks everything and joins the group. When it rejects, what was opened is closed again. */
  async start(): Promise<void> {
    try {
      // A stop during the start does not wait for a connection that is still being tried.
      await Promise.race([this.#runner.start(), this.done])
    } catch (error) {
      await this.stop()
      throw error
    }
    if (this.#state !== 'starting') return
    this.#state = 'running'
    this.#every(lookEveryMs, () => this.#look())
    this.#every(summaryEveryMs, () => this.#journal.summary(this.#parts.clock.now(), this.#lag()))
    this.#every(this.#watchdog.everyMs, () => this.#watch())
    this.#every(pruneEveryMs, () => this.#pruneErrors())
  }

  async #pruneErrors(): Promise<void> {
    const { store, group, keepErrorsMs, log } = this.#parts
    try {
      while (this.#state === 'running' && (await store.pruneErrors(group, keepErrorsMs, pruneItems)) === pruneItems);
    } catch (error) {
      log.debug({ error: messageOf(error) }, 'settled items of the error collector could not be deleted')
    }
  }

  caughtUp(): Promise<void> {
    if (this.#state !== 'running') return this.done.then(() => Promise.reject(stoppedFirst()))
    return new Promise((resolve, reject) => {
      this.#waiters.add({ catchUp: new CatchUp(this.#partitions, this.#parts.log), resolve, reject })
      this.#lookAtWaiters()
    })
  }

  stop(): Promise<void> {
    this.#stopped ??= this.#stop()
    return this.#stopped
  }

  stats(): AppStats {
    const standings = this.#partitions.standings() ?? []
    return {
      ...this.#statistics.totals(),
      lag: this.#lag(),
      partitions: standings.flatMap(({ partition, task }) => {
        if (task === undefined) return []
        const { stream, state } = task
        const committedTo = task.committedTo(partition.topic)
        const endOffset = this.#partitions.endOf(partition)
        const lag = lagOf(committedTo, endOffset)
        return [{ stream, topic: partition.topic, partition: partition.partition, state, committedTo, endOffset, lag }]
      }),
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop()
  }

  async #stop(failure?: { readonly error: unknown }): Promise<void> {
    const { store, writer, clock, log } = this.#parts
    this.#state = 'stopping'
    for (const cancel of this.#timers) cancel()
    const ended = await settled(clock, runnerStopMs, this.#runner.stop(runnerStopMs))
    if (ended !== 'settled') {
      log.warn({ withinMs: runnerStopMs }, 'what was open did not end in time: it is rolled back')
      await settled(clock, clientStopMs, this.#client.stop(clientStopMs))
    }
    if (failure === undefined) await this.#tellOfRollback()
    await writer?.close()
    // Work that the store still waits for was given up above; its transaction is rolled back with its connection.
    if ((await settled(clock, storeStopMs, store.close())) !== 'settled')
      log.warn({}, 'the database connections did not close in time')
    this.#state = 'stopped'
    this.#journal.stopped(this.#statistics.totals())
    for (const waiter of this.#waiters) waiter.reject(failure === undefined ? stoppedFirst() : failure.error)
    this.#waiters.clear()
    if (failure === undefined) this.#end.resolve()
    else this.#end.reject(failure.error)
  }

  #fail(error: unknown): void {
    if (this.#state !== 'running') return
    this.#parts.log.error({ error: messageOf(error) }, 'the service stops')
    this.#stopped = this.#stop({ error })
  }

  async #tellOfRollback(): Promise<void> {
    try {
      await this.#runner.when(() => true)
    } catch (error) {
      this.#parts.log.warn(
        { error: messageOf(error) },
        'the last batch was rolled back: it is done again after the next start',
      )
    }
  }

  /** Calls back again and again until the service stops. */
  #every(ms: number, work: () => void | Promise<void>): void {
    const schedule = () => {
      const cancel = this.#parts.clock.schedule(ms, async () => {
        this.#timers.delete(cancel)
        await work()
        if (this.#state === 'running') schedule()
      })
      this.#timers.add(cancel)
    }
    schedule()
  }

  #committed(report: CommitReport): void {
    this.#statistics.add(report)
    this.#journal.commit(report)
    this.#partitions.noteCommit(report)
    this.#lookAtWaiters()
  }

  #ended(batch: Batch, end: BatchEnd, task: Pick<Task, 'partition'>): void {
    this.#journal.falls(batch)
    this.#statistics.addCollected(batch)
    if (end.broke === undefined) return
    const { topic, offset, reason } = end.broke
    const of = { topic, partition: task.partition }
    this.#parked.set(nameOf(of), { ...of, offset, reason })
  }

  async #look(): Promise<void> {
    try {
      await this.#runner.when(() => true)
    } catch (error) {
      this.#fail(error)
      return
    }
    this.#lookAtWaiters()
  }

  #lookAtWaiters(): void {
    for (const waiter of this.#waiters) {
      const state = waiter.catchUp.look()
      if (state === 'waiting') continue
      this.#waiters.delete(waiter)
      if (state === 'caught up') waiter.resolve()
      else waiter.reject(brokenOff(this.#parkings()))
    }
  }

  #parkings(): Parking[] {
    const standings = this.#partitions.standings() ?? []
    return standings.flatMap(({ partition: { topic, partition }, task }) => {
      if (task?.state !== 'parked') return []
      return [
        this.#parked.get(nameOf({ topic, partition })) ?? {
          topic,
          partition,
          offset: task.committedTo(topic),
          reason: undefined,
        },
      ]
    })
  }

  async #watch(): Promise<void> {
    const stall = await this.#watchdog.look(this.#parts.clock.now())
    if (stall !== undefined) this.#fail(stall)
  }

  #lag(): number {
    const standings = this.#partitions.standings() ?? []
    return standings.reduce(
      (sum, { partition, task }) => sum + lagOf(task?.committedTo(partition.topic), this.#partitions.endOf(partition)),
      0,
    )
  }
}

/** Waits for work, not longer than `ms`. A rejection settles it as well: at a stop there is nothing more to be done about it. */
async function settled(clock: Clock, ms: number, work: Promise<unknown>): Promise<'settled' | 'late'> {
  const done = new AbortController()
  const late = sleep(clock, ms, done.signal).then(() => 'late' as const)
  const ended = work.then(
    () => 'settled' as const,
    () => 'settled' as const,
  )
  const first = await Promise.race([ended, late])
  done.abort()
  return first
}
