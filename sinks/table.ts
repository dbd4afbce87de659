import { PlanError } from '../src/core/errors.ts'
import { isOptions, shown } from '../src/core/options.ts'
import type { ConflictRule, OnConflict, Sink } from '../src/core/sink.ts'

/** The columns of a row; any name when the row's type is not stated. */
type ColumnOf<Row> = [keyof Row] extends [never] ? string : keyof Row & string

export interface TableOptions<Row> {
  /**
   * The columns that recognise a row. They make the sink an upsert, and a unique index or primary key
   * must stand on exactly these columns.
   *
   * @default none: rows are only added
   */
  readonly key?: ColumnOf<Row> | readonly ColumnOf<Row>[]
  /**
   * The columns that are written; other properties of a row are left out. Stated columns are compared with the
   * table at start, else those of the first row are when it arrives.
   */
  readonly columns?: readonly ColumnOf<Row>[]
  /**
   * What happens to a column when its key exists: `replace` (the default) takes the new value, `add` the sum,
   * `keep` leaves the old one, `min` and `max` take the smaller and the larger. A null on one side of `add`, `min`
   * and `max` counts as absent. `'nothing'` leaves an existing row as it is.
   */
  readonly onConflict?: [keyof Row] extends [never]
    ? 'nothing' | Readonly<Record<string, ConflictRule>>
    : OnConflict<Row>
  /** The full `create table` statement, run at start when the table is missing. */
  readonly create?: string
  /**
   * Remembers which rows each item made, so that `millrace reparse` can run items again and put their new rows in the place of
   * the old ones. A table without a key gets two columns more, `mr_task` and `mr_offset`, and an index; what items have given
   * to the rows of one with a key is kept in `millrace.contributions`.
   *
   * @default false
   */
  readonly track?: boolean
}

const optionNames = ['key', 'columns', 'onConflict', 'create', 'track']
const rules: readonly string[] = ['replace', 'add', 'keep', 'min', 'max'] satisfies ConflictRule[]

/**
 * Describes a table to write to. Connects to nothing: describing, drawing and testing cost nothing.
 *
 * Without a key, rows are added by COPY. With one, rows of a batch that share a key are merged by the columns'
 * rules, in offset order, and upserted; the result is that of one upsert after the other.
 *
 * @example
 * const flown = table('flights')
 * const totals = table<{ origin: string; flights: number }>('airport_totals', { key: 'origin', onConflict: { flights: 'add' } })
 *
 * @param name as Postgres would be told it: `flights`, `reporting.flights`, `"Flights"`
 * @throws PlanError when an option is unknown or does not fit the others
 */
export function table<Row extends object = object>(name: string, options: TableOptions<NoInfer<Row>> = {}): Sink<Row> {
  const refuse = (code: string, what: string, fix: string): never => {
    throw new PlanError(code, { what: `table(${JSON.stringify(name)}): ${what}`, fix })
  }
  if (typeof name !== 'string' || name.trim() === '') {
    refuse('MR-TABLE-NAME', 'a table needs a name', "Give the name as Postgres knows it: table('reporting.flights').")
  }
  if (!isOptions(options)) refuse('MR-TABLE-OPTION', 'its options are no object', 'Give them as { key: … }.')
  for (const option of Object.keys(options)) {
    if (optionNames.includes(option)) continue
    refuse('MR-TABLE-OPTION', `unknown option "${option}"`, `Valid options are ${optionNames.join(', ')}.`)
  }

  const key: readonly string[] = options.key === undefined ? [] : [options.key].flat()
  const columns: readonly string[] | undefined = options.columns
  // Types are gone from here on: a plan may come from JavaScript, so everything is looked at.
  const onConflict = (options.onConflict ?? {}) as 'nothing' | Readonly<Record<string, ConflictRule>>

  if (options.key !== undefined && key.length === 0) {
    refuse(
      'MR-TABLE-KEY',
      'the key names no column',
      "Name its columns: { key: ['origin', 'window_start'] }, or leave it out.",
    )
  }
  for (const [what, names] of [
    ['key', key],
    ['columns', columns ?? []],
  ] as const) {
    const twice = names.find((column, index) => names.indexOf(column) !== index)
    if (twice !== undefined) refuse('MR-TABLE-COLUMN', `${what} names "${twice}" twice`, 'Name each column once.')
  }
  if (columns?.length === 0) {
    refuse('MR-TABLE-COLUMN', 'columns is an empty list', 'Name the columns to write, or leave the option out.')
  }
  if (options.onConflict !== undefined && key.length === 0) {
    refuse(
      'MR-TABLE-KEY',
      'onConflict needs a key',
      "Say which columns recognise a row: { key: 'origin', onConflict: … }.",
    )
  }
  const unwritten = key.find((column) => columns !== undefined && !columns.includes(column))
  if (unwritten !== undefined) {
    refuse('MR-TABLE-COLUMN', `columns leaves out "${unwritten}", which the key names`, 'Add it to columns.')
  }
  if (onConflict !== 'nothing') checkRules(onConflict, key, columns, refuse)
  if (options.create !== undefined && !/^\s*create\s/i.test(options.create)) {
    refuse(
      'MR-TABLE-CREATE',
      'create is not a create statement',
      "Give the full statement: { create: 'create table flights (…)' }.",
    )
  }

  if (options.track !== undefined && typeof options.track !== 'boolean') {
    refuse('MR-TABLE-TRACK', `track cannot be ${shown(options.track)}`, 'Say true or false.')
  }

  return Object.freeze({
    kind: 'table',
    name,
    key: Object.freeze([...key]),
    columns: columns === undefined ? undefined : Object.freeze([...columns]),
    onConflict: onConflict === 'nothing' ? onConflict : Object.freeze({ ...onConflict }),
    create: options.create,
    track: options.track === true,
  } as const)
}

function checkRules(
  onConflict: Readonly<Record<string, ConflictRule>>,
  key: readonly string[],
  columns: readonly string[] | undefined,
  refuse: (code: string, what: string, fix: string) => never,
): void {
  if (typeof onConflict !== 'object' || onConflict === null) {
    refuse(
      'MR-TABLE-RULE',
      `onConflict cannot be ${JSON.stringify(onConflict)}`,
      "Give 'nothing' or a rule per column.",
    )
  }
  for (const [column, rule] of Object.entries(onConflict)) {
    if (!rules.includes(rule)) {
      refuse('MR-TABLE-RULE', `onConflict.${column} cannot be "${rule}"`, `Valid rules are ${rules.join(', ')}.`)
    }
    if (key.includes(column)) {
      refuse(
        'MR-TABLE-RULE',
        `onConflict names "${column}", which is part of the key`,
        'A key stays as it is: leave it out.',
      )
    }
    if (columns !== undefined && !columns.includes(column)) {
      refuse(
        'MR-TABLE-RULE',
        `onConflict names "${column}", which columns leaves out`,
        'Add it to columns, or drop its rule.',
      )
    }
  }
}
