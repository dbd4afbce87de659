/** Transactions of the modelled Postgres, at READ COMMITTED: row locks, savepoints, deadlocks, what COMMIT looks at last. */
import type { ModelDatabase } from './modelDatabase.ts'
import { type ModelRow, type ModelTable, refusal, type Values } from './modelTable.ts'

interface Change {
  readonly row: ModelRow
  readonly before: { readonly pending: Values | undefined; readonly by: Transaction | undefined }
}

export class Transaction {
  readonly #database: ModelDatabase
  readonly #changes: Change[] = []
  readonly #savepoints: { readonly name: string; readonly length: number; readonly isImmediate: boolean }[] = []
  readonly #touched = new Map<ModelTable, Set<ModelRow>>()
  /** Whether constraints are looked at after every statement from now on. */
  #isImmediate = false
  #waitsFor: Transaction | undefined
  state: 'open' | 'failed' | 'ended' = 'open'

  constructor(database: ModelDatabase) {
    this.#database = database
  }

  /**
   * Takes the lock of a row, waiting for whoever has it.
   *
   * @throws DatabaseError 40P01 where the two would wait for each other, and what the interruption says
   */
  async lock(table: ModelTable, row: ModelRow, interrupted: AbortSignal): Promise<void> {
    while (row.by !== undefined && row.by !== this) {
      this.#waitsFor = row.by
      try {
        for (let other: Transaction | undefined = row.by; other !== undefined; other = other.#waitsFor) {
          if (other === this) throw refusal('40P01', 'deadlock detected')
        }
        await this.#database.change(interrupted)
      } finally {
        this.#waitsFor = undefined
      }
    }
    // Ended under the statement that goes on here.
    if (this.state === 'ended') throw refusal('57P01', 'terminating connection', undefined, 'FATAL')
    // At once: whoever was woken by the same end comes next, and has to find it taken.
    if (row.by === undefined) this.write(table, row, row.committed)
  }

  /** Locks a row for this transaction and gives it other values; the caller has waited for its lock. */
  write(table: ModelTable, row: ModelRow, values: Values | undefined): void {
    this.#changes.push({ row, before: { pending: row.pending, by: row.by } })
    row.pending = values
    row.by = this
    const touched = this.#touched.get(table) ?? new Set()
    this.#touched.set(table, touched.add(row))
  }

  savepoint(name: string): void {
    this.#savepoints.push({ name, length: this.#changes.length, isImmediate: this.#isImmediate })
  }

  /** @throws DatabaseError 3B001 */
  rollbackTo(name: string): void {
    const savepoint = this.#savepoints.findLast((one) => one.name === name)
    if (savepoint === undefined) throw refusal('3B001', `savepoint "${name}" does not exist`)
    this.#savepoints.length = this.#savepoints.lastIndexOf(savepoint) + 1
    this.#undo(savepoint.length)
    this.#isImmediate = savepoint.isImmediate
    this.state = 'open'
  }

  get hasChanges(): boolean {
    return this.#changes.length > 0
  }

  /** A statement has failed: what was done since the last savepoint is taken back at once, locks and all. */
  fail(): void {
    if (this.state === 'ended') return
    this.#undo(this.#savepoints.at(-1)?.length ?? 0)
    this.state = 'failed'
  }

  #undo(length: number): void {
    for (const { row, before } of this.#changes.splice(length).reverse()) Object.assign(row, before)
    this.#database.changed()
  }

  /** Looks at what is put off, and does so after every statement from now on. @throws DatabaseError 23503 */
  setImmediate(): void {
    this.checkDeferred()
    this.#isImmediate = true
  }

  /** @throws DatabaseError 23503 */
  afterStatement(): void {
    if (this.#isImmediate) this.checkDeferred()
  }

  /** What is put off until COMMIT. @throws DatabaseError 23503 */
  checkDeferred(): void {
    for (const [table, rows] of this.#touched) {
      const { reference } = table.model
      if (reference === undefined) continue
      const parents = this.#database.table(reference.table)
      for (const row of rows) {
        const values = row.by === this ? row.pending : undefined
        const value = values?.[reference.column]
        if (value === null || value === undefined) continue
        const there = parents.rows.some((parent) => parents.visible(parent, this)?.[reference.otherColumn] === value)
        if (!there)
          throw refusal('23503', `"${table.model.name}" refers to "${reference.table}" (${value})`, table.model.name)
      }
    }
  }

  commit(): void {
    for (const { row } of this.#changes) {
      if (row.by !== this) continue
      row.committed = row.pending
      row.by = undefined
    }
    this.#end()
  }

  rollback(): void {
    this.#undo(0)
    this.#end()
  }

  #end(): void {
    this.state = 'ended'
    for (const table of this.#touched.keys()) {
      const kept = table.rows.filter(({ committed, by }) => committed !== undefined || by !== undefined)
      table.rows.splice(0, table.rows.length, ...kept)
    }
    this.#database.changed()
  }
}
