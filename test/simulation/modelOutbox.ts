/** What the store asks of the outbox, carried out on the model. */
import type { ModelDatabase } from './modelDatabase.ts'
import type { ModelRow, Values } from './modelTable.ts'
import type { Transaction } from './modelTransaction.ts'

interface Asked {
  readonly database: ModelDatabase
  readonly transaction: Transaction
  readonly interrupted: AbortSignal
}

export async function takeSequences(asked: Asked, values: readonly unknown[]): Promise<readonly object[]> {
  const { database, transaction, interrupted } = asked
  const [app, stream, partition, last, sent] = values
  const table = database.table('millrace.emitters')
  let emitter = findEmitter(asked, values)
  if (last !== null) {
    // Nobody else has it: the task's progress is locked.
    const row = emitter?.row ?? newRow()
    if (emitter === undefined) table.rows.push(row)
    const id = emitter?.values.id ?? String(table.rows.length)
    const own = { id, app: String(app), stream: String(stream), partition: String(partition), sequence: String(last) }
    transaction.write(table, row, own)
    emitter = { row, values: own }
  }
  if (emitter === undefined) return [{ emitter: null }]
  const outbox = database.table('millrace.outbox')
  for (const row of outbox.rows) {
    const isSent = () => {
      const cells = outbox.visible(row, transaction)
      return cells?.emitter === emitter?.values.id && Number(cells?.sequence) <= Number(sent)
    }
    if (!isSent()) continue
    await transaction.lock(outbox, row, interrupted)
    if (isSent()) transaction.write(outbox, row, undefined)
  }
  return [{ emitter: Number(emitter.values.id) }]
}

export function leftEmits(asked: Asked, values: readonly unknown[]): readonly object[] {
  const emitter = findEmitter(asked, values)?.values
  if (emitter === undefined) return []
  const { database, transaction } = asked
  const table = database.table('millrace.outbox')
  const left = table.rows
    .map((row) => table.visible(row, transaction))
    .filter((row): row is Values => row?.emitter === emitter.id)
    .sort((a, b) => Number(a.sequence) - Number(b.sequence))
  if (left.length === 0) return [{ last: emitter.sequence, sequence: null }]
  return left.map((row) => ({
    ...row,
    last: emitter.sequence,
    partition: Number(row.partition),
    key: bytesOf(row.key),
    value: bytesOf(row.value),
  }))
}

function findEmitter(
  { database, transaction }: Asked,
  [app, stream, partition]: readonly unknown[],
): { readonly row: ModelRow; readonly values: Values } | undefined {
  const table = database.table('millrace.emitters')
  for (const row of table.rows) {
    const values = table.visible(row, transaction)
    if (values?.app === app && values?.stream === stream && values?.partition === String(partition)) {
      return { row, values: values as Values }
    }
  }
  return undefined
}

function newRow(): ModelRow {
  return { committed: undefined, pending: undefined, by: undefined }
}

function bytesOf(text: string | null | undefined): Buffer | null {
  return text === null || text === undefined ? null : Buffer.from(text.slice(2), 'hex')
}
