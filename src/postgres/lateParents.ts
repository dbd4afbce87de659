/**
 * A row may come before the row that its foreign key points to. One item at a time, it would be refused; in one batch
 * the tables are written in an order that lets it through, and a different cut of the same input would not. So that
 * the cut makes no difference, such a row is refused here.
 */
import pg from 'pg'
import { textArray } from './arrayLiteral.ts'
import type { ForeignKey } from './catalog.ts'
import type { Link } from './connections.ts'
import { type Selection, type TableBuffer, WriteRefused } from './tableBuffer.ts'
import { ruleOf } from './upsertPlan.ts'

/** A row that points to a later one of the batch. */
interface EarlyRow {
  readonly key: readonly string[]
  readonly owner: number
  readonly position: number
}

/** Looks at the selected rows, before any of them is written. @throws WriteRefused for the first that came too early */
export async function inTransactionCheckParents(
  link: Link,
  buffers: readonly TableBuffer[],
  selection: Selection,
): Promise<void> {
  for (const child of buffers) {
    for (const foreignKey of child.bound.table.foreignKeys) {
      const parents = buffers.filter(({ bound }) => bound.table.oid === foreignKey.refersTo)
      const [parent] = parents
      if (parent === undefined || keepsOld(child, foreignKey)) continue
      const early = earlyRows(child, parents, foreignKey, selection)
      if (early.length === 0) continue
      const first = await firstWithoutParent(link, parent, foreignKey, early)
      if (first !== undefined)
        throw new WriteRefused(child.bound, missingParent(child, parent, first), { owner: first.owner })
    }
  }
}

/** A row that exists keeps what it points to, whatever the new one says: only the database knows which that is. */
function keepsOld({ bound, sink }: TableBuffer, { columns }: ForeignKey): boolean {
  return sink.key.length > 0 && columns.some((name) => ruleOf(bound, name) === 'keep')
}

function earlyRows(
  child: TableBuffer,
  parents: readonly TableBuffer[],
  { columns, otherColumns }: ForeignKey,
  { position }: Selection,
): readonly EarlyRow[] {
  const firstPositions = new Map<string, number>()
  for (const { trail } of parents) {
    trail?.each(otherColumns, (key, owner) => {
      const place = position(owner)
      if (place === undefined) return
      const text = key.join('\0')
      firstPositions.set(text, Math.min(place, firstPositions.get(text) ?? place))
    })
  }
  const early: EarlyRow[] = []
  child.trail?.each(columns, (key, owner) => {
    const place = position(owner)
    const parentPlace = firstPositions.get(key.join('\0'))
    if (place !== undefined && parentPlace !== undefined && parentPlace > place)
      early.push({ key, owner, position: place })
  })
  return early.sort((a, b) => a.position - b.position)
}

// What is in the table already was there for every item.
async function firstWithoutParent(
  link: Link,
  parent: TableBuffer,
  { otherColumns }: ForeignKey,
  early: readonly EarlyRow[],
): Promise<EarlyRow | undefined> {
  const { table } = parent.bound
  const columns = otherColumns.flatMap((name) => table.columns.get(name) ?? [])
  const parameters = columns.map((_, index) => `$${index + 1}::text[]`).join(', ')
  const names = columns.map((_, index) => `c${index}`).join(', ')
  const equal = columns.map(({ quoted, castType }, index) => `there.${quoted} = c${index}::${castType}`).join(' and ')
  const { rows } = await link.query<{ missing: number | null }>(
    `select (min(n))::float8 as missing from unnest(${parameters}) with ordinality as given (${names}, n)
     where not exists (select from ${table.quoted} there where ${equal})`,
    columns.map((_, index) => textArray(early.map(({ key }) => key[index] ?? null))),
  )
  const missing = rows[0]?.missing
  return missing === null || missing === undefined ? undefined : early[missing - 1]
}

/** As Postgres says it when the row comes alone. */
function missingParent(child: TableBuffer, parent: TableBuffer, { key }: EarlyRow): Error {
  const message = `insert on table "${child.bound.table.bareName}" violates a foreign key: (${key.join(', ')}) comes only later into table "${parent.bound.table.bareName}"`
  return Object.assign(new pg.DatabaseError(message, message.length, 'error'), {
    severity: 'ERROR',
    code: '23503',
    table: child.bound.table.bareName,
  })
}
