/** One step on one record: what it gives, what becomes of the item, what it would write. Nothing is committed. */
import { systemClock } from '../core/clock.ts'
import { messageOf, PlanError, propertyOf, SettingsError, textOf } from '../core/errors.ts'
import { silentLogger } from '../core/logger.ts'
import { defineOperator } from '../core/operator.ts'
import { nearest } from '../core/options.ts'
import type { OutcomeName } from '../core/outcome.ts'
import { nameSteps, type PlanLeaf, type PlanNode, stepsOf } from '../core/plan.ts'
import type { RecordChunk } from '../core/record.ts'
import { type PlainRecord, recordListChunk } from '../core/recordListChunk.ts'
import type { SourceClient, TopicPartition } from '../core/source.ts'
import type { Store } from '../core/store.ts'
import type { PostgresConnection } from '../postgres/connection.ts'
import type { Batch } from '../runtime/batch.ts'
import { ownerOf } from '../runtime/owner.ts'
import { Runner } from '../runtime/runner.ts'
import type { SlotValues } from '../runtime/sharedScopes.ts'
import { silentWriter } from '../runtime/standInWriters.ts'
import { leavesOf, type Plan } from '../stream.ts'
import type { KafkaConnection } from './settings.ts'
import { TrialStore, type TrialWrite } from './trialStore.ts'

export interface EvaluateOptions {
  /** The step to run: everything before it runs too, nothing behind it. */
  readonly step: string
  /** Where several streams of the plan have a step of that name. */
  readonly stream?: string | undefined
  /** The record as it is read from its topic. */
  readonly record: Partial<PlainRecord> & Pick<PlainRecord, 'value'>
  readonly partition?: number
  /** The database that `lookup()` asks. */
  readonly postgres?: PostgresConnection | undefined
}

export interface Evaluation {
  readonly stream: string
  readonly step: string
  /** What the step gave. */
  readonly output: readonly unknown[]
  readonly outcome: OutcomeName
  /** Why the item was ignored, or broken off. */
  readonly reason: string | undefined
  readonly error: { readonly name: string; readonly message: string; readonly stack: string | undefined } | undefined
  /** Rows that would be committed, and records that would be sent. */
  readonly writes: readonly TrialWrite[]
  /** What the scopes hold, by the names of their slots. */
  readonly scope: Readonly<Record<'item' | 'batch' | 'context', Readonly<Record<string, unknown>>>>
  /** Outcomes in the streams that the stream depends on, and in those that were triggered. */
  readonly streams: Readonly<Record<string, OutcomeName>>
}

/**
 * Runs one step of a plan on one record, with no broker, and a database only for what `lookup()` asks. Calls to the outside are made.
 *
 * @throws PlanError MR-EVAL-STEP when the plan has no such step, or several; SettingsError MR-EVAL-LOOKUP when a database is missing
 */
export async function evaluate(plan: Plan, options: EvaluateOptions): Promise<Evaluation> {
  const found = findStep(leavesOf(plan), options)
  const { source } = found
  const trial = new Trial(found)
  const record = { offset: 0, timestamp: Date.now(), key: null, headers: [], ...options.record }
  const database = await databaseOf(options.postgres)
  const store = new TrialStore((query, keys) => database.lookup(query, keys))
  const runner = new Runner({
    app: 'eval',
    leaves: trial.leaves,
    client: clientOf(source.source.name, options.partition ?? 0, record),
    store,
    writer: silentWriter,
    limits: { everyMs: 0, maxItems: 1, maxBytes: Number.MAX_SAFE_INTEGER },
    buffer: { maxBytes: Number.MAX_SAFE_INTEGER, maxItems: 10 },
    from: 'earliest',
    clock: systemClock,
    log: silentLogger,
    onBatch: (batch, { broke }) => trial.note(batch, broke?.reason),
  })
  try {
    await runner.start()
    await runner.when(() => trial.evaluation !== undefined)
  } finally {
    await runner.stop(1_000)
    await database.close()
  }
  return { ...(trial.evaluation as Omit<Evaluation, 'writes'>), writes: store.writes }
}

/** What lookups ask: it connects when it is first asked. */
async function databaseOf(postgres: PostgresConnection | undefined): Promise<Pick<Store, 'lookup' | 'close'>> {
  if (postgres !== undefined) {
    const { createPostgresStore } = await import('../postgres/postgresStore.ts')
    return createPostgresStore({ ...postgres, logger: silentLogger })
  }
  return {
    close: async () => {},
    async lookup() {
      throw new SettingsError('MR-EVAL-LOOKUP', {
        what: 'a lookup asks the database, and none was given',
        fix: 'Say where it is: --database postgres://user@host/db, or evaluate(plan, { postgres: { url } }).',
      })
    },
  }
}

