/**
 * Which item made which row, as numbers: of a task (a stream and a partition) and of an offset. Rows that several items have
 * made together belong to a task of their own, under the offset of the last of them; which ones they are stands beside.
 */
import type { Sink } from '../core/sink.ts'
import type { CommitRequest, RowOrigin, RowOrigins } from '../core/store.ts'
import { textArray } from './arrayLiteral.ts'
import type { BoundSink } from './boundSink.ts'
import { readTable } from './catalog.ts'
import type { Link } from './connections.ts'

/** A buffer of rows, as far as it matters here. */
interface Tabled {
  readonly bound: BoundSink
  readonly columnNames: readonly string[]
  eachOwner(callback: (owner: number) => void): void
}

/** Where a row is found again. */
export interface Place {
  readonly task: number
  readonly offset: number
}

/** All that is remembered of one partition of a topic, whatever the stream. */
interface Lane {
  readonly app: string
  readonly topic: string
  readonly partition: number
}

type Named = Pick<RowOrigin, 'stream'> & { readonly grouped: boolean }

/** What a batch knows of where its rows come from. */
export class Tracking {
  readonly origins: RowOrigins
  readonly #lane: Lane
  /** Numbers of all tasks of the lane; only where items come late or again. */
  readonly tasks: readonly number[] | undefined
  /** Tables that these tasks have written. */
  readonly tables: readonly BoundSink[]
  readonly #ids: ReadonlyMap<string, number>
  /** Origins of owners that are no single items. */
  readonly #groups: ReadonlyMap<number, RowOrigin>
  readonly #groupPlaces = new Map<number, Place>()
  /** Tasks of items, by stream. There are many rows, so nothing is made for each. */
  readonly #tasks = new Map<string, number>()

  constructor(
    lane: Lane,
    origins: RowOrigins,
    ids: ReadonlyMap<string, number>,
    groups: ReadonlyMap<number, RowOrigin>,
    again: { readonly tasks: readonly number[]; readonly tables: readonly BoundSink[] } | undefined,
  ) {
    this.#lane = lane
    this.origins = origins
    this.tasks = again?.tasks
    this.tables = again?.tables ?? []
    this.#ids = ids
    this.#groups = groups
  }

  get laneName(): string {
    const { app, topic, partition } = this.#lane
    return JSON.stringify(['millrace', app, topic, partition])
  }

  /** Where the rows of an owner are found again; undefined for what no item has made. */
  placeOf(owner: number): Place | undefined {
    const stream = this.origins.streamOf(owner)
    if (stream !== undefined) return { task: this.#taskOfItems(stream), offset: this.origins.offsetOf(owner) }
    const placed = this.#groupPlaces.get(owner)
    if (placed !== undefined) return placed
    const origin = this.#groups.get(owner)
    const last = origin?.offsets.at(-1)
    if (origin === undefined || last === undefined) return undefined
    const place = { task: this.taskOf(namedOf(origin)) ?? 0, offset: last }
    this.#groupPlaces.set(owner, place)
    return place
  }

  #taskOfItems(stream: string): number {
    const known = this.#tasks.get(stream)
    if (known !== undefined) return known
    const task = this.taskOf({ stream, grouped: false }) ?? 0
    this.#tasks.set(stream, task)
    return task
  }

  /** Of a stream of the lane; undefined where nothing is remembered of it. */
  taskOf(named: Named): number | undefined {
    return this.#ids.get(idKey(this.#lane, named))
  }

  /** The items that have made rows together, for owners that stand. */
  *members(position: (owner: number) => number | undefined): Iterable<Place & { readonly last: number }> {
    for (const [owner, { offsets }] of this.#groups) {
      const place = offsets.length > 1 && position(owner) !== undefined ? this.placeOf(owner) : undefined
      if (place !== undefined) for (const offset of offsets) yield { task: place.task, offset, last: place.offset }
    }
  }
}

/** A commit with what it knows of where its rows come from. */
export interface TrackedRequest extends CommitRequest {
  readonly tracking?: Tracking | undefined
}

interface WrittenTable {
  readonly id: number
  readonly name: string
  readonly key: string[]
  readonly on_conflict: Sink<never>['onConflict']
  readonly columns: string[]
}

/** Numbers that the database has given out, remembered for as long as the process lives: they never change. */
export class TrackedTasks {
  readonly #ids = new Map<string, number>()
  /** Pairs of a task and a table that are noted. */
  readonly #written = new Set<string>()
  /** Tables that no step names. */
  readonly #tables = new Map<number, BoundSink>()

