import type { TableInfo } from './catalog.ts'
import { createEncoder, type Encoder } from './encoder.ts'
import type { AnyRow } from './rowLayout.ts'
import type { BoundSink } from './sinkChecks.ts'

interface Tracked {
  readonly names: readonly string[]
  readonly encoders: readonly Encoder[]
  /** The key of each row, one text per column; undefined where a part of it is null. */
  readonly keys: (readonly string[] | undefined)[]
}

/** Remembers, row by row, what foreign keys look at: bytes and merged values do not tell it any more. */
export class KeyTrail {
  readonly #tracked = new Map<string, Tracked>()
  readonly #owners: number[] = []

  /** @param columnSets the columns of each key */
  constructor({ name, table }: BoundSink, columnSets: readonly (readonly string[])[]) {
    for (const names of columnSets) {
      const encoders = names.flatMap((column) => {
        const info = table.columns.get(column)
        return info === undefined ? [] : createEncoder(info.type, { table: name, column, shownType: info.shownType })
      })
      this.#tracked.set(names.join(), { names, encoders, keys: [] })
    }
  }

  /** Takes a row that its buffer has taken: every value fits. */
  append(row: AnyRow, owner: number): void {
    this.#owners.push(owner)
    for (const { names, encoders, keys } of this.#tracked.values()) {
      const texts = names.flatMap((name, index) => {
        const value = row[name]
        return value === null || value === undefined ? [] : (encoders[index]?.text(value) ?? [])
      })
      keys.push(texts.length === names.length ? texts : undefined)
    }
  }

  truncate(length: number): void {
    this.#owners.length = length
    for (const { keys } of this.#tracked.values()) keys.length = length
  }

  /** Calls back for each row whose key of these columns is whole. */
  each(columns: readonly string[], callback: (key: readonly string[], owner: number) => void): void {
    this.#tracked.get(columns.join())?.keys.forEach((key, row) => {
      if (key !== undefined) callback(key, this.#owners[row] ?? 0)
    })
  }
}

/** A trail for a sink whose table is tied to one of `tables`, itself among them, by a foreign key; undefined for others. */
export function trailFor(bound: BoundSink, tables: readonly TableInfo[]): KeyTrail | undefined {
  const outgoing = bound.table.foreignKeys
    .filter(({ refersTo }) => tables.some(({ oid }) => oid === refersTo))
    .map(({ columns }) => columns)
  const incoming = tables
    .flatMap(({ foreignKeys }) => foreignKeys)
    .filter(({ refersTo }) => refersTo === bound.table.oid)
    .map(({ otherColumns }) => otherColumns)
  const sets = [...outgoing, ...incoming]
  return sets.length === 0 ? undefined : new KeyTrail(bound, sets)
}
