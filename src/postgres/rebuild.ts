/**
 * Brings rows of a table with a key to what items have given to them.
 *
 * The work is in proportion to what has changed, not to all that was ever given to a row: the first and the last that was given
 * to a column are found by an index, what is added up takes the difference. All is looked at where the difference does not tell:
 * a smallest value that was taken back, sums of floats.
 */
import { textArray } from './arrayLiteral.ts'
import type { BoundSink } from './boundSink.ts'
import type { TableColumn } from './catalog.ts'
import type { Link } from './connections.ts'
import type { Change, KeyTexts } from './contributions.ts'
import { ruleOf } from './upsertPlan.ts'
import { maxRowsPerStatement } from './upsertRows.ts'

/** What has happened to the rows of a table. */
export interface Changes {
  readonly added: readonly Change[]
  readonly takenBack: readonly Change[]
}

/** A row as it has to be. */
interface MadeRow {
  readonly key: KeyTexts
  /** How much it was made of: more of it means that somebody else has given something meanwhile. 0: nothing is left. */
  readonly given: number
  /** A text in a list; undefined where nobody gave a column anything, so that it has its default. */
  readonly cells: readonly (readonly [string | null] | null)[]
}

/** A key with what has changed about its row. */
interface Touched {
  readonly key: KeyTexts
  readonly added: string[]
  readonly takenBack: string[]
}

/**
 * Locks the rows that were changed, in the order in which every batch does, and brings them to what items have given to them.
 *
 * @returns keys to which nobody gives anything any more: their rows have to go
 */
export async function inTransactionRebuild(
  link: Link,
  bound: BoundSink,
  changes: Changes,
): Promise<readonly KeyTexts[]> {
  const gone: KeyTexts[] = []
  const touched = touchedKeys(changes)
  for (let start = 0; start < touched.length; start += maxRowsPerStatement) {
    gone.push(...(await rebuildSome(link, bound, touched.slice(start, start + maxRowsPerStatement))))
  }
  return gone
}

/** Deletes rows to which nobody gives anything any more. They are locked. */
export async function inTransactionDeleteRows(link: Link, bound: BoundSink, keys: readonly KeyTexts[]): Promise<void> {
  if (keys.length === 0) return
  const { parameters, equal, names } = keyParts(bound)
  await link.query(
    `delete from ${bound.table.quoted} t using unnest(${parameters}) as given (${names}) where ${equal}`,
    keyArrays(bound, keys),
  )
}

async function rebuildSome(link: Link, bound: BoundSink, touched: readonly Touched[]): Promise<readonly KeyTexts[]> {
  const locked = await lockRows(
    link,
    bound,
    touched.map(({ key }) => key),
  )
  const present = touched.filter((_, index) => locked.has(index))
  const made = await madeRows(link, bound, present, 'changed')
  // A row that is not there may be about to be added by somebody else. Once we have written it, we have waited for that.
  const missing = touched.filter((_, index) => !locked.has(index))
  let added = await madeRows(link, bound, missing, 'all')
  await writeRows(link, bound, [...made, ...added])
  for (;;) {
    const before = new Map(added.map(({ key, given }) => [key, given]))
    added = (await madeRows(link, bound, missing, 'all')).filter(({ key, given }) => given !== before.get(key))
    if (added.length === 0) break
    await writeRows(link, bound, added)
  }
  return made.filter(({ given }) => given === 0).map(({ key }) => key)
}

/** @returns indexes of the keys whose rows are there */
async function lockRows(link: Link, bound: BoundSink, keys: readonly KeyTexts[]): Promise<ReadonlySet<number>> {
  const { parameters, equal, names } = keyParts(bound)
  const { rows } = await link.query<{ n: string }>(
    `select given.n from unnest(${parameters}) with ordinality as given (${names}, n)
     join ${bound.table.quoted} t on ${equal} order by given.n for update of t`,
    keyArrays(bound, keys),
  )
  return new Set(rows.map(({ n }) => Number(n) - 1))
}

