import { ItemError } from '../core/errors.ts'
import { requireRow } from '../core/row.ts'
import type { TableColumn } from './catalog.ts'
import { type ColumnPlace, createEncoder, type Encoder, nullMisfit } from './encoder.ts'
import { type BoundSink, generatedColumn, unknownColumns } from './sinkChecks.ts'

/** A column with what it takes to write it. */
export interface WrittenColumn {
  readonly info: TableColumn
  readonly place: ColumnPlace
  readonly encoder: Encoder
  /** Whether a null is refused here already. Not where a trigger may replace it. */
  readonly refusesNull: boolean
  /** Whether leaving the column out is the same as writing null. */
  readonly missingIsNull: boolean
}

/**
 * What a property of a row is: a column; `absent`, a column that the row leaves out by undefined; or `unwritten`, one
 * that the sink's `columns` do not name.
 */
export type Slot = WrittenColumn | 'absent' | 'unwritten'

/** Rows with the same properties in the same order, of which the same are undefined. Most streams have one. */
export interface Layout<Target> {
  readonly names: readonly string[]
  readonly slots: readonly Slot[]
  /** What the buffer keeps for rows of this layout. */
  readonly target: Target
}

/** A row as it is looked at: its type was the user's, and is gone. */
export type AnyRow = Readonly<Record<string, unknown>>

const maxLayouts = 1_000

/** Finds out, once for each layout, what a row's properties are to the table. */
export class RowLayouts<Target> {
  readonly #bound: BoundSink
  readonly #columns = new Map<string, WrittenColumn>()
  readonly #known = new Map<string, Layout<Target>>()
  readonly #makeTarget: (columns: readonly WrittenColumn[]) => Target

  constructor(bound: BoundSink, makeTarget: (columns: readonly WrittenColumn[]) => Target) {
    this.#bound = bound
    this.#makeTarget = makeTarget
  }

  /** @throws StoreError when the table lacks a column; ItemError when the row lacks one that it must have */
  layoutOf(row: AnyRow): Layout<Target> {
    requireRow(row, this.#bound.name)
    let signature = ''
    // With its length, for a name may hold whatever parts names.
    for (const name in row) signature += `${row[name] === undefined ? '?' : '!'}${name.length} ${name}`
    const known = this.#known.get(signature)
    if (known !== undefined) return known
    const layout = this.#makeLayout(row)
    // Rows may have any properties beside the sink's columns: whoever makes them up must not fill the memory.
    if (this.#known.size >= maxLayouts) this.#known.clear()
    this.#known.set(signature, layout)
    return layout
  }

  #makeLayout(row: AnyRow): Layout<Target> {
    const { sink, table } = this.#bound
    const names: string[] = []
    for (const name in row) names.push(name)
    const isUnwritten = (name: string) => sink.columns !== undefined && !sink.columns.includes(name)
    const unknown = names.filter((name) => row[name] !== undefined && !isUnwritten(name) && !table.columns.has(name))
    if (unknown.length > 0) throw unknownColumns(this.#bound, unknown, names)

    const slots = names.map((name): Slot => {
      if (isUnwritten(name)) return 'unwritten'
      return row[name] === undefined ? 'absent' : this.#column(name)
    })
    const columns = slots.filter((slot) => typeof slot !== 'string')
    this.#checkPresent(columns)
    return { names, slots, target: this.#makeTarget(columns) }
  }

  #checkPresent(columns: readonly WrittenColumn[]): void {
    const { sink, table } = this.#bound
    const present = new Set(columns.map(({ info }) => info.name))
    for (const info of table.columns.values()) {
      if (present.has(info.name) || table.hasTriggers || !info.notNull || info.hasDefault) continue
      throw nullMisfit(this.#place(info), 'nothing')
    }
    const unkeyed = sink.key.find((name) => !present.has(name))
    if (columns.length > 0 && unkeyed === undefined) return
    throw new ItemError('MR-SINK-ROW', {
      what:
        unkeyed === undefined
          ? `the row for table "${sink.name}" has no value at all`
          : `the row for table "${sink.name}" has no value for "${unkeyed}", which is part of the key`,
      fix: 'Fill it in a map() or drop the item in a filter() before it is written.',
    })
  }

  #column(name: string): WrittenColumn {
    const known = this.#columns.get(name)
    if (known !== undefined) return known
    const { table } = this.#bound
    const info = table.columns.get(name)
    if (info === undefined) throw unknownColumns(this.#bound, [name], [name])
    if (info.generated) throw generatedColumn(this.#bound, info)
    const place = this.#place(info)
    const column: WrittenColumn = {
      info,
      place,
      encoder: createEncoder(info.type, place),
      refusesNull: info.notNull && !table.hasTriggers,
      missingIsNull: !info.hasDefault && !info.notNull,
    }
    this.#columns.set(name, column)
    return column
  }

  #place(info: TableColumn): ColumnPlace {
    return { table: this.#bound.name, column: info.name, shownType: info.shownType }
  }
}

/** Whether a row is of a layout. */
export function isOfLayout(row: AnyRow, { names, slots }: Layout<unknown>): boolean {
  let index = 0
  for (const name in row) {
    if (name !== names[index]) return false
    const slot = slots[index]
    if (slot !== 'unwritten' && (row[name] === undefined) !== (slot === 'absent')) return false
    index += 1
  }
  return index === names.length
}
