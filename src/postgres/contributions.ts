/**
 * What each item has given to the rows of tables with a key. A row is what they make of it, one after the other: so what one has
 * given can be taken back, whatever came after it.
 *
 * Their order is that of arrival; within a partition it is that of offsets. Items that come late, or again, take the arrival of
 * the items before them, and with it their place.
 */
import { textArray } from './arrayLiteral.ts'
import type { BoundSink } from './boundSink.ts'
import type { Link } from './connections.ts'
import type { Cell } from './merge.ts'
import type { WrittenColumn } from './rowLayout.ts'
import { taskBefore } from './trackedTables.ts'
import type { Tracking } from './tracking.ts'
import { cellArray } from './upsertPlan.ts'
import { maxRowsPerStatement } from './upsertRows.ts'

/** Rows that write the same columns. */
export interface GivenRows {
  readonly columns: readonly WrittenColumn[]
  /** By column, then by row. */
  readonly cells: readonly (readonly Cell[])[]
  readonly owners: readonly number[]
  /** The place of each row among those of its item. */
  readonly ordinals: readonly number[]
}

/** A key, as the texts of its columns. */
export type KeyTexts = readonly string[]

const lastOffset = 2n ** 63n - 1n

/** Something that was given to a row, or taken back. */
export interface Change {
  readonly key: KeyTexts
  /** What was given to columns beside the key, as JSON. */
  readonly cells: string
}

/** What was taken back, and when it had arrived. */
export interface TakenBack {
  readonly changes: readonly Change[]
  /** Offsets and arrivals, sorted by offset. */
  readonly arrivals: readonly { readonly offset: number; readonly arrival: bigint }[]
}

/** Which rows and contributions go: pairs of a task and an offset, as parameters. */
export type ReplacedPlaces = readonly [tasks: string, offsets: string]

/** Keeps what a batch gives. The rows must have been written: who waits for a row arrives after who has it. */
export async function inTransactionContribute(
  link: Link,
  bound: BoundSink,
  given: Iterable<GivenRows>,
  tracking: Tracking,
): Promise<void> {
  const { rows } = await link.query<{ arrival: string }>(`select nextval('millrace.arrivals') as arrival`)
  const [{ arrival } = { arrival: '0' }] = rows
  for (const part of given) {
    for (const chunk of chunksOf(part)) {
      const known = chunk.owners.map(() => arrival)
      await link.query(insertStatement(bound, part.columns), parametersOf(bound, chunk, known, tracking))
    }
  }
}

/** Keeps what items give that come late, or again. @returns what they give */
export async function inTransactionContributeAgain(
  link: Link,
  bound: BoundSink,
  given: Iterable<GivenRows>,
  tracking: Tracking,
  takenBack: TakenBack,
): Promise<readonly Change[]> {
  const changes: Change[] = []
  // What is before an item in its partition has arrived before it.
  const before = `(select max(p.arrival) from unnest($6::integer[]) as l (task) cross join lateral (
      select c.arrival from millrace.contributions c
      where c.table_id = $1 and c.task = l.task and c.record_offset <= given.record_offset
      order by c.record_offset desc, c.arrival desc limit 1) p)`
  for (const part of given) {
    const statement = insertStatement(bound, part.columns, `greatest(given.arrival, ${before}, 0)`, firstCell + 1)
    for (const chunk of chunksOf(part)) {
      const known = chunk.owners.map((owner) => arrivalAt(takenBack, tracking.placeOf(owner)?.offset ?? 0))
      const parameters = parametersOf(bound, chunk, known, tracking)
      const lane = textArray((tracking.tasks ?? []).map(String))
      const { rows } = await link.query<{ key: string[]; cells: string }>(`${statement} returning key, cells::text`, [
        ...parameters.slice(0, firstCell - 1),
        lane,
        ...parameters.slice(firstCell - 1),
      ])
      for (const change of rows) changes.push(change)
    }
  }
  return changes
}

