import type { Sink } from '../core/sink.ts'
import type { ColumnType } from './columnType.ts'
import type { Link } from './connections.ts'
import type { GivenRows } from './contributions.ts'
import { nullMisfit } from './encoder.ts'
import { KeyTexts } from './keyTexts.ts'
import type { KeyTrail } from './keyTrail.ts'
import { type Cell, mergeRule } from './merge.ts'
import { type AnyRow, isOfLayout, type Layout, RowLayouts, type WrittenColumn } from './rowLayout.ts'
import type { BoundSink } from './sinkChecks.ts'
import { sqlstateOf } from './sqlstate.ts'
import { Owners, type Selection, selectRows, type TableBuffer, WriteRefused } from './tableBuffer.ts'
import { cellArray, ruleOf, sameKeyQuery, type UpsertMode, upsertMode, upsertStatement } from './upsertPlan.ts'
import { chunked, inWaves, type MergedColumn, maxRowsPerStatement, mergedCells, type Statement } from './upsertRows.ts'

const bytesPerCell = 16
/** ON CONFLICT met the same row twice in one statement: keys that we told apart are equal to Postgres. */
const sameRowTwice = '21000'

/** A set of columns that rows write. */
interface Shape {
  readonly index: number
  readonly columns: readonly WrittenColumn[]
  readonly cells: readonly Column[]
  readonly statement: string
}

/** All cells of one column, one for each row of the buffer. */
interface Column extends MergedColumn {
  readonly written: WrittenColumn
  readonly cells: Cell[]
  readonly isKey: boolean
}

/** Rows of a sink with a key. They are kept as converted values by column, merged per key and sent as arrays. */
export class UpsertBuffer implements TableBuffer {
  readonly bound: BoundSink
  readonly trail: KeyTrail | undefined
  readonly #mode: UpsertMode
  readonly #layouts: RowLayouts<Shape>
  readonly #columns = new Map<string, Column>()
  readonly #shapes: Shape[] = []
  readonly #owners = new Owners()
  #shapeOf: number[] = []
  /** Bytes up to and with each row. */
  #sizes: number[] = []
  #layout: Layout<Shape> | undefined
  /** Whether some value beside the key may still be refused for itself. */
  #unsure = false
  /** Whether Postgres has been seen to take two of our keys for one. */
  #asksForKeys = false

  constructor(bound: BoundSink, trail?: KeyTrail) {
    this.bound = bound
    this.trail = trail
    this.#mode = upsertMode(bound)
    this.#layouts = new RowLayouts(bound, (columns) => this.#shapeFor(columns))
  }

  get sink(): Sink<never> {
    return this.bound.sink
  }

  get length(): number {
    return this.#owners.length
  }

  get byteSize(): number {
    return this.#sizes.at(-1) ?? 0
  }

