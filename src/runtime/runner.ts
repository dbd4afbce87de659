/**
 * Runs a plan as one member of its group: turns assignments into tasks, and keeps what tasks of one partition did
 * before apart from what those of the next assignment do.
 *
 * A partition's next task begins after its last one in this process has ended; that another process may still
 * be at work on it is what the fence in the store is for.
 */
import { type Clock, sleep } from '../core/clock.ts'
import type { TopicWriter } from '../core/emit.ts'
import { FenceLostError, FenceReleasedError, MillraceError, messageOf, SettingsError } from '../core/errors.ts'
import type { Logger } from '../core/logger.ts'
import type { PlanLeaf } from '../core/plan.ts'
import type { AssignedPartition, Assignment, Source, SourceClient } from '../core/source.ts'
import type { SourceProgress, Store } from '../core/store.ts'
import type { Batch } from './batch.ts'
import { Budget } from './budget.ts'
import type { BatchEnd } from './closeBatch.ts'
import type { CommitReport } from './commitReport.ts'
import { Cursor } from './cursor.ts'
import type { CommitLimits } from './filling.ts'
import { lookUpFor } from './lookupSteps.ts'
import { noWriter } from './standInWriters.ts'
import { StateCache } from './stateCache.ts'
import { partitionsOf, planStreams, type StreamPlan } from './streamPlan.ts'
import { Task } from './task.ts'

/** As long as a session by default: a process that has a partition from an older assignment knows by then that it was taken away. */
const claimAgainMs = 30_000

/** Where a stream begins that has no progress. */
export type StartFrom = 'earliest' | 'latest' | Date

export interface RunnerSettings {
  /** The application's name: the consumer group. */
  readonly app: string
  readonly leaves: readonly PlanLeaf[]
  readonly client: SourceClient
  readonly store: Store
  /** Where emits are sent. Default: nowhere, and a plan that writes to topics is refused. */
  readonly writer?: TopicWriter | undefined
  readonly limits: CommitLimits
  /** What all tasks together may hold in records. */
  readonly buffer: { readonly maxBytes: number; readonly maxItems: number }
  /** Undefined: the beginning, unless there is something that says that this is no first start. */
  readonly from: StartFrom | undefined
  readonly clock: Clock
  readonly log: Logger
  /**
   * How often the error collector is looked at for items that have to be run: those that somebody asks for, and those that
   * another process has put off. Without it nobody looks, but for what a task itself has put off.
   */
  readonly lookForWaitingMs?: number
  /** Default: Math.random. */
  readonly random?: () => number
  /** Shows whoever watches which step runs. Default: shown to nobody. */
  readonly cursor?: Cursor
  /** Keys whose state stays in memory, of all steps and tasks together. Default: 100,000. */
  readonly stateKeys?: number | undefined
  /** How a source is read, where it is not as the plan says: test drivers freeze what was decoded. */
  readonly readAs?: (source: Source<unknown>) => Source<unknown>
  /** Whether all that a source has commits in one transaction. Only for sources that end. Default: false. */
  readonly isWhole?: boolean
  readonly onCommit?: (report: CommitReport) => void
  readonly onBatch?: (batch: Batch, end: BatchEnd, task: Pick<Task, 'stream' | 'partition'>) => void
}

/** Keys whose state stays in memory, where nothing else is said. */
export const usualStateKeys = 100_000

type KnownProgress = SourceProgress & { readonly stream: string; readonly partition: number }

export class Runner {
  readonly #settings: RunnerSettings
  readonly #streams: readonly StreamPlan[]
  readonly #writer: TopicWriter
  readonly #budget: Budget
  readonly #cursor: Cursor
  readonly #stateCache: StateCache
  readonly #running = new Map<Task, Promise<void>>()
  #assignments: Promise<void> = Promise.resolve()
  #assigned = 0
  readonly #ended = new AbortController()
  #stopping = false
  #failure: { readonly error: unknown } | undefined
  #listeners: (() => void)[] = []

  constructor(settings: RunnerSettings) {
    this.#settings = settings
    this.#streams = planStreams(settings.leaves)
    this.#writer = settings.writer ?? noWriter
    this.#cursor = settings.cursor ?? new Cursor()
    this.#stateCache = new StateCache(settings.stateKeys ?? usualStateKeys)
    this.#budget = new Budget(settings.buffer.maxBytes, settings.buffer.maxItems)
  }

