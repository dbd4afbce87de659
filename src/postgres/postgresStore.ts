import type { Outbox } from '../core/emit.ts'
import { InternalError } from '../core/errors.ts'
import type { Key } from '../core/key.ts'
import type { LookupQuery } from '../core/lookup.ts'
import type { RowBuffer, Sink } from '../core/sink.ts'
import type {
  Claim,
  CommitRequest,
  HeldItems,
  SourceProgress,
  StartedPlan,
  Store,
  TaskId,
  WaitingItem,
} from '../core/store.ts'
import { textArray } from './arrayLiteral.ts'
import { deleteSettled, notePlans } from './collectorUpkeep.ts'
import { commitBatch } from './commit.ts'
import { Connections, type Link } from './connections.ts'
import { CopyBuffer } from './copyBuffer.ts'
import { trailFor } from './keyTrail.ts'
import { readLookup } from './lookup.ts'
import { migrate } from './migrate.ts'
import { PostgresOutbox } from './outbox.ts'
import { checkSurroundings } from './preconditions.ts'
import { claimTask, readProgress } from './progress.ts'
import { type PostgresSettings, postgresTarget } from './settings.ts'
import { shadowOf } from './shadow/shadowTables.ts'
import { type BoundSink, bindSink, unknownColumns } from './sinkChecks.ts'
import { PostgresState } from './state.ts'
import type { TableBuffer } from './tableBuffer.ts'
import { TrackedTasks } from './tracking.ts'
import { UpsertBuffer } from './upsertBuffer.ts'
import { readHeld, readWaitingItems, readWaitingTasks } from './waitingItems.ts'

/**
 * A store in Postgres. Connects when it is opened; close it.
 *
 * @throws SettingsError when a setting is out of range
 */
export function createPostgresStore(settings: PostgresSettings): Store {
  return new PostgresStore(new Connections(postgresTarget(settings)))
}

/** The same over tables that a reparse makes anew: each that is written, in the place of the one that the plan names. */
export function createShadowStore(settings: PostgresSettings, reparse: number): Store {
  return new PostgresStore(new Connections(postgresTarget(settings)), (link, name) => shadowOf(link, reparse, name))
}

/** Which table is written where a plan names another one. */
type TableFor = (link: Link, name: string) => Promise<string>

/** The store over given connections; {@link createPostgresStore} makes them. */
export class PostgresStore implements Store {
  readonly state: PostgresState
  readonly outbox: Outbox
  readonly #connections: Connections
  readonly #bound = new Map<Sink<never>, BoundSink>()
  #tracked = new TrackedTasks()
  readonly #tableFor: TableFor

  constructor(connections: Connections, tableFor: TableFor = async (_link, name) => name) {
    this.#connections = connections
    this.#tableFor = tableFor
    this.state = new PostgresState(connections)
    this.outbox = new PostgresOutbox(connections)
  }

