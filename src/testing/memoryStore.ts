/**
 * A store in memory with the guarantees of the real one: fenced, atomic, and exact about who is guilty. It keeps rows as
 * objects. It does not imitate Postgres: types, casts and constraints are Postgres's own business, but for what `refuses` says.
 */
import { FenceLostError, SettingsError, StoreError } from '../core/errors.ts'
import type { Key } from '../core/key.ts'
import type { LookupQuery } from '../core/lookup.ts'
import { requireRow } from '../core/row.ts'
import type { RowBuffer, Sink } from '../core/sink.ts'
import {
  type Claim,
  type CollectedItem,
  type CommitRequest,
  type Halt,
  RowsRefused,
  type SourceProgress,
  type StartedPlan,
  type Store,
  type TaskId,
} from '../core/store.ts'
import { MemoryCollector } from './_memoryCollector.ts'
import { MemoryOutbox } from './_memoryOutbox.ts'
import { MemoryState } from './_memoryState.ts'

export type Row = Readonly<Record<string, unknown>>

/** A query and the rows that it finds. */
export type LookupRows = readonly [
  query: LookupQuery<object>,
  rows: readonly object[] | ((keys: readonly Key[]) => readonly object[]),
]

export interface MemoryStoreOptions {
  /** The SQLSTATE with which a table would refuse a row; undefined when it takes it. */
  readonly refuses?: (table: string, row: Row, present: readonly Row[]) => string | undefined
  /** What queries of `lookup()` find: all rows that there are, or a function that is given the keys and gives their rows. */
  readonly lookups?: readonly LookupRows[]
  /** The store's clock, in milliseconds. Default: the machine's. */
  readonly clock?: () => number
}

/** Rows of one open batch, each with its owner. */
export class MemoryBuffer implements RowBuffer {
  readonly sink: Sink<never>
  readonly rows: Row[] = []
  readonly owners: number[] = []
  constructor(sink: Sink<never>) {
    this.sink = sink
  }
  get length() {
    return this.rows.length
  }
  readonly byteSize = 0
  append(row: object, owner: number): void {
    requireRow(row, this.sink.name)
    const { columns } = this.sink
    const entries = Object.entries(row).filter(([name]) => columns === undefined || columns.includes(name))
    this.rows.push(Object.freeze(Object.fromEntries(entries)))
    this.owners.push(owner)
  }
  truncate(length: number): void {
    this.rows.length = length
    this.owners.length = length
  }
  eachOwner(callback: (owner: number) => void): void {
    this.owners.forEach(callback)
  }
}

interface StoredProgress {
  owner: string
  version: number
  budget: string | null
  halted: Halt | null
  watermarks: string | null
  progress: readonly SourceProgress[]
}

const clashes = new Set(['23505', '23503', '23P01'])

export class MemoryStore implements Store {
  readonly state = new MemoryState()
  readonly outbox = new MemoryOutbox()
  readonly collector: MemoryCollector
  /** What was started last, by stream. */
  readonly plans = new Map<string, StartedPlan>()
  /** Commits so far. */
  commits = 0
  readonly #options: MemoryStoreOptions
  readonly #progress = new Map<string, StoredProgress & { task: TaskId }>()
  #tables = new Map<string, Row[]>()
  #owners = 0

  constructor(options: MemoryStoreOptions = {}) {
    this.#options = options
    this.collector = new MemoryCollector(options.clock ?? Date.now)
  }

  /** Rows of a table, in the order in which they were written. */
  rows(table: string): readonly Row[] {
    return this.#tables.get(table) ?? []
  }

  /** Items in the error collector that are not settled. */
  get collected(): readonly CollectedItem[] {
    return this.collector.items
  }

  async open(): Promise<void> {}

  async close(): Promise<void> {}

  createBuffers(sinks: readonly Sink<never>[]): RowBuffer[] {
    return sinks.map((sink) => new MemoryBuffer(sink))
  }