  get columnNames(): readonly string[] {
    return [...this.#columns.keys()]
  }

  append(row: object, owner: number): void {
    // Whatever type the user's row had, its properties are looked at one by one.
    const given = row as AnyRow
    if (this.#layout === undefined || !isOfLayout(given, this.#layout)) this.#layout = this.#layouts.layoutOf(given)
    const shape = this.#layout.target
    const index = this.length
    let bytes = 0
    try {
      for (const column of shape.cells) {
        const cell = this.#toCell(column, given[column.written.info.name])
        column.cells.push(cell)
        bytes += bytesPerCell + (typeof cell === 'string' ? cell.length : 0)
      }
    } catch (error) {
      for (const { cells } of shape.cells) cells.length = index
      throw error
    }
    if (shape.cells.length < this.#columns.size) {
      for (const { cells } of this.#columns.values()) if (cells.length === index) cells.push(undefined)
    }
    this.#shapeOf.push(shape.index)
    this.#sizes.push(this.byteSize + bytes)
    this.#owners.push(owner)
    this.trail?.append(given, owner)
  }

  truncate(length: number): void {
    if (length >= this.length) return
    for (const { cells } of this.#columns.values()) cells.length = length
    this.#shapeOf.length = length
    this.#sizes.length = length
    this.#owners.length = length
    this.trail?.truncate(length)
    if (length === 0) this.#unsure = false
  }

  eachOwner(callback: (owner: number) => void): void {
    for (let row = 0; row < this.length; row += 1) callback(this.#owners.values[row] ?? 0)
  }

  /** The selected rows as they were given: not merged, those of the same columns together. */
  givenRows(selection: Selection): readonly GivenRows[] {
    const rows = this.#selected(selection)
    return this.#shapes.flatMap(({ index, cells, columns }) => {
      const places = Array.from(rows.keys()).filter((at) => this.#shapeOf[rows[at] ?? 0] === index)
      if (places.length === 0) return []
      const own = places.map((at) => rows[at] ?? 0)
      const owners = own.map((row) => this.#owners.values[row] ?? 0)
      const ordinals = owners.map((owner, at) => ordinalOf(selection.position(owner) ?? 0, places[at] ?? 0))
      return [{ columns, owners, ordinals, cells: cells.map((column) => own.map((row) => column.cells[row])) }]
    })
  }

  async inTransactionFlush(link: Link, selection: Selection): Promise<void> {
    const rows = this.#selected(selection)
    if (rows.length === 0) return
    try {
      const keys = await this.#keysOf(link, rows)
      for (const { text, cells } of this.#statements(rows, keys)) await link.query(text, cells.map(cellArray))
    } catch (error) {
      const again = sqlstateOf(error) === sameRowTwice && !this.#asksForKeys
      if (again) this.#asksForKeys = true
      throw new WriteRefused(this.bound, error, { again })
    }
  }

  #selected(selection: Selection): Int32Array {
    return selection.asAppended
      ? Int32Array.from({ length: this.length }, (_, index) => index)
      : selectRows(this.#owners.values, this.length, selection)
  }

  #toCell({ written, isKey }: Column, value: unknown): Cell {
    if (value === null) {
      if (written.refusesNull) throw nullMisfit(written.place, 'null')
      return null
    }
    // A whole number is what an int8 takes, so its text need not be made.
    if (typeof value === 'number' && written.info.type.kind === 'int8' && Number.isSafeInteger(value)) return value + 0
    const text = written.encoder.text(value)
    if (!isKey && !this.#unsure && !written.encoder.sure(value)) this.#unsure = true
    return typeof value === 'number' && isNumeric(written.info.type) ? value + 0 : text
  }

  #shapeFor(columns: readonly WrittenColumn[]): Shape {
    const cells = columns.map((written) => this.#columnFor(written))
    const same = this.#shapes.find(
      (shape) => shape.cells.length === cells.length && cells.every((column) => shape.cells.includes(column)),
    )
    if (same !== undefined) return same
    const shape = { index: this.#shapes.length, columns, cells, statement: upsertStatement(this.bound, columns) }
    this.#shapes.push(shape)
    return shape
  }

  #columnFor(written: WrittenColumn): Column {
    const { name, type } = written.info
    const known = this.#columns.get(name)
    if (known !== undefined) return known
    const rule = ruleOf(this.bound, name)
    const cells: Cell[] = new Array<Cell>(this.length).fill(undefined)
    const column = { written, cells, merge: mergeRule(rule, type.kind), isKey: rule === 'key' }
    this.#columns.set(name, column)
    return column
  }

  /** The key of each row as a text that is the same where the keys are. */
  async #keysOf(link: Link, rows: Int32Array): Promise<string[]> {
    const columns = this.#keyColumns()
    const texts = new KeyTexts(columns.map(({ cells }) => cells))
    const keys: string[] = []
    for (const row of rows) keys.push(this.#isNoOther(columns, row) ? `${ownKey}${row}` : texts.of(row))
    if (!this.#asksForKeys && !(this.#keysMayDiffer && rows.length > maxRowsPerStatement)) return keys
    const firstRows = new Map<string, number>()
    keys.forEach((key, index) => {
      if (!key.startsWith(ownKey) && !firstRows.has(key)) firstRows.set(key, rows[index] ?? 0)
    })
    const distinct = [...firstRows.keys()]
    const parameters = columns.map(({ cells }) => cellArray([...firstRows.values()].map((row) => cells[row])))
    const answer = await link.query<{ first: number }>(sameKeyQuery(this.bound), parameters)
    const firstEqual = new Map(
      answer.rows.map(({ first }, index) => [distinct[index] ?? '', distinct[first - 1] ?? '']),
    )
    return keys.map((key) => firstEqual.get(key) ?? key)
  }

  #keyColumns(): Column[] {
    return this.sink.key.flatMap((name) => this.#columns.get(name) ?? [])
  }

  /** Whether a row is the same as no other: one with a null in its key, unless the index says that nulls are equal. */
  #isNoOther(columns: readonly Column[], row: number): boolean {
    for (const { cells } of columns) {
      const cell = cells[row]
      if (cell === null || cell === undefined) return !this.#nullsEqual
    }
    return false
  }

  /** Whether keys that we tell apart may be one to Postgres: it says so within a statement, but not from one to the next. */
  get #keysMayDiffer(): boolean {
    return this.#keyColumns().some(({ written: { info } }) => !exactTypes.has(info.castType))
  }

  get #nullsEqual(): boolean {
    const { key } = this.sink
    return this.bound.table.uniques.some(
      ({ columns, arbiter, nullsEqual }) =>
        nullsEqual && arbiter && columns?.length === key.length && key.every((name) => columns.includes(name)),
    )
  }

  #statements(rows: Int32Array, keys: readonly string[]): Iterable<Statement> {
    const [first] = rows
    const shape = this.#shapes[this.#shapeOf[first ?? 0] ?? 0]
    const oneShape = this.#shapes.length === 1 || rows.every((row) => this.#shapeOf[row] === shape?.index)
    if (shape !== undefined && oneShape && this.#mode === 'merge' && !this.#unsure) {
      const merged = mergedCells(shape.cells, rows, keys)
      if (merged !== undefined) return chunked(shape.statement, merged)
    }
    return this.#waveStatements(rows, keys)
  }

  *#waveStatements(rows: Int32Array, keys: readonly string[]): Iterable<Statement> {
    const shapes = Array.from(rows, (row) => this.#shapeOf[row] ?? 0)
    for (const wave of inWaves(keys, shapes, this.#mode === 'inOrder')) {
      for (const shape of this.#shapes) {
        const members = wave.filter((index) => shapes[index] === shape.index)
        if (members.length === 0) continue
        const cells = shape.cells.map((column) => members.map((index) => column.cells[rows[index] ?? 0]))
        yield* chunked(shape.statement, cells)
      }
    }
  }
}

const rowBits = 22
const streamPlaces = 256

/**
 * The place of a row among those of its item, also of those that are kept from an earlier run: first the streams, whose order is
 * what a position has behind the point, then the rows.
 */
function ordinalOf(position: number, row: number): number {
  const place = Math.floor((position - Math.floor(position)) * streamPlaces)
  return place * 2 ** rowBits + Math.min(row, 2 ** rowBits - 1)
}

/** Types of which our text is the same exactly where Postgres's values are. */
const exactTypes: ReadonlySet<string> = new Set([
  'smallint',
  'integer',
  'bigint',
  'boolean',
  'text',
  'character varying',
])

/** Starts the key of a row that is equal to no other. */
const ownKey = '\0\0'

function isNumeric({ kind }: ColumnType): boolean {
  return kind === 'int2' || kind === 'int4' || kind === 'int8' || kind === 'float4' || kind === 'float8'
}