  /** Checks the sinks, then joins the group. Nothing is read before every check has passed. */
  async start(): Promise<void> {
    const { store, client, app, from } = this.#settings
    const sinks = [...new Set(this.#streams.flatMap((stream) => stream.sinks))]
    await store.open(sinks)
    await this.#openTopics()
    for (const { place, query } of this.#streams.flatMap(({ lookups }) => lookups)) {
      await lookUpFor(place, () => store.lookup(query, []))
    }
    if (from === undefined) {
      // Rows first: they become visible together with the progress of whoever wrote them.
      const full = await store.holdRows(sinks)
      if (full.length > 0 && (await store.readProgress(app)).length === 0)
        throw unclearStart(app, `table ${full.join(', ')} holds rows`)
    }
    await store.state.open(
      app,
      this.#streams.flatMap(({ states }) => states),
    )
    await store.recordPlans(
      app,
      this.#streams.map(({ started }) => started),
    )
    const topics = this.#streams.flatMap(({ sources }) => sources.map(({ source }) => source.name))
    await client.start(
      topics,
      (assignment) => {
        this.#assignments = this.#assignments.then(() => this.#take(assignment))
      },
      (error) => this.#fail(error),
    )
    void this.#lookForWaiting()
  }

  /** Looks at the topics that steps write to. */
  async #openTopics(): Promise<void> {
    for (const { name, written } of this.#streams) {
      for (const [step, topic] of written) {
        try {
          await this.#writer.open(topic)
        } catch (error) {
          throw error instanceof MillraceError ? error.locate({ stream: name, step }) : error
        }
      }
    }
  }

  /** Looks for items in the collector that tasks of this process have to run, until the runner stops. */
  async #lookForWaiting(): Promise<void> {
    const { clock, store, app, log, lookForWaitingMs } = this.#settings
    while (lookForWaitingMs !== undefined && !this.#stopping && this.#failure === undefined) {
      await sleep(clock, lookForWaitingMs, this.#ended.signal)
      if (this.#stopping || this.#running.size === 0) continue
      try {
        for (const { stream, partition } of await store.waitingTasks(app)) {
          for (const task of this.#running.keys()) if (task.isOf(stream, partition)) task.lookForWaiting()
        }
      } catch (error) {
        log.debug({ error: messageOf(error) }, 'the error collector could not be looked at')
      }
    }
  }

  /** Tasks of the present assignment. */
  get tasks(): readonly Task[] {
    return [...this.#running.keys()]
  }

  /** Whether a group join has been worked off. */
  get assigned(): boolean {
    return this.#assigned > 0
  }

  /** Resolves when the condition holds. Rejects when the runner has failed. */
  async when(condition: () => boolean): Promise<void> {
    for (;;) {
      if (this.#failure !== undefined) throw this.#failure.error
      if (condition()) return
      await new Promise<void>((resolve) => this.#listeners.push(resolve))
    }
  }

  /** Rejects when the runner fails; never resolves before `stop`. */
  failed(): Promise<void> {
    return this.when(() => this.#stopping)
  }

  /** Finishes the open batches, or gives them up at the deadline, and leaves the group. */
  async stop(deadlineMs: number): Promise<void> {
    if (this.#stopping) return
    this.#stopping = true
    this.#ended.abort()
    const { clock, client } = this.#settings
    for (const task of this.#running.keys()) task.drain()
    const ended = Promise.allSettled(this.#running.values())
    const cancel = clock.schedule(deadlineMs / 2, () => {
      for (const task of this.#running.keys()) task.abandon()
    })
    await ended
    cancel()
    await client.stop(deadlineMs / 2)
    this.#changed()
  }

  #changed(): void {
    const listeners = this.#listeners
    this.#listeners = []
    for (const listener of listeners) listener()
  }

  #fail(error: unknown): void {
    this.#failure ??= { error }
    this.#ended.abort()
    this.#changed()
  }

  async #take(assignment: Assignment): Promise<void> {
    await Promise.allSettled(this.#running.values())
    if (this.#stopping || this.#failure !== undefined) return
    try {
      const known = await this.#settings.store.readProgress(this.#settings.app)
      for (const stream of this.#streams) {
        for (const partitions of partitionsOf(stream, assignment)) this.#run(stream, partitions, known)
      }
    } catch (error) {
      this.#fail(error)
    }
    this.#assigned++
    this.#changed()
  }

  /** @param known progress that there was when the partitions were assigned */
  #run(stream: StreamPlan, partitions: readonly AssignedPartition[], known: readonly KnownProgress[]): void {
    const { app, store, limits, clock, log, readAs, onCommit, onBatch } = this.#settings
    const cursor = this.#cursor
    const { partition = 0 } = partitions[0] ?? {}
    const isRevoked = () => partitions.some(({ revoked }) => revoked.aborted)
    const task = new Task({
      plan: stream.plan,
      sinks: stream.sinks,
      info: {
        app,
        stream: stream.name,
        partition,
        inputs: stream.sources.map(({ name, source, time }, index) => ({
          index,
          source: readAs?.(source) ?? source,
          step: name,
          isTimed: time?.of !== undefined,
        })),
        policy: stream.policy,
        isWhole: this.#settings.isWhole ?? false,
        planHash: stream.hash,
        random: this.#settings.random ?? Math.random,
        stateCache: this.#stateCache,
        lookUp: (query, keys) => store.lookup(query, keys),
        clock,
        log,
        cursor,
      },
      store,
      writer: this.#writer,
      partitions,
      budget: this.#budget,
      limits,
      start: (of) => this.#startOf(stream, of, known),
      onCommit: (report) => onCommit?.(report),
      onChange: () => this.#changed(),
      onBatch:
        onBatch === undefined ? undefined : (batch, end) => onBatch(batch, end, { stream: stream.name, partition }),
    })
    const ended = task.run().then(
      () => undefined,
      (error: unknown) => {
        // An input that ends cannot be read again by whoever lost it.
        if (error instanceof FenceLostError && !partitions[0]?.ends) {
          const isFree = error instanceof FenceReleasedError
          log.warn(
            { stream: stream.name, partition, error: error.message },
            isFree ? 'the partition is claimed again' : 'another owner has the partition',
          )
          void this.#claimAgain(stream, partitions, isFree ? 0 : claimAgainMs)
        } else if (!isRevoked()) this.#fail(error)
      },
    )
    this.#running.set(task, ended)
    void ended.then(() => {
      this.#running.delete(task)
      this.#changed()
    })
    this.#changed()
  }

  /**
   * The group says that the partition is ours. Whoever took it over had it from an older assignment and may be dead since, or set
   * progress by hand: without another group join nobody would go on. To claim at once would be to fight with the other, where
   * there is one.
   */
  async #claimAgain(stream: StreamPlan, partitions: readonly AssignedPartition[], afterMs: number): Promise<void> {
    await sleep(this.#settings.clock, afterMs, partitions[0]?.revoked)
    const isRevoked = partitions.some(({ revoked }) => revoked.aborted)
    if (isRevoked || this.#stopping || this.#failure !== undefined) return
    // Where it goes on, the claim finds out; that it has been somewhere is known.
    const { partition = 0 } = partitions[0] ?? {}
    const known = stream.sources.map(({ name }) => {
      return { stream: stream.name, partition, source: name, nextOffset: 0, fingerprint: null }
    })
    this.#run(stream, partitions, known)
  }

  /** Where a partition begins: anywhere, when it has progress. */
  async #startOf(
    stream: StreamPlan,
    partition: AssignedPartition,
    progress: readonly KnownProgress[],
  ): Promise<number> {
    const step = stream.sources.find(({ source }) => source.name === partition.topic)?.name
    const siblings = progress.filter((row) => row.stream === stream.name && row.source === step)
    if (siblings.some((row) => row.partition === partition.partition)) return 0
    const first = siblings.length === 0
    const { from, client, store, app } = this.#settings
    if (first && from === undefined) {
      const hint = await client.committedOffset(partition)
      const known = hint === undefined ? [] : await store.readProgress(app)
      if (hint !== undefined && !known.some((row) => row.stream === stream.name)) {
        throw unclearStart(app, `the group has an offset committed for ${partition.topic}[${partition.partition}]`)
      }
    }
    // A time says the same at every start: also where another member, or a run before, has claimed other partitions.
    if (from instanceof Date) return partition.offsetAt(from.getTime())
    const { start, end } = await partition.bounds()
    // A partition that was added to a topic that is being read: its first records are new, and not to be left out.
    return first && from === 'latest' ? end : start
  }
}

function unclearStart(app: string, found: string): SettingsError {
  return new SettingsError('MR-START-FROM', {
    what: `group "${app}" has no progress, but ${found}`,
    why: 'Reading from the beginning could write everything twice; reading from the end could leave records out.',
    fix: 'Say where to begin: --from earliest, --from latest or --from <time>; or set the position with "millrace progress set".',
  })
}