/** @param from `changed`: the rows are there, and what is added up takes the difference */
async function madeRows(
  link: Link,
  bound: BoundSink,
  touched: readonly Touched[],
  from: 'changed' | 'all',
): Promise<readonly MadeRow[]> {
  if (touched.length === 0) return []
  const { parameters, names, equal, count } = keyParts(bound)
  const isWhole = from === 'all'
  const columns = valueColumns(bound).map((column, index) => columnSql(bound, column, index, isWhole))
  const differences = columns.map(({ difference }) => difference).join('')
  const cells = columns.map(({ cell }, index) => `, ${cell} as x${index}`).join('')
  const given = isWhole
    ? `(select count(*) from ${givenTo} where ${ofKey(bound)})`
    : `exists (select from ${givenTo} where ${ofKey(bound)})::integer`
  const { rows } = await link.query<Record<string, [string | null] | number | null>>(
    `with difference as (
       select d.n${differences}
       from unnest($${count + 1}::bigint[], $${count + 2}::boolean[], $${count + 3}::jsonb[]) as d (n, added, cells) group by d.n
     )
     select ${given}::float8 as given${cells}
     from unnest(${parameters}) with ordinality as given (${names}, n)
     left join ${bound.table.quoted} t on ${equal}
     left join difference d on d.n = given.n
     order by given.n`,
    [
      ...keyArrays(
        bound,
        touched.map(({ key }) => key),
      ),
      ...differenceArrays(touched),
    ],
  )
  return rows.map((row, index) => ({
    key: touched[index]?.key ?? [],
    given: Number(row.given),
    cells: columns.map((_, column) => (row[`x${column}`] as [string | null] | null | undefined) ?? null),
  }))
}

const givenTo = 'millrace.contributions c'
const inOrder = 'c.arrival, c.record_offset, c.ordinal'
const fromLast = 'c.arrival desc, c.record_offset desc, c.ordinal desc'
const exactSums = ['int2', 'int4', 'int8', 'numeric']

function ofKey({ sink, tracked }: BoundSink): string {
  return `c.table_id = ${tracked?.id ?? 0} and c.key = array[${sink.key.map((_, index) => `given.k${index}`).join(', ')}]`
}

interface ColumnSql {
  /** What has to be known of the changes. */
  readonly difference: string
  /** The column's value as a text in an array; null where nobody has given it anything. */
  readonly cell: string
}

function columnSql(bound: BoundSink, column: TableColumn, index: number, isWhole: boolean): ColumnSql {
  const name = `'${column.name.replaceAll("'", "''")}'`
  const key = ofKey(bound)
  const value = `(c.cells ->> ${name})::${column.castType}`
  const changed = `(d.cells ->> ${name})::${column.castType}`
  const rule = ruleOf(bound, column.name)
  switch (rule) {
    case 'key':
    case 'replace':
      return {
        difference: '',
        cell: `(select array[c.cells ->> ${name}] from ${givenTo} where ${key} and c.cells ? ${name} order by ${fromLast} limit 1)`,
      }
    case 'keep':
      return {
        difference: '',
        cell: `(select case when c.cells ? ${name} then array[c.cells ->> ${name}] end from ${givenTo} where ${key} order by ${inOrder} limit 1)`,
      }
    case 'add': {
      const all = `(select case when bool_or(c.cells ? ${name}) then array[sum(${value} order by ${inOrder})::text] end from ${givenTo} where ${key})`
      if (isWhole || !exactSums.includes(column.type.kind)) return { difference: '', cell: all }
      return {
        difference: `, sum(${changed}) filter (where d.added) as p${index}, sum(${changed}) filter (where not d.added) as m${index}`,
        cell: `case when exists (select from ${givenTo} where ${key} and c.cells ->> ${name} is not null)
            then array[(coalesce(t.${column.quoted}::numeric, 0) - coalesce(d.m${index}, 0) + coalesce(d.p${index}, 0))::text]
          when exists (select from ${givenTo} where ${key} and c.cells ? ${name}) then array[null::text] end`,
      }
    }
    case 'min':
    case 'max': {
      const [order, pick] = rule === 'min' ? ['', 'least'] : [' desc', 'greatest']
      const all = `(select case when bool_or(c.cells ? ${name})
          then array[(array_agg(${value} order by ${value}${order}) filter (where ${value} is not null))[1]::text] end
        from ${givenTo} where ${key})`
      if (isWhole) return { difference: '', cell: all }
      return {
        difference: `, (array_agg(${changed} order by ${changed}${order}) filter (where d.added and ${changed} is not null))[1] as p${index},
          array_agg(${changed}) filter (where not d.added and ${changed} is not null) as m${index}`,
        // Where the column holds what was taken back, or nothing, only all that is left tells.
        cell: `case when t.${column.quoted} is null or t.${column.quoted} = any(d.m${index}) then ${all}
          else array[${pick}(t.${column.quoted}, d.p${index})::text] end`,
      }
    }
  }
}

