/** What has to hold after every COMMIT, and at the end. Reads tables and progress, and nothing of millrace's. */
import { deepStrictEqual } from 'node:assert'
import { expectedRows, type Placed } from './expected.ts'
import { Items } from './items.ts'
import type { ModelDatabase } from './modelDatabase.ts'
import type { Values } from './modelTable.ts'
import type { Policy } from './orders.ts'

export class Invariants {
  /** COMMITs so far. */
  commits = 0
  readonly items: Items
  readonly #database: ModelDatabase
  readonly #placed: readonly Placed[]
  readonly #seen = new Map<number, { position: number; version: number }>()

  constructor(database: ModelDatabase, placed: readonly Placed[], policy: Policy) {
    this.items = new Items(policy)
    this.#database = database
    this.#placed = placed
  }

  /** Rows are those of the items before progress that stand, and what became of each item is what may. */
  look(): void {
    this.lookAtProgress()
    const committed = this.#placed.filter(({ partition, offset }) => offset < this.positionOf(partition))
    this.items.follow(
      committed.toSorted((a, b) => a.offset - b.offset),
      this.#database.rows('millrace.errors'),
    )
    const { done, ran } = this.items
    for (const [table, rows] of Object.entries(expectedRows(done, ran)))
      deepStrictEqual(sorted(this.#database.rows(table)), sorted(rows), `rows of ${table}`)
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
    if (this.items.held > 0) throw new Error(`${this.items.held} items were never settled`)
  }

  /** Rows of one key were written in the order in which its items were committed, those of one batch in the order of their records. */
  #lookAtOrder(): void {
    const { done } = this.items
    const ledger = this.#database.rows('ledger')
    for (const key of new Set(done.map(({ order }) => order.key))) {
      const items = done.filter(({ order }) => order.key === key).map(({ offset }) => String(offset))
      const rows = ledger.filter(({ acct }) => acct === key).map(({ pos }) => pos)
      const written = rows.filter((pos, index) => pos !== rows[index - 1])
      deepStrictEqual(written, items, `order of the rows of key ${key}`)
    }
  }
}

function sorted(rows: readonly Values[]): readonly string[] {
  return rows.map((row) => JSON.stringify(Object.entries(row).sort())).sort()
}
