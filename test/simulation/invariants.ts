/** What has to hold after every COMMIT, and at the end. Reads tables and progress, and nothing of millrace's. */
import { deepStrictEqual } from 'node:assert'
import type { ModelDatabase } from './modelDatabase.ts'
import type { Values } from './modelTable.ts'
import { expected, type Placed } from './orders.ts'

export class Invariants {
  /** COMMITs so far. */
  commits = 0
  readonly #database: ModelDatabase
  readonly #placed: readonly Placed[]
  readonly #seen = new Map<number, { position: number; version: number }>()

  constructor(database: ModelDatabase, placed: readonly Placed[]) {
    this.#database = database
    this.#placed = placed
  }

  /** Rows are those of the records before progress. */
  look(): void {
    this.lookAtProgress()
    const committed = this.#placed.filter(({ partition, offset }) => offset < this.positionOf(partition))
    const { collected, ...tables } = expected(committed.toSorted((a, b) => a.offset - b.offset))
    for (const [table, rows] of Object.entries(tables))
      deepStrictEqual(sorted(this.#database.rows(table)), sorted(rows), `rows of ${table}`)
    const kept = this.#database.rows('millrace.errors').map((row) => `${row.partition}@${row.record_offset}`)
    deepStrictEqual(kept.toSorted(), collected.toSorted(), 'collected items')
    this.#lookAtOrder()
  }

  /** Progress never goes back, and neither does its version. */
  lookAtProgress(): void {
    this.commits++
    for (const { partition, next_offset, version } of this.#database.rows('millrace.progress')) {
      const before = this.#seen.get(Number(partition))
      const now = { position: Number(next_offset), version: Number(version) }
      if (before !== undefined && now.position < before.position)
        throw new Error(`progress of partition ${partition} goes back from ${before.position} to ${now.position}`)
      if (before !== undefined && now.version < before.version)
        throw new Error(`the version of partition ${partition} goes back from ${before.version} to ${now.version}`)
      this.#seen.set(Number(partition), now)
    }
  }

  positionOf(partition: number): number {
    return this.#seen.get(partition)?.position ?? 0
  }

  isComplete(ends: ReadonlyMap<number, number>): boolean {
    return [...ends].every(([partition, end]) => this.positionOf(partition) >= end)
  }

  standing(): string {
    return JSON.stringify(
      Object.fromEntries(Array.from(this.#seen, ([partition, { position }]) => [partition, position])),
    )
  }

  atTheEnd(): void {
    if (this.commits > 0) this.look()
    const left = this.#placed.filter(({ partition, offset }) => offset >= this.positionOf(partition))
    deepStrictEqual(left, [], 'records that were not committed')
  }

  /** Rows of one key were written in the order of its records. */
  #lookAtOrder(): void {
    const last = new Map<string, number>()
    for (const { acct, pos } of this.#database.rows('ledger')) {
      const before = last.get(acct ?? '') ?? -1
      if (Number(pos) < before) throw new Error(`a row of key ${acct} at ${pos} was written behind that at ${before}`)
      last.set(acct ?? '', Number(pos))
    }
  }
}

function sorted(rows: readonly Values[]): readonly string[] {
  return rows.map((row) => JSON.stringify(Object.entries(row).sort())).sort()
}
