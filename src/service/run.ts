/** Runs plans whose inputs end, through the same engine as a service: one stream after the other, each as one task. */
import { randomUUID } from 'node:crypto'
import { BoundedPartition, boundedClient, type Pages, readerOf } from '../bounded/index.ts'
import { type Clock, sleep, systemClock } from '../core/clock.ts'
import { byStream } from '../core/describe.ts'
import type { TopicWriter } from '../core/emit.ts'
import { HaltedError, messageOf, SettingsError } from '../core/errors.ts'
import { type PlanLeaf, requireBounded, stepsOf } from '../core/plan.ts'
import type { BoundedSource } from '../core/source.ts'
import type { Store } from '../core/store.ts'
import { Cursor } from '../runtime/cursor.ts'
import { maxBatchItems } from '../runtime/owner.ts'
import { Runner } from '../runtime/runner.ts'
import { forgottenSinks, leavesOf, type Plan } from '../stream.ts'
import { LoopWatch } from './loopWatch.ts'
import { RunReport, RunTally, type StreamReport } from './runReport.ts'
import {
  type ResolvedRunSettings,
  type RunSettings,
  resolveRunSettings,
  resolveRunSurroundings,
} from './runSettings.ts'
import type { KafkaConnection } from './settings.ts'

export type { CollectedNote, RunReport, StreamReport, StreamStop } from './runReport.ts'
export type { RunSettings } from './runSettings.ts'

/** What a run stands on. */
export interface RunParts {
  readonly store: Store
  /** Where emits are sent. Undefined where no Kafka was named. */
  readonly writer?: TopicWriter | undefined
  /** Opens a query on the database that the run writes to. */
  openQuery(sql: string, params: readonly unknown[]): Pages
  readonly clock: Clock
  /** Shows which step runs. */
  readonly cursor: Cursor
}

/** Items that an input hands over at once at most. */
const maxChunkItems = 1_000
/** Batches that are held at most: the next one is read while one commits. */
const readsAhead = 2
/** As long as what is under way may take to end when a run is given up. */
const stopMs = 6_000

/**
 * Runs a plan whose inputs all end, and resolves when they are used up.
 *
 * @example
 * const squares = stream('squares').from([1, 2, 3]).to(table<{ n: number }>('squares'), (n) => ({ n: n * n }))
 * const report = await run(squares, { postgres: { url } })
 * console.log(String(report))
 *
 * Streams run one after the other, in the order of the plan. All of a stream commits in one transaction, unless `commit.maxItems` says
 * otherwise: then so many items at a time. With a `name` progress is kept, and the same run goes on where it stopped.
 * A `signal.break()`, and an error budget that is used up, end the stream: what came before commits, and the report tells
 * of the items behind it as `unprocessed`.
 *
 * *Rejects* with nothing of the open transaction committed: when an input fails, with its position; after the retries of a
 * `signal.error()`; when the database is away for longer than the retries; with the reason of `signal`.
 *
 * @throws PlanError MR-PLAN-ENDLESS for a plan with a topic; SettingsError, MR-RUN-SIZE when an input is larger than one transaction
 *   takes; SourceError, StoreError, UnavailableError
 */
export async function run(plan: Plan, settings: RunSettings): Promise<RunReport> {
  const leaves = leavesOf(plan)
  requireBounded('run()', leaves)
  const resolved = resolveRunSettings(settings)
  const { postgres, kafka, blockedAfterMs } = resolveRunSurroundings(settings)
  const { logger } = resolved
  const forgotten = forgottenSinks()
  if (forgotten.length > 0) {
    logger.warn(
      { steps: forgotten },
      'these steps write to a table but are in no plan that was started: their streams do not run',
    )
  }
  const { createPostgresStore } = await import('../postgres/postgresStore.ts')
  const { openQuery } = await import('../postgres/queryPages.ts')
  const store = createPostgresStore({ ...postgres, logger })
  const writer = await writerOf(kafka, resolved)
  const loopWatch = new LoopWatch({ blockedAfterMs }, logger)
  loopWatch.start()
  try {
    return await runLeaves(leaves, resolved, {
      store,
      writer,
      openQuery: (sql, params) => openQuery({ ...postgres, logger }, sql, params),
      clock: systemClock,
      cursor: loopWatch.cursor,
    })
  } finally {
    loopWatch.stop()
    await writer?.close()
    await store.close()
  }
}

