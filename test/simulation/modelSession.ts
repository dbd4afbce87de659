/** A session of the modelled Postgres, on the server's side: what a statement does to it, and what it answers. */
import type { ModelDatabase } from './modelDatabase.ts'
import { carryOut, type Sent } from './modelStatements.ts'
import { refusal } from './modelTable.ts'
import type { Transaction } from './modelTransaction.ts'

export interface Reply {
  /** The tag of the last command. */
  readonly command: string
  readonly rows: readonly object[]
}

export class ModelSession {
  readonly #database: ModelDatabase
  readonly #ended = new AbortController()
  #transaction: Transaction | undefined

  constructor(database: ModelDatabase) {
    this.#database = database
  }

  get inTransaction(): boolean {
    return this.#transaction !== undefined
  }

  get isOver(): boolean {
    return this.#ended.signal.aborted
  }

  /** The client or the server has gone: what was open is rolled back. */
  end(): void {
    this.#ended.abort(refusal('57P01', 'terminating connection', undefined, 'FATAL'))
    if (this.#transaction !== undefined) this.#database.rollback(this.#transaction)
    this.#transaction = undefined
  }

  /**
   * Carries out what came in one message: statements between semicolons, of which the first that fails ends it.
   *
   * @param interrupted ends a wait for a lock
   * @throws DatabaseError
   */
  async run(sent: Sent, interrupted: AbortSignal): Promise<Reply> {
    let reply: Reply = { command: '', rows: [] }
    for (const text of sent.text.split(/;\s+(?=select millrace\.fence)/)) {
      try {
        reply = await this.#one({ ...sent, text }, AbortSignal.any([this.#ended.signal, interrupted]))
      } catch (error) {
        this.#transaction?.fail()
        throw error
      }
    }
    return reply
  }

  async #one(sent: Sent, interrupted: AbortSignal): Promise<Reply> {
    const [word = '', second] = sent.text.trim().toLowerCase().split(/\s+/)
    const open = this.#transaction
    if (word === 'begin') {
      if (open?.state === 'failed') throw aborted()
      this.#transaction ??= this.#database.begin()
      return { command: 'BEGIN', rows: [] }
    }
    if (word === 'commit') return { command: this.#commit(), rows: [] }
    if (word === 'rollback' && second === 'to') {
      if (open === undefined) throw refusal('25P01', 'ROLLBACK TO SAVEPOINT can only be used in transaction blocks')
      open.rollbackTo(sent.text.trim().split(/\s+/).at(-1) ?? '')
      return { command: 'ROLLBACK', rows: [] }
    }
    if (word === 'rollback') {
      if (open !== undefined) this.#database.rollback(open)
      this.#transaction = undefined
      return { command: 'ROLLBACK', rows: [] }
    }
    if (open?.state === 'failed') throw aborted()
    if (word === 'savepoint') {
      if (open === undefined) throw refusal('25P01', 'SAVEPOINT can only be used in transaction blocks')
      open.savepoint(second ?? '')
      return { command: 'SAVEPOINT', rows: [] }
    }
    const transaction = open ?? this.#database.begin()
    try {
      const rows = await carryOut({ ...sent, database: this.#database, transaction, interrupted })
      transaction.afterStatement()
      if (open === undefined) {
        transaction.checkDeferred()
        this.#database.commit(transaction)
      }
      return { command: word.toUpperCase(), rows }
    } catch (error) {
      if (open === undefined) this.#database.rollback(transaction)
      throw error
    }
  }

  #commit(): string {
    const transaction = this.#transaction
    this.#transaction = undefined
    if (transaction === undefined) return 'COMMIT'
    if (transaction.state === 'failed') {
      this.#database.rollback(transaction)
      return 'ROLLBACK'
    }
    try {
      transaction.checkDeferred()
    } catch (error) {
      this.#database.rollback(transaction)
      throw error
    }
    this.#database.commit(transaction)
    return 'COMMIT'
  }
}

function aborted(): Error {
  return refusal('25P02', 'current transaction is aborted')
}