function differenceArrays(touched: readonly Touched[]): string[] {
  const ns: string[] = []
  const added: string[] = []
  const cells: string[] = []
  for (const [index, change] of touched.entries()) {
    for (const [given, isAdded] of [
      [change.added, 'true'],
      [change.takenBack, 'false'],
    ] as const) {
      for (const one of given) {
        ns.push(String(index + 1))
        added.push(isAdded)
        cells.push(one)
      }
    }
  }
  return [textArray(ns), textArray(added), textArray(cells)]
}

/** Writes rows as they have to be, those of the same columns together, all in the order of their keys. */
async function writeRows(link: Link, bound: BoundSink, rows: readonly MadeRow[]): Promise<void> {
  const columns = valueColumns(bound)
  const shapes = new Map<string, MadeRow[]>()
  for (const row of rows) {
    if (row.given === 0) continue
    const shape = row.cells.map((cell) => (cell === null ? '-' : '+')).join('')
    const same = shapes.get(shape)
    if (same === undefined) shapes.set(shape, [row])
    else same.push(row)
  }
  for (const [shape, same] of shapes) {
    const isWritten = (index: number) => shape[index] === '+'
    const written = columns.filter((_, index) => isWritten(index))
    const cells = columns.flatMap((_, index) =>
      isWritten(index) ? [textArray(same.map((row) => row.cells[index]?.[0] ?? null))] : [],
    )
    const changes = columns.map(
      ({ quoted }, index) => `${quoted} = ${isWritten(index) ? `excluded.${quoted}` : 'default'}`,
    )
    const keys = keyArrays(
      bound,
      same.map(({ key }) => key),
    )
    await link.query(upsertMade(bound, written, changes), [...keys, ...cells])
  }
}

function upsertMade(bound: BoundSink, written: readonly TableColumn[], changes: readonly string[]): string {
  const keys = keyColumns(bound)
  const all = [...keys, ...written]
  const parameters = all.map((_, index) => `$${index + 1}::text[]`).join(', ')
  const names = all.map((_, index) => `c${index}`)
  const casts = all.map(({ castType }, index) => `c${index}::${castType}`).join(', ')
  const action = changes.length === 0 ? 'do nothing' : `do update set ${changes.join(', ')}`
  return `insert into ${bound.table.quoted} (${all.map(({ quoted }) => quoted).join(', ')})
    select ${casts} from unnest(${parameters}) as given (${names.join(', ')})
    on conflict (${keys.map(({ quoted }) => quoted).join(', ')}) ${action}`
}

/** The columns beside the key that items have given something to. */
function valueColumns({ sink, table, tracked }: BoundSink): readonly TableColumn[] {
  return [...table.columns.values()].filter(({ name }) => tracked?.columns.has(name) && !sink.key.includes(name))
}

function keyColumns({ sink, table }: BoundSink): readonly TableColumn[] {
  return sink.key.flatMap((name) => table.columns.get(name) ?? [])
}

function keyParts(bound: BoundSink): { parameters: string; equal: string; names: string; count: number } {
  const columns = keyColumns(bound)
  return {
    parameters: columns.map((_, index) => `$${index + 1}::text[]`).join(', '),
    equal: columns.map(({ quoted, castType }, index) => `t.${quoted} = given.k${index}::${castType}`).join(' and '),
    names: columns.map((_, index) => `k${index}`).join(', '),
    count: columns.length,
  }
}

function keyArrays(bound: BoundSink, keys: readonly KeyTexts[]): string[] {
  return keyColumns(bound).map((_, index) => textArray(keys.map((key) => key[index] ?? null)))
}

/** What has changed, by key, in the order in which every batch locks rows. */
function touchedKeys({ added, takenBack }: Changes): readonly Touched[] {
  const byText = new Map<string, Touched>()
  const touch = ({ key }: Change): Touched => {
    const text = key.map((part) => `\0${part}`).join('')
    const known = byText.get(text)
    if (known !== undefined) return known
    const touched = { key, added: [], takenBack: [] }
    byText.set(text, touched)
    return touched
  }
  for (const change of added) touch(change).added.push(change.cells)
  for (const change of takenBack) touch(change).takenBack.push(change.cells)
  return [...byText].sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0)).map(([, touched]) => touched)
}
