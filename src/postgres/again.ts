/**
 * A commit of items that come late, or again: in one transaction what they have made before goes, and what they make now takes
 * its place. Rows are deleted before the rows that they point to, and written after them.
 *
 * Only one such commit at a time works on a partition of a topic: two that run the same item would not see each other's rows.
 */
import { textArray } from './arrayLiteral.ts'
import type { BoundSink } from './boundSink.ts'
import { inForeignKeyOrder } from './catalog.ts'
import type { Link } from './connections.ts'
import {
  inTransactionContributeAgain,
  inTransactionTakeBack,
  type KeyTexts,
  type ReplacedPlaces,
  type TakenBack,
} from './contributions.ts'
import { inTransactionCheckParents } from './lateParents.ts'
import { inTransactionDeleteRows, inTransactionRebuild } from './rebuild.ts'
import { type Selection, type TableBuffer, WriteRefused } from './tableBuffer.ts'
import { offsetColumn, taskColumn } from './trackedColumns.ts'
import type { Tracking } from './tracking.ts'
import { UpsertBuffer } from './upsertBuffer.ts'

/** A table with what the batch has for it. */
interface Target {
  readonly name: string
  readonly table: BoundSink['table']
  readonly bound: BoundSink
  readonly buffers: readonly TableBuffer[]
}

const nothingTaken: TakenBack = { changes: [], arrivals: [] }

/** Writes the selected rows in the place of those that their items have made before. @throws WriteRefused */
export async function inTransactionWriteAgain(
  link: Link,
  buffers: readonly TableBuffer[],
  selection: Selection,
  tracking: Tracking,
): Promise<void> {
  await link.query('select pg_advisory_xact_lock(hashtextextended($1, 0))', [tracking.laneName])
  const replaced = await replacedPlaces(link, selection, tracking)
  const targets = targetsOf(buffers, tracking.tables)
  const backwards = [...targets].reverse()
  const takenBack = new Map<BoundSink, TakenBack>()
  for (const { bound } of backwards) {
    await refusing(bound, async () => {
      if (bound.tracked === undefined) return
      if (bound.sink.key.length === 0) await deleteRows(link, bound, replaced)
      else takenBack.set(bound, await inTransactionTakeBack(link, bound.tracked.id, replaced))
    })
  }
  await inTransactionCheckParents(link, buffers, selection)
  const gone = new Map<BoundSink, readonly KeyTexts[]>()
  for (const target of targets) {
    const { bound } = target
    if (bound.tracked === undefined || bound.sink.key.length === 0) {
      for (const buffer of target.buffers) await buffer.inTransactionFlush(link, selection)
    } else {
      const taken = takenBack.get(bound) ?? nothingTaken
      await refusing(bound, async () => gone.set(bound, await give(link, target, selection, tracking, taken)))
    }
  }
  for (const { bound } of backwards) {
    await refusing(bound, () => inTransactionDeleteRows(link, bound, gone.get(bound) ?? []))
  }
}

/** @returns keys whose rows have to go */
async function give(
  link: Link,
  { bound, buffers }: Target,
  selection: Selection,
  tracking: Tracking,
  takenBack: TakenBack,
): Promise<readonly KeyTexts[]> {
  const added = []
  for (const buffer of buffers) {
    if (!(buffer instanceof UpsertBuffer)) continue
    added.push(...(await inTransactionContributeAgain(link, bound, buffer.givenRows(selection), tracking, takenBack)))
  }
  return inTransactionRebuild(link, bound, { added, takenBack: takenBack.changes })
}

/** Tables that the items write, or have written before, what a foreign key points to first. */
function targetsOf(buffers: readonly TableBuffer[], tables: readonly BoundSink[]): readonly Target[] {
  const bounds = new Map<number, BoundSink>()
  for (const bound of [...buffers.map((buffer) => buffer.bound), ...tables]) {
    if (!bounds.has(bound.table.oid)) bounds.set(bound.table.oid, bound)
  }
  return inForeignKeyOrder(
    Array.from(bounds, ([oid, bound]) => ({
      name: bound.name,
      table: bound.table,
      bound,
      buffers: buffers.filter((buffer) => buffer.bound.table.oid === oid),
    })),
  )
}

/** Where the rows are that go: those of items that stand now, and those that they have made together with others. */
async function replacedPlaces(link: Link, { position }: Selection, tracking: Tracking): Promise<ReplacedPlaces> {
  const tasks: number[] = []
  const offsets: number[] = []
  const members: { readonly task: number; readonly offset: number }[] = []
  for (const { owner, stream, offset } of tracking.origins.standing()) {
    if (position(owner) === undefined) continue
    const task = tracking.taskOf({ stream, grouped: false })
    if (task !== undefined) {
      tasks.push(task)
      offsets.push(offset)
    }
    const together = tracking.taskOf({ stream, grouped: true })
    if (together !== undefined) members.push({ task: together, offset })
  }
  if (members.length > 0) {
    const { rows } = await link.query<{ task: number; last_offset: string }>(
      `with met as (
         select distinct m.task, m.last_offset from millrace.tracked_members m
         join unnest($1::integer[], $2::bigint[]) as given (task, record_offset) using (task, record_offset)
       ), gone as (
         delete from millrace.tracked_members m using met where m.task = met.task and m.last_offset = met.last_offset
       )
       select task, last_offset from met`,
      [textArray(members.map(({ task }) => String(task))), textArray(members.map(({ offset }) => String(offset)))],
    )
    for (const { task, last_offset } of rows) {
      tasks.push(task)
      offsets.push(Number(last_offset))
    }
  }
  return [textArray(tasks.map(String)), textArray(offsets.map(String))]
}

async function deleteRows(link: Link, { table }: BoundSink, [tasks, offsets]: ReplacedPlaces): Promise<void> {
  await link.query(
    `delete from ${table.quoted} t using unnest($1::integer[], $2::bigint[]) as gone (task, record_offset)
     where t.${taskColumn} is not null and t.${taskColumn} = gone.task and t.${offsetColumn} = gone.record_offset`,
    [tasks, offsets],
  )
}

/** What the database refuses is refused of the table. */
async function refusing<T>(bound: BoundSink, work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    throw error instanceof WriteRefused ? error : new WriteRefused(bound, error, {})
  }
}