  async open(sinks: readonly Sink<never>[]): Promise<void> {
    const { target } = this.#connections
    await this.#connections.use('opening the store', async (link) => {
      await checkSurroundings(link, target)
      await migrate(link, target)
      for (const sink of sinks) this.#bound.set(sink, await this.#bind(link, sink))
    })
  }

  createBuffers(sinks: readonly Sink<never>[]): RowBuffer[] {
    const tables = sinks.map((sink) => this.#boundOf(sink).table)
    return sinks.map((sink) => {
      const bound = this.#boundOf(sink)
      const trail = trailFor(bound, tables)
      return sink.key.length === 0 ? new CopyBuffer(bound, trail) : new UpsertBuffer(bound, trail)
    })
  }

  async readProgress(app: string): ReturnType<Store['readProgress']> {
    return this.#connections.use('reading progress', (link) => readProgress(link, app))
  }

  async removeProgress(app: string): Promise<void> {
    await this.#connections.use('forgetting progress', (link) =>
      // Of tasks of which something could not be sent, the numbers stay.
      link.query(
        `with emitters as (
           delete from millrace.emitters e
           where e.app = $1 and not exists (select from millrace.outbox o where o.emitter = e.id)
         ) delete from millrace.progress where app = $1`,
        [app],
      ),
    )
  }

  async holdRows(sinks: readonly Sink<never>[]): Promise<readonly string[]> {
    return this.#connections.use('looking for rows', async (link) => {
      const holding: string[] = []
      for (const sink of sinks) {
        const { rows } = await link.query<{ some: boolean }>(
          `select exists (select from ${this.#boundOf(sink).table.quoted}) as some`,
        )
        if (rows[0]?.some === true) holding.push(sink.name)
      }
      return holding
    })
  }

  async claim(task: TaskId, starts: readonly SourceProgress[]): Promise<Claim> {
    const doing = `claiming partition ${task.partition} of stream "${task.stream}"`
    return this.#connections.use(doing, async (link) => {
      const claim = await claimTask(link, task, starts)
      await this.#trackAgain(link)
      return claim
    })
  }

  async commit(request: CommitRequest): Promise<void> {
    return commitBatch(this.#connections, (link, buffers) => this.#readCatalogAgain(link, buffers), request, {
      tracked: this.#tracked,
      state: this.state,
    })
  }

  async waitingTasks(app: string): ReturnType<Store['waitingTasks']> {
    return this.#connections.use('looking for items that wait', (link) => readWaitingTasks(link, app))
  }

  async takeWaiting({ task }: Claim, limit: number): Promise<readonly WaitingItem[]> {
    const doing = `reading items that wait for stream "${task.stream}", partition ${task.partition}`
    return this.#connections.use(doing, (link) => readWaitingItems(link, task, limit))
  }

  async held(task: TaskId): Promise<HeldItems> {
    return this.#connections.use('reading keys that are held up', (link) => readHeld(link, task))
  }

  async recordPlans(app: string, plans: readonly StartedPlan[]): Promise<void> {
    await this.#connections.use('noting what is started', (link) => notePlans(link, app, plans))
  }

  async pruneErrors(app: string, olderThanMs: number, limit: number): Promise<number> {
    return this.#connections.use('deleting settled items', (link) => deleteSettled(link, app, olderThanMs, limit))
  }

  async lookup(query: LookupQuery<object>, keys: readonly Key[]): Promise<readonly object[]> {
    return this.#connections.use('looking up rows', (link) => readLookup(link, query, keys))
  }

  async close(): Promise<void> {
    await this.#connections.close()
  }

  async #bind(link: Link, sink: Sink<never>): Promise<BoundSink> {
    const name = await this.#tableFor(link, sink.name)
    return { ...(await bindSink(link, { ...sink, name })), sink, name: sink.name }
  }

  // Tables that were swapped have other numbers, and so have the tasks of their rows. The numbers change in place: buffers hold them.
  async #trackAgain(link: Link): Promise<void> {
    const tracked = [...this.#bound.values()].flatMap((bound) => (bound.tracked === undefined ? [] : [bound]))
    if (tracked.length === 0) return
    this.#tracked = new TrackedTasks()
    // It waits for a swap that is under way.
    const { rows } = await link.query<{ id: number }>(
      'select id from millrace.tracked_tables where name = any($1::text[]) for share',
      [textArray(tracked.map(({ table }) => table.quoted))],
    )
    const ids = new Set(rows.map(({ id }) => id))
    for (const { sink, tracked: known } of tracked) {
      if (known !== undefined && !ids.has(known.id)) known.id = (await this.#bind(link, sink)).tracked?.id ?? known.id
    }
  }

  // Lines that were made for a column which is gone cannot be written any other way; the error then names it.
  async #readCatalogAgain(link: Link, buffers: readonly TableBuffer[]): Promise<void> {
    for (const { bound, columnNames } of buffers) {
      const now = await this.#bind(link, bound.sink)
      this.#bound.set(bound.sink, now)
      const gone = columnNames.filter((name) => !now.table.columns.has(name))
      if (gone.length > 0) throw unknownColumns(now, gone, columnNames)
    }
  }

  #boundOf(sink: Sink<never>): BoundSink {
    const bound = this.#bound.get(sink)
    if (bound !== undefined) return bound
    throw new InternalError('MR-INTERNAL-SINK', {
      what: `table "${sink.name}" is written, but the store was not opened for it`,
      fix: 'This is a defect in millrace: please report it.',
    })
  }
}
