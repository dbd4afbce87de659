/** What the store asks of the error collector's table beside putting items into it, carried out on the model. */
import type { ModelDatabase } from './modelDatabase.ts'
import { collectorColumns } from './modelSchema.ts'
import type { ModelRow, ModelTable, Values } from './modelTable.ts'
import type { Transaction } from './modelTransaction.ts'

type Cells = readonly (string | null)[]

/** Who asks for items of the collector. */
export interface Asked {
  readonly database: ModelDatabase
  readonly transaction: Transaction
  readonly interrupted: AbortSignal
}

/** The values of an item as its columns hold them. */
export function collectorRow(cells: Cells, now: number): Values {
  const given = Object.fromEntries(collectorColumns.map((column, index) => [column, cells[index] ?? null]))
  const { retry_in_ms: pause = null, ...row } = given
  return { ...row, retry_at: pause === null ? null : String(now + Number(pause)), collected_at: String(now) }
}

/** An item that failed again: the failure before goes into its history. */
export function failedAgain(old: Values, cells: Cells, now: number): Values {
  const history = JSON.stringify([...JSON.parse(old.history ?? '[]'), { message: old.error_message }])
  return { ...old, ...collectorRow(cells, now), history }
}

/** Tasks that have items waiting for them. */
export function waitingTasks(asked: Asked, app: string): readonly object[] {
  const due = visibleItems(asked).filter((row) => row.app === app && row.state !== 'parked' && isDue(asked, row))
  const tasks = new Map(due.map((row) => [`${row.task_stream}/${row.partition}`, row]))
  return [...tasks.values()].map((row) => ({ stream: row.task_stream, partition: Number(row.partition) }))
}

/** The items that a task is to run now. */
export function waitingItems(asked: Asked, [app, stream, partition, limit]: readonly unknown[]): readonly object[] {
  return visibleItems(asked)
    .filter((row) => isOfTask(row, app, stream, partition) && isDue(asked, row))
    .toSorted((a, b) => Number(a.record_offset) - Number(b.record_offset) || Number(a.id) - Number(b.id))
    .slice(0, Number(limit))
    .map((row) => ({
      ...row,
      partition: Number(row.partition),
      attempts: Number(row.attempts),
      timestamp_ms: row.record_timestamp === null ? null : Date.parse(row.record_timestamp ?? ''),
      key: bytesOf(row.key),
      value: bytesOf(row.value),
      header_keys: [],
      header_values: [],
    }))
}

/** Keys of a task's items that are not settled. */
export function heldKeys(asked: Asked, [app, stream, partition]: readonly unknown[]): readonly object[] {
  const rows = visibleItems(asked).filter((row) => isOfTask(row, app, stream, partition) && isUnsettled(row))
  const parked = new Map<string, number>()
  for (const { key, state } of rows) {
    if (key !== undefined && key !== null) parked.set(key, (parked.get(key) ?? 0) + (state === 'parked' ? 1 : 0))
  }
  return [...parked].map(([key, count]) => ({ key: bytesOf(key), parked: count }))
}

/** Unsettled items of some records of a task, locked: to be matched with what becomes of these records now. */
export async function lockedItemsAt(
  asked: Asked,
  [app, stream, topic, partition, offsets]: readonly [...unknown[], Cells],
): Promise<readonly object[]> {
  const wanted = new Set(offsets as Cells)
  const isMeant = (row: Values | undefined) =>
    row !== undefined &&
    isOfTask(row, app, stream, partition) &&
    row.topic === topic &&
    wanted.has(row.record_offset ?? null) &&
    isUnsettled(row)
  const table = errorsOf(asked)
  const found: Values[] = []
  for (const row of table.rows.filter((one) => isMeant(table.visible(one, asked.transaction)))) {
    const values = await locked(asked, table, row)
    if (values !== undefined && isMeant(values)) found.push(values)
  }
  return found
    .toSorted((a, b) => Number(a.id) - Number(b.id))
    .map(({ id, stream: fell, record_offset, attempts }) => ({
      id,
      stream: fell,
      record_offset,
      attempts: Number(attempts),
    }))
}

/** Deletes items that were settled longer ago. */
export async function deleteSettled(asked: Asked, [app, olderThanMs, limit]: readonly unknown[]): Promise<object[]> {
  const before = asked.database.now() - Number(olderThanMs)
  const table = errorsOf(asked)
  const old = table.rows.filter((row) => {
    const values = table.visible(row, asked.transaction)
    return values?.app === app && Number(values?.settled_at ?? before) < before && row.by === undefined
  })
  for (const row of old.slice(0, Number(limit))) asked.transaction.write(table, row, undefined)
  return old.slice(0, Number(limit)).map(() => ({}))
}

/** Changes the rows of these ids that are not settled. */
export async function changeItems(
  asked: Asked,
  ids: Cells,
  change: (old: Values, index: number) => Values,
): Promise<[]> {
  const table = errorsOf(asked)
  for (const [index, id] of ids.entries()) {
    const row = table.rows.find((one) => table.visible(one, asked.transaction)?.id === id)
    if (row === undefined) continue
    const old = await locked(asked, table, row)
    if (old !== undefined && isUnsettled(old)) asked.transaction.write(table, row, change(old, index))
  }
  return []
}

async function locked(asked: Asked, table: ModelTable, row: ModelRow): Promise<Values | undefined> {
  await asked.transaction.lock(table, row, asked.interrupted)
  return table.visible(row, asked.transaction)
}

function errorsOf({ database }: Asked): ModelTable {
  return database.table('millrace.errors')
}

export function visibleItems(asked: Asked): readonly Values[] {
  const table = errorsOf(asked)
  return table.rows.map((row) => table.visible(row, asked.transaction)).filter((values) => values !== undefined)
}

function isOfTask(row: Values, app: unknown, stream: unknown, partition: unknown): boolean {
  return row.app === app && row.task_stream === stream && row.partition === String(partition)
}

export function isUnsettled({ state }: Values): boolean {
  return state !== 'done' && state !== 'ignored'
}

function isDue(asked: Asked, row: Values): boolean {
  if (row.state === 'deferred') return Number(row.retry_at) <= asked.database.now()
  if (row.state !== 'parked') return row.state === 'replaying'
  const holdsUp = (other: Values) => other.state === 'open' || (other.state === 'deferred' && !isDue(asked, other))
  const before = ({ record_offset, id }: Values) =>
    Number(record_offset) < Number(row.record_offset) ||
    (record_offset === row.record_offset && Number(id) < Number(row.id))
  return !visibleItems(asked).some(
    (other) =>
      isOfTask(other, row.app, row.task_stream, row.partition) &&
      holdsUp(other) &&
      row.key !== null &&
      other.key === row.key &&
      before(other),
  )
}

function bytesOf(text: string | null | undefined): Buffer | null {
  return text === null || text === undefined ? null : Buffer.from(text.slice(2), 'hex')
}
