import pg from 'pg'
import type { Sink } from '../core/sink.ts'
import type { ByteWriter } from './byteWriter.ts'
import type { Link } from './connections.ts'
import { newline, nullText, Segment, tab } from './copySegment.ts'
import { nullMisfit } from './encoder.ts'
import type { KeyTrail } from './keyTrail.ts'
import { type AnyRow, type Layout, RowLayouts, type WrittenColumn } from './rowLayout.ts'
import type { BoundSink } from './sinkChecks.ts'
import { type Selection, selectRows, type TableBuffer, WriteRefused } from './tableBuffer.ts'

const bytesPerOwner = 4

/** Rows of one COPY, some of which may be written by others. */
export interface SelectedRows {
  readonly length: number
  ownerOf(index: number): number
  /** The others. */
  without(owner: number): SelectedRows
  /** @throws WriteRefused */
  copy(link: Link, from: number, to: number): Promise<void>
}

interface Target {
  readonly segment: Segment
  /** Whether the row's properties come in the order of the segment's columns. */
  readonly direct: boolean
}

/** Rows that are only added. They are kept as the bytes that COPY will send; undoing is setting a length back. */
export class CopyBuffer implements TableBuffer {
  readonly bound: BoundSink
  readonly trail: KeyTrail | undefined
  /** Whether rows of the batch before were refused: where some were, there are often more. */
  wasRefused = false
  readonly #layouts: RowLayouts<Target>
  readonly #segments: Segment[] = []
  /** The segment of each row; looked at only when there are several. */
  #segmentOf = new Uint16Array(1024)
  #layout: Layout<Target> | undefined
  #length = 0

  constructor(bound: BoundSink, trail?: KeyTrail) {
    this.bound = bound
    this.trail = trail
    this.#layouts = new RowLayouts(bound, (columns) => this.#targetFor(columns))
  }

  get sink(): Sink<never> {
    return this.bound.sink
  }

  get length(): number {
    return this.#length
  }

