/** The statements that millrace sends, carried out on the model. One that is not known is an error of the model, and says so. */
import pg from 'pg'
import {
  changeItems,
  collectorRow,
  deleteSettled,
  failedAgain,
  heldKeys,
  lockedItemsAt,
  waitingItems,
  waitingTasks,
} from './modelCollector.ts'
import type { ModelDatabase } from './modelDatabase.ts'
import { changePortion, countMeant, plannedGroups, wakeParked } from './modelErrorsChange.ts'
import { leftEmits, takeSequences } from './modelOutbox.ts'
import { advisoryLocks, migrationNames } from './modelSchema.ts'
import { changeStep, dues, endState, extent, noteStep, readState, readStep, writeState } from './modelState.ts'
import { type ModelRow, type ModelTable, refusal, type Values } from './modelTable.ts'
import type { Transaction } from './modelTransaction.ts'

type Cells = readonly (string | null)[]

/** A statement as it was sent. */
export interface Sent {
  readonly text: string
  readonly values: readonly unknown[]
  /** The lines of a COPY. */
  readonly data: string | undefined
}

/** Who asks: a transaction that is open or is made for this statement alone. */
export interface Asked extends Sent {
  readonly database: ModelDatabase
  readonly transaction: Transaction
  readonly interrupted: AbortSignal
}

export type Answer = readonly object[]

interface Known {
  readonly text: RegExp
  run(asked: Asked, matched: RegExpExecArray): Promise<Answer> | Answer
}

/** @throws DatabaseError as Postgres would; Error when the model does not know the statement */
export async function carryOut(asked: Asked): Promise<Answer> {
  for (const { text, run } of known) {
    const matched = text.exec(asked.text)
    if (matched !== null) return run(asked, matched)
  }
  throw new Error(`the model of Postgres does not know this statement:\n${asked.text}`)
}