  /**
   * What a commit has to know about where its rows come from; undefined where nobody wants to remember it.
   * Runs before the transaction: what it notes about tables and tasks is true whatever becomes of the batch.
   */
  async trackingOf(link: Link, request: CommitRequest, buffers: readonly Tabled[]): Promise<Tracking | undefined> {
    const { origins, again = false } = request
    const tracked = buffers.filter(({ bound }) => bound.tracked !== undefined)
    if (origins === undefined || request.isTrial || (tracked.length === 0 && !again)) return undefined
    const { app, partition } = request.claim.task
    const lane: Lane = { app, topic: origins.topic, partition }
    const groups = new Map<number, RowOrigin>()
    const streams = new Set<string>()
    for (const buffer of tracked) {
      buffer.eachOwner((owner) => {
        const stream = origins.streamOf(owner)
        if (stream !== undefined) streams.add(stream)
        else if (!groups.has(owner)) {
          const origin = origins.of(owner)
          if (origin !== undefined) groups.set(owner, origin)
        }
      })
    }
    const named = [
      ...Array.from(streams, (stream) => ({ stream, grouped: false })),
      ...Array.from(groups.values(), namedOf),
    ]
    await this.#number(link, lane, named)
    const tasks = again ? await this.#tasksOf(link, lane) : undefined
    const tables = tasks === undefined ? [] : await this.#tablesOf(link, tasks, buffers)
    const tracking = new Tracking(lane, origins, this.#ids, groups, tasks && { tasks, tables })
    for (const buffer of tracked) await this.#note(link, buffer, tracking)
    return tracking
  }

  /** Gives numbers to streams that have none. */
  async #number(link: Link, lane: Lane, streams: Iterable<Named>): Promise<void> {
    const missing = new Map<string, Named>()
    for (const named of streams) {
      const key = idKey(lane, named)
      if (!this.#ids.has(key)) missing.set(key, named)
    }
    if (missing.size === 0) return
    await link.query(
      `insert into millrace.tracked_tasks (app, topic, partition, stream, grouped)
       select $1, $2, $3, s.stream, s.grouped from unnest($4::text[], $5::boolean[]) as s (stream, grouped)
       order by s.stream, s.grouped on conflict do nothing`,
      [
        ...laneValues(lane),
        textArray([...missing.values()].map(({ stream }) => stream)),
        textArray([...missing.values()].map(({ grouped }) => String(grouped))),
      ],
    )
    await this.#tasksOf(link, lane)
  }

  async #tasksOf(link: Link, lane: Lane): Promise<readonly number[]> {
    const { rows } = await link.query<{ id: number; stream: string; grouped: boolean }>(
      'select id, stream, grouped from millrace.tracked_tasks where app = $1 and topic = $2 and partition = $3',
      laneValues(lane),
    )
    for (const { id, ...named } of rows) this.#ids.set(idKey(lane, named), id)
    return rows.map(({ id }) => id)
  }

  /** Tables that tasks have written, also those that the plan writes no more. */
  async #tablesOf(link: Link, tasks: readonly number[], buffers: readonly Tabled[]): Promise<readonly BoundSink[]> {
    const { rows } = await link.query<WrittenTable>(
      `select id, name, key, on_conflict, columns from millrace.tracked_tables
       where id in (select table_id from millrace.tracked_in where task = any($1::integer[])) order by name`,
      [textArray(tasks.map(String))],
    )
    const bounds: BoundSink[] = []
    for (const row of rows) {
      const bound =
        buffers.find((buffer) => buffer.bound.tracked?.id === row.id)?.bound ?? (await this.#bind(link, row))
      if (bound !== undefined) bounds.push(bound)
    }
    return bounds
  }

  /** A table as it was described last. Undefined where there is no such table any more. */
  async #bind(link: Link, { id, name, key, on_conflict, columns }: WrittenTable): Promise<BoundSink | undefined> {
    const known = this.#tables.get(id)
    if (known !== undefined) return known
    const table = await readTable(link, name)
    if (table === undefined) return undefined
    const sink: Sink<never> = {
      kind: 'table',
      name,
      key,
      columns: undefined,
      onConflict: on_conflict,
      create: undefined,
      track: true,
    }
    const bound = { sink, name, table, tracked: { id, columns: new Set(columns) } }
    this.#tables.set(id, bound)
    return bound
  }

  /** Notes that a task writes a table, and which columns. */
  async #note(link: Link, buffer: Tabled, tracking: Tracking): Promise<void> {
    const { tracked } = buffer.bound
    if (tracked === undefined) return
    const all = new Set<number>()
    buffer.eachOwner((owner) => {
      const task = tracking.placeOf(owner)?.task
      if (task !== undefined) all.add(task)
    })
    const tasks = new Set([...all].filter((task) => !this.#written.has(`${task} ${tracked.id}`)))
    if (tasks.size > 0) {
      await link.query(
        `insert into millrace.tracked_in (task, table_id) select task, $2 from unnest($1::integer[]) as t (task)
         order by task on conflict do nothing`,
        [textArray(Array.from(tasks, String)), tracked.id],
      )
      for (const task of tasks) this.#written.add(`${task} ${tracked.id}`)
    }
    const added = buffer.columnNames.filter((name) => !tracked.columns.has(name))
    if (added.length === 0) return
    await link.query(
      `update millrace.tracked_tables
       set columns = array(select distinct c from unnest(columns || $2::text[]) as c order by c) where id = $1`,
      [tracked.id, textArray(added)],
    )
    for (const name of added) tracked.columns.add(name)
  }
}

/** Notes which items have made rows together. */
export async function inTransactionNoteMembers(
  link: Link,
  tracking: Tracking,
  position: (owner: number) => number | undefined,
): Promise<void> {
  const members = [...tracking.members(position)]
  if (members.length === 0) return
  await link.query(
    `insert into millrace.tracked_members (task, record_offset, last_offset)
     select * from unnest($1::integer[], $2::bigint[], $3::bigint[])`,
    [
      textArray(members.map(({ task }) => String(task))),
      textArray(members.map(({ offset }) => String(offset))),
      textArray(members.map(({ last }) => String(last))),
    ],
  )
}

function namedOf({ stream, offsets }: RowOrigin): Named {
  return { stream, grouped: offsets.length > 1 }
}

function laneValues({ app, topic, partition }: Lane): [string, string, number] {
  return [app, topic, partition]
}

function idKey({ app, topic, partition }: Lane, { stream, grouped }: Named): string {
  return JSON.stringify([app, topic, partition, stream, grouped])
}