async function writerOf(
  kafka: KafkaConnection | undefined,
  { name, logger }: ResolvedRunSettings,
): Promise<TopicWriter | undefined> {
  if (kafka === undefined) return undefined
  const { createTopicWriter } = await import('../kafka/topicWriter.ts')
  return createTopicWriter({ ...kafka, groupId: name ?? 'run' }, { logger })
}

/** Whether all inputs of a plan end, so that it is one for `run`. */
export function isBounded(plan: Plan): boolean {
  return stepsOf(leavesOf(plan)).every((step) => step.kind !== 'source' || step.source.kind === 'bounded')
}

/** {@link run} over another store: for tests of what needs no database. */
export async function runOver(
  plan: Plan,
  settings: Omit<RunSettings, 'postgres' | 'kafka'>,
  { store, writer, clock = systemClock, openQuery = noQuery }: Pick<RunParts, 'store'> & Partial<RunParts>,
): Promise<RunReport> {
  const leaves = leavesOf(plan)
  return runLeaves(leaves, resolveRunSettings(settings), { store, writer, clock, openQuery, cursor: new Cursor() })
}

function noQuery(): never {
  throw new SettingsError('MR-TEST-QUERY', { what: 'there is no database to ask' })
}

async function runLeaves(
  leaves: readonly PlanLeaf[],
  settings: ResolvedRunSettings,
  parts: RunParts,
): Promise<RunReport> {
  const sources = requireBounded('run()', leaves)
  const { name, signal, logger } = settings
  const { store, clock } = parts
  signal?.throwIfAborted()
  const group = name ?? `run:${randomUUID()}`
  const startedAt = clock.now()
  const done: { readonly tally: RunTally; readonly reports: readonly StreamReport[] }[] = []
  try {
    for (const [stream, own] of byStream(leaves)) {
      const source = sources.get(stream) as BoundedSource<unknown>
      done.push(await new StreamRun({ group, stream, leaves: own, source }, settings, parts).run())
    }
  } catch (error) {
    const committed = done.map(({ reports }) => reports[0]?.stream)
    if (committed.length > 0)
      logger.warn({ streams: committed }, 'the run fails; these streams of it were committed before')
    throw error
  } finally {
    if (name === undefined) await forget(store, group, settings)
  }
  const sum = (count: (tally: RunTally) => number) => done.reduce((total, { tally }) => total + count(tally), 0)
  return new RunReport({
    name,
    group,
    commits: sum((tally) => tally.commits),
    replayed: sum((tally) => tally.replayed),
    tookMs: clock.now() - startedAt,
    streams: done.flatMap(({ reports }) => reports),
  })
}

/** A run without a name leaves no progress. That it could not be removed is no reason for it to fail. */
async function forget(store: Store, group: string, { logger }: ResolvedRunSettings): Promise<void> {
  try {
    await store.removeProgress(group)
  } catch (error) {
    logger.warn({ group, error: messageOf(error) }, 'progress of a run that is over could not be removed')
  }
}

interface StreamRunParts {
  readonly group: string
  readonly stream: string
  readonly leaves: readonly PlanLeaf[]
  readonly source: BoundedSource<unknown>
}

/** One stream of a run, from its claim to its end. */
class StreamRun {
  readonly #own: StreamRunParts
  readonly #settings: ResolvedRunSettings
  readonly #parts: RunParts
  readonly #tally: RunTally
  readonly #partition: BoundedPartition
  readonly #runner: Runner