/** Reads one record of a topic, outside of any group; undefined where the log does not have it. */
export async function readRecordAt(
  kafka: KafkaConnection,
  of: TopicPartition,
  offset: number,
): Promise<RecordChunk | undefined> {
  const { readRecord } = await import('../kafka/readRecord.ts')
  return readRecord(kafka, of, offset)
}

interface FoundStep {
  readonly leaf: PlanLeaf
  readonly node: PlanNode
  readonly name: string
  readonly source: PlanNode & { readonly kind: 'source' }
}

function findStep(leaves: readonly PlanLeaf[], { step, stream }: EvaluateOptions): FoundStep {
  const streams = [...new Set(leaves.map(({ name }) => name))].filter((name) => stream === undefined || name === stream)
  const steps = streams.flatMap((name) => {
    const nodes = stepsOf(leaves.filter((leaf) => leaf.name === name))
    const source = nodes[0] as FoundStep['source']
    return Array.from(
      nameSteps(nodes),
      ([node, called]): FoundStep => ({ leaf: { name, node }, node, name: called, source }),
    )
  })
  const [found, other] = steps.filter(({ name }) => name === step)
  if (found === undefined) {
    const names = [...new Set(steps.map(({ name }) => name))]
    const near = nearest(step, names)
    throw new PlanError('MR-EVAL-STEP', {
      what: `the plan has no step "${step}"${near === undefined ? '' : `; did you mean "${near}"?`}`,
      why: `Its steps are ${names.join(', ')}.`,
      place: { stream },
    })
  }
  if (other === undefined) return found
  throw new PlanError('MR-EVAL-STEP', {
    what: `several streams have a step "${step}": ${streams.join(', ')}`,
    fix: 'Say which: --stream NAME.',
  })
}

/** Watches one step. */
class Trial {
  readonly leaves: readonly PlanLeaf[]
  evaluation: Omit<Evaluation, 'writes'> | undefined
  readonly #found: FoundStep
  readonly #given: unknown[] = []

  constructor(found: FoundStep) {
    this.#found = found
    const { leaf, node } = found
    const operator = defineOperator<unknown, unknown>({
      kind: 'eval',
      attach: (next, step) => {
        // What a pass before a replay gave does not count.
        step.onFlush({ flush() {}, deadline: () => undefined, reset: () => this.#given.splice(0) })
        return (value, item) => {
          this.#given.push(value)
          next(value, item)
        }
      },
    })
    this.leaves = [{ name: leaf.name, node: { kind: 'operator', name: 'eval', inputs: [node], operator } }]
  }

  note(batch: Batch, broke: string | undefined): void {
    const { leaf, name } = this.#found
    const [own, ...others] = batch.streams.map(({ name: stream }, index) => ({ stream, index }))
    const fall = batch.falls.byOwner.get(ownerOf(0, 0))
    const thrown = fall !== undefined && 'error' in fall ? fall.error : undefined
    this.evaluation = {
      stream: leaf.name,
      step: name,
      output: [...this.#given],
      outcome: batch.limit.at === 0 ? 'broken' : batch.marks.outcomeOf(own?.index ?? 0),
      reason: fall?.kind === 'ignored' ? fall.reason : broke,
      error: thrown === undefined ? undefined : shownError(thrown),
      scope: {
        item: named(batch.scopes.get(0)),
        batch: named(batch.shared.batchOf(0)),
        context: named(batch.shared.context),
      },
      streams: Object.fromEntries(
        others.flatMap(({ stream, index }) => {
          const outcome = batch.marks.outcomeIn(index, 0)
          return outcome === undefined ? [] : [[stream, outcome]]
        }),
      ),
    }
  }
}

function named(values: SlotValues | undefined): Readonly<Record<string, unknown>> {
  return Object.fromEntries(Array.from(values ?? [], ([{ name }, value]) => [name, value]))
}

function shownError(thrown: unknown): Evaluation['error'] {
  const stack = thrown instanceof Error ? propertyOf(thrown, 'stack') : undefined
  return {
    name: thrown instanceof Error ? textOf(propertyOf(thrown, 'name')) : typeof thrown,
    message: messageOf(thrown),
    stack: typeof stack === 'string' ? stack : undefined,
  }
}

/** A source of one record. */
function clientOf(topic: string, partition: number, record: PlainRecord): SourceClient {
  const { offset } = record
  const position = { nextOffset: offset + 1, endOffset: offset + 1 }
  const chunk = recordListChunk({ topic, partition, records: [record], ...position })
  const { signal: revoked } = new AbortController()
  return {
    async start(_topics, onAssigned) {
      onAssigned({
        partitions: [
          {
            topic,
            partition,
            revoked,
            bounds: async () => ({ start: offset, end: offset + 1 }),
            offsetAt: async () => offset,
            recordAt: async () => undefined,
            async *read() {
              yield chunk
            },
            hint() {},
          },
        ],
      })
    },
    stop: async () => {},
    committedOffset: async () => undefined,
  }
}