  async readProgress(app: string) {
    return [...this.#progress.values()]
      .filter(({ task }) => task.app === app)
      .flatMap(({ task, progress }) =>
        progress.map((row) => ({ ...row, stream: task.stream, partition: task.partition })),
      )
  }

  async removeProgress(app: string): Promise<void> {
    for (const [key, { task }] of this.#progress) if (task.app === app) this.#progress.delete(key)
  }

  async holdRows(sinks: readonly Sink<never>[]): Promise<readonly string[]> {
    return sinks.map((sink) => sink.name).filter((name) => this.rows(name).length > 0)
  }

  async claim(task: TaskId, starts: readonly SourceProgress[]): Promise<Claim> {
    const key = keyOf(task)
    const known = this.#progress.get(key)
    const owner = `owner-${++this.#owners}`
    const version = (known?.version ?? 0) + 1
    const progress = starts.map((start) => known?.progress.find(({ source }) => source === start.source) ?? start)
    const others = known?.progress.filter(({ source }) => !starts.some((start) => start.source === source)) ?? []
    const { budget = null, halted = null, watermarks = null } = known ?? {}
    this.#progress.set(key, { task, owner, version, budget, halted, watermarks, progress: [...others, ...progress] })
    return { task, owner, version, progress, budget, halted, watermarks }
  }

  async commit(request: CommitRequest): Promise<void> {
    const { claim } = request
    const known = this.#progress.get(keyOf(claim.task))
    if (known === undefined || known.owner !== claim.owner || known.version !== claim.version) {
      throw new FenceLostError('MR-FENCE-LOST', {
        what: 'another owner has claimed the task',
        place: { stream: claim.task.stream, partition: claim.task.partition },
      })
    }
    const state = this.state.changed(claim.task, request.state ?? [])
    const tables = this.#written(request)
    if (request.isTrial) return
    this.#tables = tables
    this.state.commit(state)
    this.collector.add(claim.task.app, request.collected)
    this.collector.settle(request.settled)
    if (request.emits !== undefined) this.outbox.commit(claim.task, request.emits)
    known.budget = request.budget
    known.halted = request.halted
    known.watermarks = request.watermarks ?? known.watermarks
    known.version++
    known.progress = [
      ...known.progress.filter(({ source }) => !request.progress.some((row) => row.source === source)),
      ...request.progress,
    ]
    claim.version = known.version
    this.commits++
  }

  async waitingTasks(app: string) {
    return this.collector.waitingTasks(app)
  }

  async takeWaiting({ task }: Claim, limit: number) {
    return this.collector.take(task, limit)
  }

  async held(task: TaskId) {
    return this.collector.held(task)
  }

  async recordPlans(_app: string, plans: readonly StartedPlan[]): Promise<void> {
    for (const plan of plans) this.plans.set(plan.stream, plan)
  }

  async pruneErrors(app: string, olderThanMs: number, limit: number): Promise<number> {
    return this.collector.prune(app, olderThanMs, limit)
  }

  async lookup(query: LookupQuery<object>, keys: readonly Key[]): Promise<readonly object[]> {
    const [, given] = this.#options.lookups?.find(([known]) => known === query) ?? []
    if (given === undefined) {
      throw new SettingsError('MR-TEST-LOOKUP', {
        what: `nobody has said what the query of a lookup finds: ${query.sql.replace(/\s+/g, ' ').slice(0, 100)}`,
        fix: 'Give its rows: { lookups: [[query, [{ … }]]] }.',
      })
    }
    if (keys.length === 0) return []
    const wanted = new Set(keys.map(String))
    const rows = typeof given === 'function' ? given(keys) : given
    return rows.filter((row) => wanted.has(String((row as Row)[query.by]))).map((row) => ({ ...row }))
  }

  /** Lets streams that were halted run again. */
  resume(): void {
    for (const known of this.#progress.values()) Object.assign(known, { budget: null, halted: null })
  }

  /** The tables with the rows of a batch, owner by owner in offset order, so that the first that does not fit is known. */
  #written({ buffers, position, order }: CommitRequest): Map<string, Row[]> {
    const tables = new Map([...this.#tables].map(([name, rows]) => [name, [...rows]]))
    const places = new Map<Row, number>()
    const pending = buffers.flatMap((buffer) => {
      if (!(buffer instanceof MemoryBuffer))
        throw new StoreError('MR-TEST-STORE', { what: 'a buffer of another store' })
      return buffer.rows.map((row, index) => ({ sink: buffer.sink, row, owner: buffer.owners[index] as number }))
    })
    const standing = pending
      .map((entry) => ({ ...entry, position: position(entry.owner) }))
      .filter((entry) => entry.position !== undefined)
      .sort((a, b) => (a.position as number) - (b.position as number))
    for (const { sink, row, owner } of standing) {
      const rows = tables.get(sink.name) ?? []
      tables.set(sink.name, rows)
      const sqlstate = this.#options.refuses?.(sink.name, row, rows)
      if (sqlstate !== undefined) {
        const cause = new Error(`table "${sink.name}" refuses ${JSON.stringify(row)}`)
        throw new RowsRefused({ owner, table: sink.name, sqlstate, clash: clashes.has(sqlstate), cause })
      }
      upsert(rows, row, sink)
      if (order !== undefined && sink.key.length === 0) places.set(row, order(owner))
    }
    const placeOf = (row: Row) => places.get(row) ?? -1
    for (const rows of tables.values()) rows.sort((a, b) => placeOf(a) - placeOf(b))
    return tables
  }
}

function upsert(rows: Row[], row: Row, { key, onConflict }: Sink<never>): void {
  const index =
    key.length === 0 ? -1 : rows.findIndex((other) => key.every((column) => sameKey(other[column], row[column])))
  if (index < 0) rows.push(row)
  else if (onConflict !== 'nothing') {
    const known = rows[index] as Row
    const merged = Object.entries(row).map(([column, value]) => [
      column,
      key.includes(column) ? known[column] : combined(onConflict[column], known[column], value),
    ])
    rows[index] = Object.freeze({ ...known, ...Object.fromEntries(merged) })
  }
}

function sameKey(one: unknown, other: unknown): boolean {
  return one instanceof Date && other instanceof Date ? one.getTime() === other.getTime() : one === other
}

function combined(rule: string | undefined, known: unknown, value: unknown): unknown {
  if (rule === undefined || rule === 'replace') return value
  if (rule === 'keep') return known
  // As in SQL's greatest and least, and as the table sink adds: a null counts as absent.
  if (known === null || known === undefined) return value
  if (value === null || value === undefined) return known
  if (rule === 'add') return (known as number) + (value as number)
  return (rule === 'min') === (value as number) < (known as number) ? value : known
}

function keyOf({ app, stream, partition }: TaskId): string {
  return JSON.stringify([app, stream, partition])
}