/** Takes back what items have given to rows of a table. */
export async function inTransactionTakeBack(
  link: Link,
  tableId: number,
  [tasks, offsets]: ReplacedPlaces,
): Promise<TakenBack> {
  const { rows } = await link.query<{ key: string[]; cells: string; record_offset: string; arrival: string }>(
    `delete from millrace.contributions c using unnest($2::integer[], $3::bigint[]) as gone (task, record_offset)
     where c.table_id = $1 and c.task = gone.task and c.record_offset = gone.record_offset
     returning c.key, c.cells::text, c.record_offset, c.arrival`,
    [tableId, tasks, offsets],
  )
  const arrivals = rows
    .map(({ record_offset, arrival }) => ({ offset: Number(record_offset), arrival: BigInt(arrival) }))
    .sort((a, b) => a.offset - b.offset)
  return { changes: rows.map(({ key, cells }) => ({ key, cells })), arrivals }
}

/** When what had been given up to an offset had arrived. */
function arrivalAt({ arrivals }: TakenBack, offset: number): string | null {
  let low = 0
  let high = arrivals.length
  while (low < high) {
    const middle = (low + high) >> 1
    if ((arrivals[middle]?.offset ?? 0) <= offset) low = middle + 1
    else high = middle
  }
  // Sorted by offset, and so by arrival.
  const last = arrivals[low - 1]
  return last === undefined ? null : String(last.arrival)
}

/** The first parameter that holds cells. */
const firstCell = 6

function insertStatement(
  { sink, table }: BoundSink,
  columns: readonly WrittenColumn[],
  arrival = 'given.arrival',
  first = firstCell,
): string {
  const parameters = columns.map((_, index) => `$${first + index}::text[]`).join(', ')
  const names = columns.map((_, index) => `c${index}`)
  const textOf = (name: string) => names[columns.findIndex(({ info }) => info.name === name)] ?? 'null'
  // Through the column's type and back: texts that mean the same value become the same.
  const key = sink.key.map((name) => `${textOf(name)}::${table.columns.get(name)?.castType ?? 'text'}::text`)
  const others = columns.filter(({ info }) => !sink.key.includes(info.name))
  const otherNames = textArray(others.map(({ info }) => info.name)).replaceAll("'", "''")
  return `insert into millrace.contributions (table_id, task, record_offset, ordinal, arrival, key, cells)
    select $1, given.task, given.record_offset, given.ordinal, ${arrival}, array[${key.join(', ')}],
      jsonb_object('${otherNames}'::text[], array[${others.map(({ info }) => textOf(info.name)).join(', ')}]::text[])
    from unnest($2::integer[], $3::bigint[], $4::integer[], $5::bigint[], ${parameters})
      as given (task, record_offset, ordinal, arrival, ${names.join(', ')})`
}

function parametersOf(
  { tracked }: BoundSink,
  { owners, ordinals, cells }: Omit<GivenRows, 'columns'>,
  arrivals: readonly (string | null)[],
  tracking: Tracking,
): readonly unknown[] {
  const places = owners.map((owner) => tracking.placeOf(owner))
  return [
    tracked?.id,
    // What no item has made is never taken back; it comes behind what items have made.
    textArray(places.map((place) => String(place?.task ?? taskBefore))),
    textArray(places.map((place) => String(place?.offset ?? lastOffset))),
    textArray(ordinals.map(String)),
    textArray(arrivals),
    ...cells.map(cellArray),
  ]
}

function* chunksOf({ owners, ordinals, cells }: GivenRows): Iterable<Omit<GivenRows, 'columns'>> {
  for (let start = 0; start < owners.length; start += maxRowsPerStatement) {
    const end = start + maxRowsPerStatement
    yield {
      owners: owners.slice(start, end),
      ordinals: ordinals.slice(start, end),
      cells: cells.map((column) => column.slice(start, end)),
    }
  }
}