  get byteSize(): number {
    let bytes = 0
    for (const { out, length } of this.#segments) bytes += out.length + length * bytesPerOwner
    return bytes
  }

  get columnNames(): readonly string[] {
    return [...new Set(this.#segments.flatMap(({ columns }) => columns.map(({ info }) => info.name)))]
  }

  append(row: object, owner: number): void {
    // Whatever type the user's row had, its properties are looked at one by one.
    const given = row as AnyRow
    if (this.#layout === undefined || !writeDirect(given, this.#layout)) {
      this.#layout = this.#layouts.layoutOf(given)
      if (!writeDirect(given, this.#layout)) writeByName(given, this.#layout.target.segment)
    }
    const { segment } = this.#layout.target
    segment.add(owner)
    if (this.#segments.length > 1) this.#noteSegment(this.#segments.indexOf(segment))
    this.trail?.append(given, owner)
    this.#length += 1
  }

  truncate(length: number): void {
    if (length >= this.#length) return
    if (this.#segments.length === 1 || length === 0) {
      for (const segment of this.#segments) segment.truncate(Math.min(length, segment.length))
    } else {
      for (let row = this.#length - 1; row >= length; row -= 1) {
        const segment = this.#segments[this.#segmentOf[row] ?? 0]
        segment?.truncate(segment.length - 1)
      }
    }
    this.trail?.truncate(length)
    this.#length = length
  }

  eachOwner(callback: (owner: number) => void): void {
    for (const { owners } of this.#segments) {
      for (let row = 0; row < owners.length; row += 1) callback(owners.values[row] ?? 0)
    }
  }

  /** Whether a line that COPY names is one of all the rows: not when several statements share them. */
  get isOneCopy(): boolean {
    return this.#segments.filter(({ length }) => length > 0).length === 1
  }

  async inTransactionFlush(link: Link, selection: Selection): Promise<void> {
    for (const segment of this.#segments) {
      if (segment.length === 0) continue
      const rows = selection.asAppended
        ? undefined
        : selectRows(segment.owners.values, segment.length, selection, selection.order)
      await this.#copy(link, segment, rows, selection)
    }
  }

  /** The rows of the only segment that are selected, where {@link isOneCopy}. */
  selected(selection: Selection): SelectedRows {
    const segment = this.#segments.find(({ length }) => length > 0)
    if (segment === undefined)
      return { length: 0, ownerOf: () => 0, without: () => this.selected(selection), copy: async () => {} }
    const { values } = segment.owners
    const of = (rows: Int32Array): SelectedRows => ({
      length: rows.length,
      ownerOf: (index) => values[rows[index] ?? 0] ?? 0,
      without: (owner) => of(withoutRowsOf(owner, rows, values)),
      copy: (link, from, to) => this.#copy(link, segment, rows.subarray(from, to), selection),
    })
    if (!selection.asAppended) return of(selectRows(values, segment.length, selection, selection.order))
    const all = new Int32Array(segment.length)
    for (let row = 0; row < all.length; row += 1) all[row] = row
    return of(all)
  }

  async #copy(
    link: Link,
    segment: Segment,
    rows: Int32Array | undefined,
    { tracking }: Pick<Selection, 'tracking'>,
  ): Promise<void> {
    if (rows?.length === 0) return
    try {
      if (tracking !== undefined && this.bound.tracked !== undefined) {
        await link.copyIn(segment.trackedStatement, [segment.gatherTracked(rows, tracking)])
        return
      }
      const all = () => [segment.out.bytes.subarray(0, segment.out.length)]
      await link.copyIn(segment.statement, rows === undefined ? all() : segment.gather(rows))
    } catch (error) {
      const line = lineOf(error)
      const row = line === undefined ? undefined : rows === undefined ? line - 1 : rows[line - 1]
      throw new WriteRefused(this.bound, error, { owner: row === undefined ? undefined : segment.owners.values[row] })
    }
  }

  #noteSegment(index: number): void {
    if (this.#length >= this.#segmentOf.length) {
      const larger = new Uint16Array(Math.max(this.#length + 1, this.#segmentOf.length) * 2)
      larger.set(this.#segmentOf)
      this.#segmentOf = larger
    }
    this.#segmentOf[this.#length] = index
  }

  // A row may go where more columns are written than it has, as long as leaving those out means null.
  #targetFor(columns: readonly WrittenColumn[]): Target {
    const fits = (segment: Segment) =>
      columns.every((column) => segment.columns.includes(column)) &&
      segment.columns.every((column) => columns.includes(column) || column.missingIsNull)
    let segment = this.#segments.find(fits)
    if (segment === undefined) {
      segment = new Segment(this.bound.table.quoted, columns)
      this.#segments.push(segment)
    }
    const { columns: order } = segment
    return {
      segment,
      direct: order.length === columns.length && order.every((column, index) => column === columns[index]),
    }
  }
}

/** In offset order all rows of an owner stand together. */
function withoutRowsOf(owner: number, rows: Int32Array, owners: Int32Array): Int32Array {
  let from = 0
  while (from < rows.length && owners[rows[from] ?? 0] !== owner) from += 1
  let to = from
  while (to < rows.length && owners[rows[to] ?? 0] === owner) to += 1
  const others = new Int32Array(rows.length - (to - from))
  others.set(rows.subarray(0, from))
  others.set(rows.subarray(to), from)
  return others
}

/**
 * Writes a row in the order of its properties; false, with nothing written, when it is of another layout.
 * This runs for every row: it allocates nothing, and looks at each property once.
 */
function writeDirect(row: AnyRow, { names, slots, target }: Layout<Target>): boolean {
  if (!target.direct) return false
  const { out } = target.segment
  const start = out.length
  let index = 0
  let first = true
  try {
    for (const name in row) {
      const slot = slots[index]
      const value = row[name]
      if (name !== names[index] || slot === undefined) return drop(out, start)
      index += 1
      if (slot === 'unwritten') continue
      if ((value === undefined) !== (slot === 'absent')) return drop(out, start)
      if (slot === 'absent') continue
      if (first) first = false
      else out.byte(tab)
      writeValue(out, slot, value)
    }
  } catch (error) {
    out.length = start
    throw error
  }
  if (index !== names.length) return drop(out, start)
  out.byte(newline)
  return true
}

function drop(out: ByteWriter, start: number): false {
  out.length = start
  return false
}

/** Writes a row whose properties come in another order, or which leaves columns out that the segment has. */
function writeByName(row: AnyRow, { columns, out }: Segment): void {
  const start = out.length
  try {
    columns.forEach((column, index) => {
      if (index > 0) out.byte(tab)
      writeValue(out, column, row[column.info.name] ?? null)
    })
  } catch (error) {
    out.length = start
    throw error
  }
  out.byte(newline)
}

function writeValue(out: ByteWriter, column: WrittenColumn, value: unknown): void {
  if (value !== null) column.encoder.write(out, value)
  else if (column.refusesNull) throw nullMisfit(column.place, 'null')
  else out.ascii(nullText)
}

/** The line that COPY was at. pg has it in `where`; `line` is the line of Postgres's own source code. */
function lineOf(error: unknown): number | undefined {
  if (!(error instanceof pg.DatabaseError)) return undefined
  const [, line] = /^COPY .*?, line (\d+)/m.exec(error.where ?? '') ?? []
  return line === undefined ? undefined : Number(line)
}
