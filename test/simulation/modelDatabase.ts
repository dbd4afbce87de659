/**
 * A model of Postgres, as far as millrace leans on it: READ COMMITTED transactions, row locks that are waited for,
 * savepoints, deadlocks, constraints, a foreign key that is looked at when COMMIT comes, crashes. It knows the statements
 * that millrace sends and no others. `fidelity.spec.ts` runs random scripts on it and on the real one.
 */
import {
  advisoryLocks,
  collectorTable,
  emittersTable,
  migrationsTable,
  outboxTable,
  plansTable,
  progressTable,
  stateStepsTable,
  stateTable,
} from './modelSchema.ts'
import { ModelTable, refusal, type TableModel, type Values } from './modelTable.ts'
import { Transaction } from './modelTransaction.ts'

export class ModelDatabase {
  readonly #tables = new Map<string, ModelTable>()
  readonly #open = new Set<Transaction>()
  #waiting: (() => void)[] = []
  /** The server's clock, in milliseconds. */
  now: () => number = Date.now
  #serial = 0
  /** Called after every COMMIT of changes that was carried out, before anybody learns of it. */
  onCommit: (() => void) | undefined

  constructor(tables: readonly TableModel[]) {
    for (const model of [
      ...[
        progressTable,
        collectorTable,
        plansTable,
        stateStepsTable,
        stateTable,
        emittersTable,
        outboxTable,
        migrationsTable,
        advisoryLocks,
      ],
      ...tables,
    ])
      this.#tables.set(model.name, new ModelTable(model))
  }

  /** @throws DatabaseError 42P01 */
  table(name: string): ModelTable {
    const table = this.#tables.get(name)
    if (table === undefined) throw refusal('42P01', `relation "${name}" does not exist`)
    return table
  }

  get tables(): readonly ModelTable[] {
    return [...this.#tables.values()]
  }

  rows(table: string): readonly Values[] {
    return this.table(table).committed
  }

  /** The next number of an identity column. It is not given back. */
  nextSerial(): string {
    return String(++this.#serial)
  }

  begin(): Transaction {
    const transaction = new Transaction(this)
    this.#open.add(transaction)
    return transaction
  }

  commit(transaction: Transaction): void {
    this.#open.delete(transaction)
    transaction.commit()
    if (transaction.hasChanges) this.onCommit?.()
  }

  rollback(transaction: Transaction): void {
    this.#open.delete(transaction)
    transaction.rollback()
  }

  /** Everything that is not committed is gone. */
  crash(): void {
    for (const transaction of [...this.#open]) this.rollback(transaction)
  }

  /** Resolves when somebody has ended a transaction or taken changes back. @throws the signal's reason */
  async change(interrupted: AbortSignal): Promise<void> {
    interrupted.throwIfAborted()
    let wake = () => {}
    const changed = new Promise<void>((resolve) => {
      wake = resolve
    })
    this.#waiting.push(wake)
    interrupted.addEventListener('abort', wake, { once: true })
    await changed
    interrupted.removeEventListener('abort', wake)
    interrupted.throwIfAborted()
  }

  changed(): void {
    for (const wake of this.#waiting.splice(0)) wake()
  }
}