  constructor(own: StreamRunParts, settings: ResolvedRunSettings, parts: RunParts) {
    this.#own = own
    this.#settings = settings
    this.#parts = parts
    const { group, stream, leaves, source } = own
    const { maxItems, maxBytes, stateKeys, logger } = settings
    const { store, writer, clock, cursor } = parts
    this.#tally = new RunTally(stream, source.name)
    this.#partition = new BoundedPartition({
      topic: source.name,
      reader: readerOf(source, parts),
      chunkItems: Math.min(maxChunkItems, maxItems ?? maxChunkItems),
      clock,
    })
    const isWhole = maxItems === undefined
    this.#runner = new Runner({
      app: group,
      leaves,
      client: boundedClient(this.#partition),
      store,
      writer,
      limits: { everyMs: Number.POSITIVE_INFINITY, maxItems: maxItems ?? Number.POSITIVE_INFINITY, maxBytes },
      // A batch has to fit, or it would wait for ever for the rest of it: when this is full, it is complete or too large.
      buffer: isWhole
        ? { maxItems: maxBatchItems, maxBytes }
        : { maxItems: maxItems * readsAhead, maxBytes: maxBytes * readsAhead },
      stateKeys,
      from: 'earliest',
      isWhole,
      clock,
      log: logger,
      cursor,
      onBatch: (batch, end) => this.#tally.ended(batch, end),
      onCommit: (report) => this.#tally.committed(report),
    })
  }

  async run(): Promise<{ readonly tally: RunTally; readonly reports: readonly StreamReport[] }> {
    const { signal } = this.#settings
    const before = await this.#before()
    const giveUp = () => this.#partition.revoke()
    signal?.addEventListener('abort', giveUp, { once: true })
    if (signal?.aborted) giveUp()
    try {
      await this.#toTheEnd()
      // Whoever aborts too late learns what was done.
      if (!this.#tally.hasEnded) signal?.throwIfAborted()
      // The lines behind a break can be counted; who knows what the others cost.
      if (this.#tally.stopped !== undefined && this.#own.source.input.kind === 'lines')
        await this.#partition.countRest()
      return { tally: this.#tally, reports: this.#tally.reports(before, this.#partition.known) }
    } finally {
      signal?.removeEventListener('abort', giveUp)
      await this.#stop()
    }
  }

  async #toTheEnd(): Promise<void> {
    const runner = this.#runner
    try {
      await runner.start()
      await runner.when(() => runner.assigned && runner.tasks.length === 0)
    } catch (error) {
      // Of what has committed by then there is more to tell than that it was halted.
      if (!(error instanceof HaltedError && this.#tally.stopped?.kind === 'halted')) throw error
    }
  }

  /** Items that earlier runs of the name have dealt with. @throws SettingsError when the name is taken by something else */
  async #before(): Promise<number> {
    const { store } = this.#parts
    const { group, stream, source } = this.#own
    if (this.#settings.name === undefined) return 0
    await store.open([])
    const known = (await store.readProgress(group)).filter((row) => row.stream === stream)
    const other = known.find((row) => row.source !== `from:${source.name}`)
    if (other !== undefined) {
      throw new SettingsError('MR-RUN-NAME', {
        what: `"${group}" has progress of stream "${stream}" for another input: ${other.source}, and this one is from:${source.name}`,
        why: 'It is the name of a consumer group, or of a run whose input was called otherwise.',
        fix: `Choose another name, or call the input the same: from(…, { name: … }). "millrace progress show --group ${group}" shows what there is.`,
        place: { stream },
      })
    }
    return known[0]?.nextOffset ?? 0
  }

  async #stop(): Promise<void> {
    const { clock } = this.#parts
    this.#partition.revoke()
    const ended = new AbortController()
    await Promise.race([this.#runner.stop(stopMs), sleep(clock, stopMs, ended.signal)])
    ended.abort()
    await this.#partition.close()
  }
}