const known: readonly Known[] = [
  { text: /^select millrace\.fence\((.*)\)$/s, run: (asked, [, literals = '']) => fence(asked, literalsOf(literals)) },
  { text: /^select \* from millrace\.claim\(/, run: (asked) => claim(asked, asked.values as Cells) },
  {
    text: /^copy (\S+) \((.*)\) from stdin$/,
    run: (asked, [, table = '', columns = '']) => copy(asked, table, columns.split(', ')),
  },
  {
    text: /^insert into (\S+) as old \(([^)]*)\) select .*? on conflict \(([^)]*)\) do (nothing|update set (.*))$/s,
    run: (asked, [, table = '', columns = '', key = '', , changes]) =>
      upsert(asked, table, { columns: columns.split(', '), key: key.split(', '), changes: changesOf(changes) }),
  },
  { text: /^\s*insert into millrace\.errors /, run: collect },
  { text: /^select task\.stream, task\.partition/, run: (asked) => waitingTasks(asked, String(asked.values[0])) },
  { text: /^with blocking as materialized/, run: (asked) => waitingItems(asked, asked.values) },
  {
    text: /^select key, \(count\(\*\) filter \(where state = 'parked'\)\)::int as parked from millrace\.errors/,
    run: (asked) => heldKeys(asked, asked.values),
  },
  {
    text: /^update millrace\.errors set state = \$1/,
    run: (asked) => {
      const [state = null, ids = ''] = asked.values as string[]
      return changeItems(asked, cellsOf(ids), (old) => {
        return { ...old, state, remembered: null, settled_at: String(asked.database.now()) }
      })
    },
  },
  {
    text: /^\s*update millrace\.errors e set \(/,
    run: (asked) => {
      const [ids = [], ...columns] = (asked.values as string[]).map(cellsOf)
      const cells = (index: number) => columns.map((column) => column[index] ?? null)
      return changeItems(asked, ids, (old, index) => failedAgain(old, cells(index), asked.database.now()))
    },
  },
  {
    text: /^delete from millrace\.errors e using \(\s*select id from millrace\.errors\s+where app = \$1 and settled_at </,
    run: (asked) => deleteSettled(asked, asked.values),
  },
  {
    text: /^select id, stream, record_offset, attempts from millrace\.errors\s+where .* for update$/s,
    run: (asked) => lockedItemsAt(asked, [...asked.values.slice(0, 4), cellsOf(String(asked.values[4]))]),
  },
  { text: /^select clock_timestamp\(\)::text as now$/, run: ({ database }) => [{ now: String(database.now()) }] },
  { text: /^select g\.\*, newest\.error_message as message from/, run: plannedGroups },
  { text: /^select stream, order_steps from millrace\.plans/, run: () => [] },
  { text: /^\s*with chosen as \(\s*select e\.id from millrace\.errors e where/, run: changePortion },
  { text: /^select count\(\*\)::float8 as count from millrace\.errors e where/, run: countMeant },
  { text: /^\s*with keys as \(\s*select distinct task_stream/, run: wakeParked },
  // No table of the model is tracked.
  { text: /from millrace\.tracked_(tasks|tables)\s+where/, run: () => [] },
  { text: /^select pg_advisory_xact_lock\(hashtextextended\(\$1, 0\)\)$/, run: lockName },
  { text: /^insert into millrace\.plans /, run: notePlan },
  { text: /^\s*insert into millrace\.state_steps /, run: (asked) => noteStep(asked, asked.values) },
  { text: /^\s*select id, shape, encoding, not exists/, run: (asked) => readStep(asked, asked.values) },
  { text: /^update millrace\.state_steps set shape/, run: (asked) => changeStep(asked, asked.values) },
  { text: /^\s*select exists \(select from millrace\.state where/, run: (asked) => extent(asked, asked.values) },
  {
    text: /from millrace\.read_state\(/,
    run: (asked) => readState(asked, [asked.values[0], asked.values[1], cellsOf(String(asked.values[2]))]),
  },
  { text: /from millrace\.left_emits\(/, run: (asked) => leftEmits(asked, asked.values) },
  { text: /^select millrace\.take_sequences\(/, run: (asked) => takeSequences(asked, asked.values) },
  { text: /from millrace\.due_state\(/, run: (asked) => dues(asked, asked.values) },
  {
    text: /^select e\.cells, e\.versions,\s+millrace\.write_state\(/,
    run: async (asked) => {
      const [step, partition, keys, ats, values, due, versions, endedTo] = asked.values
      const columns = [keys, ats, values, due, versions].map((column) => cellsOf(String(column)))
      const ended = await endState(asked, [step, partition, endedTo])
      return [{ ...ended, ...(await writeState(asked, [step, partition, ...columns])) }]
    },
  },
  {
    text: /^select owner, version from millrace\.progress\s+where .* for update$/s,
    run: async (asked) => {
      const [app, stream, partition] = asked.values as [string, string, number]
      const rows = await lockProgress(asked, app, stream, String(partition))
      return rows.map(({ owner, version }) => ({ owner, version }))
    },
  },
  {
    text: /^select from millrace\.progress where .* and owner = \$4/s,
    run: ({ database, transaction, values: [app, stream, partition, owner] }) =>
      visibleRows(database.table('millrace.progress'), transaction).filter(
        (row) => row.app === app && row.stream === stream && row.partition === String(partition) && row.owner === owner,
      ),
  },
  {
    text: /^select stream, source, partition, next_offset, fingerprint from millrace\.progress/,
    run: ({ database, transaction, values }) =>
      visibleRows(database.table('millrace.progress'), transaction)
        .filter(({ app }) => app === values[0])
        .map((row) => ({ ...row, partition: Number(row.partition) })),
  },
  {
    text: /^select exists \(select from (\S+)\) as some$/,
    run: ({ database, transaction }, [, table = '']) => [
      { some: visibleRows(database.table(table), transaction).length > 0 },
    ],
  },
  {
    text: /^select \(min\(n\)\)::float8 as missing .*\(select from (\S+) there where there\.(\w+) = c0::\w+\)$/s,
    run: ({ database, transaction, values }, [, table = '', column = '']) => {
      const there = visibleRows(database.table(table), transaction).map((row) => row[column])
      const missing = cellsOf(String(values[0])).findIndex((cell) => !there.includes(cell))
      return [{ missing: missing < 0 ? null : missing + 1 }]
    },
  },
  {
    text: /^set constraints all immediate$/,
    run({ transaction }) {
      transaction.setImmediate()
      return []
    },
  },
  { text: /server_version_num/, run: () => [{ version: 160_000, in_recovery: false, read_only: 'off' }] },
  { text: /^select pg_backend_pid/, run: () => [{ pid: 1 }] },
  { text: /^select to_regclass\('millrace\.migrations'\)/, run: () => [{ there: true }] },
  { text: /^select name from millrace\.migrations/, run: () => migrationNames.map((name) => ({ name })) },
  { text: /^\s*select c\.oid/, run: ({ database, values }) => [describeTable(database, String(values[0]))] },
  { text: /^\s*with recursive base/, run: ({ database, values }) => describeColumns(tableNumber(database, values[0])) },
  { text: /from pg_constraint k/, run: ({ database, values }) => describeConstraints(database, values[0]) },
  { text: /from pg_index i/, run: ({ database, values }) => describeUniques(tableNumber(database, values[0])) },
]

async function lockProgress(
  { database, transaction, interrupted }: Asked,
  app: string,
  stream: string,
  partition: string,
): Promise<readonly Values[]> {
  const table = database.table('millrace.progress')
  const rows = table.rows.filter((row) => {
    const values = table.visible(row, transaction)
    return values?.app === app && values.stream === stream && values.partition === partition
  })
  const locked: Values[] = []
  for (const row of rows) {
    await transaction.lock(table, row, interrupted)
    const values = table.visible(row, transaction)
    if (values !== undefined) locked.push(values)
  }
  return locked.toSorted((a, b) => ((a.source ?? '') < (b.source ?? '') ? -1 : 1))
}

/** Until the transaction ends. */
async function lockName({ database, transaction, interrupted, values }: Asked): Promise<Answer> {
  const table = database.table(advisoryLocks.name)
  const named = { name: String(values[0]) }
  const known = table.sameKey(['name'], named)
  const row: ModelRow = known ?? { committed: named, pending: undefined, by: undefined }
  if (known === undefined) table.rows.push(row)
  await transaction.lock(table, row, interrupted)
  return []
}

async function fence(asked: Asked, literals: Cells): Promise<Answer> {
  const [app = '', stream = '', partition = '', owner = '', version = '', ...rest] = literals as string[]
  const arrays = rest.slice(0, 3)
  const [budget, halted, plan, watermarks] = literals.slice(8)
  const moved = progressOf(arrays)
  const present = await lockProgress(asked, app, stream, partition)
  const isStranger = (row: Values) => row.owner !== owner || row.version !== version
  const isMissing = ({ source }: Moved) => !present.some((row) => row.source === source)
  if (present.length === 0 || present.some(isStranger) || moved.some(isMissing))
    throw refusal(
      'MR001',
      `progress of app ${app}, stream ${stream}, partition ${partition} is not at version ${version}`,
    )
  for (const row of present) {
    const to = moved.find(({ source }) => source === row.source)
    const task = { budget: budget ?? null, halted: halted ?? null, halted_plan: plan ?? null }
    const time = { watermarks: watermarks ?? row.watermarks ?? null }
    writeProgress(asked, { ...row, ...to, ...task, ...time, version: String(Number(version) + 1) })
  }
  return []
}

async function claim(asked: Asked, values: Cells): Promise<Answer> {
  const [app = '', stream = '', , owner = '', ...arrays] = values as readonly string[]
  const partition = String(values[2])
  const table = asked.database.table('millrace.progress')
  for (const start of progressOf(arrays)) {
    const running = { budget: null, halted: null, halted_plan: null, watermarks: null }
    const row = { app, stream, partition, version: '0', owner, ...running, ...start }
    await insert(asked, table, row, () => undefined)
  }
  const rows = await lockProgress(asked, app, stream, partition)
  const version = String(Math.max(...rows.map((row) => Number(row.version))) + 1)
  return rows.map((row) => writeProgress(asked, { ...row, owner, version }))
}

interface Moved {
  readonly source: string | null
  readonly next_offset: string | null
  readonly fingerprint: string | null
}

function progressOf(arrays: readonly string[]): readonly Moved[] {
  const [sources = [], offsets = [], fingerprints = []] = arrays.map(cellsOf)
  return sources.map((source, index) => ({
    source,
    next_offset: offsets[index] ?? null,
    fingerprint: fingerprints[index] ?? null,
  }))
}

/** Of a row that this transaction has locked. */
function writeProgress({ database, transaction }: Asked, values: Values): Values {
  const table = database.table('millrace.progress')
  const row = table.sameKey(['app', 'stream', 'source', 'partition'], values)
  if (row?.by !== transaction) throw new Error('the model writes progress that it has not locked')
  transaction.write(table, row, values)
  return values
}

/** Lines are parsed and checked first, and only then do they go past the unique indexes: Postgres inserts many at once. */
async function copy(asked: Asked, name: string, columns: readonly string[]): Promise<Answer> {
  const table = asked.database.table(name)
  const lines = (asked.data ?? '').split('\n').slice(0, -1)
  const at = (index: number, error: unknown) => {
    if (error instanceof pg.DatabaseError) error.where = `COPY ${name}, line ${index + 1}: "${lines[index]}"`
    return error
  }
  const rows = lines.map((line, index) => {
    try {
      return table.checked(
        named(
          columns,
          line.split('\t').map((cell) => (cell === '\\N' ? null : unescaped(cell))),
        ),
      )
    } catch (error) {
      throw at(index, error)
    }
  })
  for (const [index, row] of rows.entries()) {
    try {
      await insert(asked, table, row)
    } catch (error) {
      throw at(index, error)
    }
  }
  return []
}

/** How a column of a row that is there changes: a word of the table sink, by column. */
type Changes = readonly { readonly column: string; readonly rule: 'replace' | 'add' | 'least' | 'greatest' }[]

interface Upsert {
  readonly columns: readonly string[]
  readonly key: readonly string[]
  readonly changes: Changes
}

async function upsert(asked: Asked, name: string, { columns, key, changes }: Upsert): Promise<Answer> {
  const table = asked.database.table(name)
  const arrays = (asked.values as string[]).map(cellsOf)
  const written = new Set<ModelRow>()
  for (let index = 0; index < (arrays[0]?.length ?? 0); index++) {
    const given = table.checked(
      named(
        columns,
        arrays.map((cells) => cells[index] ?? null),
      ),
    )
    const row = await insert(asked, table, given, (old) => table.checked({ ...old, ...merged(changes, old, given) }), {
      key,
      written,
      keepsOld: changes.length === 0,
    })
    if (row !== undefined) written.add(row)
  }
  return []
}

interface OnConflict {
  readonly key: readonly string[]
  /** Rows that this statement has written already. */
  readonly written: ReadonlySet<ModelRow>
  readonly keepsOld: boolean
}

/**
 * Inserts one row, waiting for whoever may be about to commit one of the same key.
 *
 * @param merge makes the new values where the row is there; without it, or by another unique index, it is a refusal
 * @throws DatabaseError 23505, 21000
 */
async function insert(
  { transaction, interrupted }: Asked,
  table: ModelTable,
  values: Values,
  merge?: (old: Values) => Values | undefined,
  conflict?: OnConflict,
): Promise<ModelRow | undefined> {
  for (const columns of table.model.uniques ?? []) {
    for (;;) {
      const other = table.sameKey(columns, values)
      if (other === undefined) break
      await transaction.lock(table, other, interrupted)
      const old = table.visible(other, transaction)
      // Whoever had it has taken it back.
      if (old === undefined || columns.some((column) => old[column] !== values[column])) continue
      const isArbiter = conflict === undefined || sameNames(columns, conflict.key)
      if (merge === undefined || !isArbiter) {
        const place = `(${columns.join(', ')})=(${columns.map((column) => values[column]).join(', ')})`
        throw refusal('23505', `duplicate key ${place} in "${table.model.name}"`, table.model.name)
      }
      if (conflict?.keepsOld) return undefined
      if (conflict?.written.has(other))
        throw refusal('21000', 'ON CONFLICT DO UPDATE command cannot affect row a second time')
      const next = merge(old)
      if (next !== undefined) transaction.write(table, other, next)
      return other
    }
  }
  const row: ModelRow = { committed: undefined, pending: undefined, by: undefined }
  table.rows.push(row)
  transaction.write(table, row, values)
  return row
}

function sameNames(some: readonly string[], others: readonly string[]): boolean {
  return some.length === others.length && some.every((name) => others.includes(name))
}

function merged(changes: Changes, old: Values, given: Values): Values {
  return Object.fromEntries(changes.map(({ column, rule }) => [column, changed(rule, old[column], given[column])]))
}

function changed(rule: Changes[number]['rule'], old: string | null = null, given: string | null = null): string | null {
  if (rule === 'replace') return given
  if (old === null || given === null) return old ?? given
  if (rule === 'add') return String(BigInt(old) + BigInt(given))
  const isLess = BigInt(old) < BigInt(given)
  return (rule === 'least') === isLess ? old : given
}

function changesOf(text: string | undefined): Changes {
  if (text === undefined) return []
  return Array.from(
    text.matchAll(/(\w+) = (excluded\.|coalesce\(old\.\w+ \+|least\(|greatest\()/g),
    ([, column = '', word]) => ({
      column,
      rule: word === 'excluded.' ? 'replace' : word === 'least(' ? 'least' : word === 'greatest(' ? 'greatest' : 'add',
    }),
  )
}

async function collect(asked: Asked): Promise<Answer> {
  const [app, ...arrays] = asked.values as string[]
  const columns = arrays.map(cellsOf)
  const table = asked.database.table('millrace.errors')
  for (let index = 0; index < (columns[0]?.length ?? 0); index++) {
    const cells = columns.map((column) => column[index] ?? null)
    const row = collectorRow(cells, asked.database.now())
    await insert(asked, table, {
      id: asked.database.nextSerial(),
      app: app ?? null,
      history: '[]',
      settled_at: null,
      ...row,
    })
  }
  return []
}

async function notePlan(asked: Asked): Promise<Answer> {
  const given = named(['app', 'stream', 'hash', 'description', 'order_steps'], asked.values as Cells)
  await insert(asked, asked.database.table('millrace.plans'), given, () => given)
  return []
}

function visibleRows(table: ModelTable, transaction: Transaction): readonly Values[] {
  return table.rows.map((row) => table.visible(row, transaction)).filter((values) => values !== undefined)
}

function named(columns: readonly string[], cells: Cells): Values {
  return Object.fromEntries(columns.map((column, index) => [column, cells[index] ?? null]))
}

const parseTextArray: (text: string) => unknown = pg.types.getTypeParser(1009 as never)

/** The elements of an array literal, read by pg's own parser. */
function cellsOf(literal: string): Cells {
  return parseTextArray(literal) as Cells
}

/** SQL literals between commas: 'it''s', E'back\\slash', null. */
function literalsOf(text: string): Cells {
  return Array.from(text.matchAll(/(?:null|( ?E)?'((?:[^']|'')*)')(?:, |$)/g), ([, escapes, inside]) => {
    if (inside === undefined) return null
    const plain = inside.replaceAll("''", "'")
    return escapes === undefined ? plain : plain.replaceAll('\\\\', '\\')
  })
}

const escapes: Readonly<Record<string, string>> = { b: '\b', f: '\f', n: '\n', r: '\r', t: '\t', v: '\v' }

function unescaped(cell: string): string {
  return cell.replaceAll(/\\(.)/gs, (_, char: string) => escapes[char] ?? char)
}

function tableNumber(database: ModelDatabase, oid: unknown): ModelTable {
  const table = database.tables[Number(oid)]
  if (table === undefined) throw new Error(`the model has no table ${String(oid)}`)
  return table
}

function describeTable(database: ModelDatabase, name: string): object {
  return {
    oid: database.tables.findIndex(({ model }) => model.name === name),
    bare_name: name,
    quoted: name,
    relkind: 'r',
    has_triggers: false,
    may_insert: true,
    may_upsert: true,
  }
}

const typeNames = { integer: 'int4', bigint: 'int8', text: 'text' } as const

function describeColumns({ model: { columns, notNull = [] } }: ModelTable): Answer {
  return Object.entries(columns).map(([name, kind]) => ({
    name,
    quoted: name,
    shown_type: kind,
    cast_type: kind,
    type_name: typeNames[kind],
    type_mod: -1,
    element_name: null,
    not_null: notNull.includes(name),
    has_default: false,
    generated: false,
    is_domain: false,
  }))
}

function describeConstraints(database: ModelDatabase, oid: unknown): Answer {
  const { checks = [], reference } = tableNumber(database, oid).model
  const foreign = reference && {
    contype: 'f',
    columns: [reference.column],
    condeferrable: true,
    refers_to: database.tables.findIndex(({ model }) => model.name === reference.table),
    paired: [reference.column],
    other_columns: [reference.otherColumn],
  }
  const check = { contype: 'c', columns: null, condeferrable: false, refers_to: 0, paired: null, other_columns: null }
  return [...checks.map(() => check), ...(foreign === undefined ? [] : [foreign])]
}

function describeUniques({ model: { uniques = [] } }: ModelTable): Answer {
  return uniques.map((columns) => ({
    columns,
    on_expressions: false,
    arbiter: true,
    deferrable: false,
    nulls_equal: false,
  }))
}
