/** What the store asks of the tables of keyed state, carried out on the model. */
import type { ModelDatabase } from './modelDatabase.ts'
import type { ModelRow, ModelTable, Values } from './modelTable.ts'
import type { Transaction } from './modelTransaction.ts'

type Cells = readonly (string | null)[]

interface Asked {
  readonly database: ModelDatabase
  readonly transaction: Transaction
  readonly interrupted: AbortSignal
}

const isOf = (row: Values, step: unknown, partition: unknown) =>
  row.step === String(step) && row.partition === String(partition)

/** Notes a step under a number of its own, unless it is there. */
export function noteStep(asked: Asked, [app, stream, step, shape, encoding]: readonly unknown[]): readonly object[] {
  const table = asked.database.table('millrace.state_steps')
  if (findStep(asked, [app, stream, step]) === undefined) {
    const row: ModelRow = { committed: undefined, pending: undefined, by: undefined }
    table.rows.push(row)
    const values = { app, stream, step, shape, encoding }
    const texts = Object.fromEntries(Object.entries(values).map(([name, value]) => [name, String(value)]))
    asked.transaction.write(table, row, { id: String(table.rows.length), ...texts })
  }
  return []
}

export function readStep(asked: Asked, values: readonly unknown[]): readonly object[] {
  const found = findStep(asked, values)
  if (found === undefined) return []
  const empty = !visible(asked).some(({ step }) => step === found.id)
  return [{ id: Number(found.id), shape: found.shape, encoding: Number(found.encoding), empty }]
}

export function changeStep(
  { database, transaction }: Asked,
  [id, shape, encoding]: readonly unknown[],
): readonly object[] {
  const table = database.table('millrace.state_steps')
  for (const row of table.rows) {
    const values = table.visible(row, transaction)
    if (values?.id === String(id))
      transaction.write(table, row, { ...values, shape: String(shape), encoding: String(encoding) })
  }
  return []
}

function findStep(asked: Asked, [app, stream, step]: readonly unknown[]): Values | undefined {
  const table = asked.database.table('millrace.state_steps')
  return table.rows
    .map((row) => table.visible(row, asked.transaction))
    .find((row) => row?.app === app && row?.stream === stream && row?.step === step)
}

export function extent(asked: Asked, [step, partition]: readonly unknown[]): readonly object[] {
  const own = visible(asked).filter((row) => isOf(row, step, partition))
  const [first] = dues(asked, [step, partition, Number.NEGATIVE_INFINITY, '', 1])
  return [{ some: own.length > 0, due: first?.due ?? null }]
}

export function readState(
  asked: Asked,
  [step, partition, keys]: readonly [unknown, unknown, Cells],
): readonly object[] {
  const wanted = new Set(keys)
  return visible(asked).filter((row) => isOf(row, step, partition) && wanted.has(row.key ?? null))
}

export function dues(
  asked: Asked,
  [step, partition, afterDue, afterKey, limit]: readonly unknown[],
): readonly { readonly key: string; readonly due: string }[] {
  return visible(asked)
    .filter((row) => isOf(row, step, partition) && row.due !== null)
    .map(({ key, due }) => ({ key: String(key), due: String(due) }))
    .filter(({ key, due }) => Number(due) > Number(afterDue) || (due === String(afterDue) && key > String(afterKey)))
    .toSorted((a, b) => Number(a.due) - Number(b.due) || (a.key < b.key ? -1 : 1))
    .slice(0, Number(limit))
}

/** Deletes what is due by a time, and says how much that was. */
export async function endState(
  { database, transaction, interrupted }: Asked,
  [step, partition, upTo]: readonly unknown[],
): Promise<{ readonly cells: number; readonly versions: number }> {
  const table = database.table('millrace.state')
  const isDue = (row: Values | undefined): row is Values =>
    row !== undefined && isOf(row, step, partition) && row.due !== null && Number(row.due) <= Number(upTo)
  let cells = 0
  let versions = 0
  if (upTo === null) return { cells, versions }
  for (const row of table.rows.filter((row) => isDue(table.visible(row, transaction)))) {
    await transaction.lock(table, row, interrupted)
    const found = table.visible(row, transaction)
    if (!isDue(found)) continue
    transaction.write(table, row, undefined)
    cells++
    versions += Number(found.version)
  }
  return { cells, versions }
}

/** Says how many cells were as they were said to be. */
export async function writeState(
  asked: Asked,
  [step, partition, keys, ats, values, due, versions]: readonly [unknown, unknown, ...Cells[]],
): Promise<{ readonly done: number }> {
  const { database, transaction, interrupted } = asked
  const table = database.table('millrace.state')
  let done = 0
  for (const [index, key] of (keys ?? []).entries()) {
    const place = { step: String(step), partition: String(partition), key, at: ats?.[index] ?? null }
    const version = versions?.[index] ?? '0'
    const known = table.sameKey(['step', 'partition', 'key', 'at'], place)
    if (known !== undefined) await transaction.lock(table, known, interrupted)
    const old = known === undefined ? undefined : table.visible(known, transaction)
    if ((old?.version ?? '0') !== version) continue
    const value = values?.[index] ?? null
    const next = { ...place, value, due: due?.[index] ?? null, version: String(Number(version) + 1) }
    if (value === null && known !== undefined) transaction.write(table, known, undefined)
    else if (value !== null) transaction.write(table, old === undefined ? added(table) : (known as ModelRow), next)
    else continue
    done++
  }
  return { done }
}

function added(table: ModelTable): ModelRow {
  const row: ModelRow = { committed: undefined, pending: undefined, by: undefined }
  table.rows.push(row)
  return row
}

function visible({ database, transaction }: Asked): Values[] {
  const table = database.table('millrace.state')
  return table.rows.map((row) => table.visible(row, transaction)).filter((row) => row !== undefined)
}
