import pg from 'pg'
import { type Clock, systemClock } from '../core/clock.ts'
import { UnavailableError } from '../core/errors.ts'
import { CopyIn } from './copyIn.ts'
import { types } from './queryRows.ts'
import type { PostgresTarget } from './settings.ts'
import { NoAnswer, toConnectError, toMillraceError } from './sqlstate.ts'

/**
 * How much longer than the server's own timeout we wait for a statement before the connection counts as lost, and
 * how long what is under way may take when the store is closed.
 */
const graceMs = 5_000

/** A connection in the hands of one piece of work. Every statement has a deadline, since one on a lost connection may never settle. */
export class Link {
  readonly #client: pg.PoolClient
  readonly #clock: Clock
  readonly #deadlineMs: number
  readonly #onError = (error: Error) => {
    this.#lost ??= error
  }
  #lost: Error | undefined
  #transaction = false
  #giveUp: ((error: Error) => void) | undefined

  constructor(client: pg.PoolClient, clock: Clock, deadlineMs: number) {
    this.#client = client
    this.#clock = clock
    this.#deadlineMs = deadlineMs
    // Without a handler an error of a connection that is checked out ends the process.
    client.on('error', this.#onError)
  }

  /** Runs one statement; without values it may be several, in one round trip. */
  async query<Row extends pg.QueryResultRow>(text: string, values?: readonly unknown[]): Promise<pg.QueryResult<Row>> {
    return this.#inTime(this.#client.query<Row>(text, values === undefined ? undefined : [...values]))
  }

  /** Runs a query of the user's own. */
  async read(text: string, values: readonly unknown[]): Promise<pg.QueryResult<Record<string, unknown>>> {
    return this.#inTime(this.#client.query({ text, values: [...values], types }))
  }

  /** Runs `copy … from stdin`. */
  async copyIn(text: string, chunks: readonly Buffer[]): Promise<void> {
    return this.#inTime(
      new Promise<void>((resolve, reject) => {
        this.#client.query(new CopyIn(text, chunks, (error) => (error === undefined ? resolve() : reject(error))))
      }),
    )
  }

  /** Runs statements that open a transaction, `begin` first. Only {@link commit} and {@link rollback} end it. */
  async begin(text: string): Promise<void> {
    this.#transaction = true
    await this.query(text)
  }

  /** Sends COMMIT. Answers with the server's command tag: a transaction that failed unnoticed says ROLLBACK, and no error. */
  async commit(): Promise<string> {
    const { command } = await this.query('commit')
    this.#transaction = false
    return command
  }

  /** Ends the transaction, and gives the connection up when that is not possible. */
  async rollback(): Promise<void> {
    if (this.#lost !== undefined) return
    try {
      await this.query('rollback')
      this.#transaction = false
    } catch (error) {
      this.#lost ??= error instanceof Error ? error : new Error(String(error))
    }
  }

  /** The backend's number as the server announced it at the start of the connection. */
  get announcedPid(): unknown {
    return 'processID' in this.#client ? this.#client.processID : undefined
  }

  get client(): pg.ClientBase {
    return this.#client
  }

  /** Waits no longer for the statement under way: the connection counts as lost. */
  abandon(): void {
    this.#lost ??= new NoAnswer(this.#deadlineMs)
    this.#giveUp?.(this.#lost)
  }

  /** Gives the connection back, or ends it when it is lost or still inside a transaction. */
  release(): void {
    this.#client.off('error', this.#onError)
    this.#client.release(this.#lost !== undefined || this.#transaction)
  }

  async #inTime<T>(answer: Promise<T>): Promise<T> {
    const deadline = new Promise<never>((_, reject) => {
      this.#giveUp = reject
    })
    const cancel = this.#clock.schedule(this.#deadlineMs, () => this.abandon())
    try {
      return await Promise.race([answer, deadline])
    } finally {
      cancel()
      this.#giveUp = undefined
    }
  }
}

/** What is asked of pg's pool. */
export type Pool = Pick<pg.Pool, 'connect' | 'end'>

/** The pool. Work takes turns on it in the order in which it asked. */
export class Connections {
  readonly target: PostgresTarget
  readonly clock: Clock
  readonly #pool: Pool
  readonly #waiting: (() => void)[] = []
  readonly #closing = new AbortController()
  readonly #links = new Set<Link>()
  #free: number

  constructor(target: PostgresTarget, pool: Pool = createPool(target), clock: Clock = systemClock) {
    this.target = target
    this.clock = clock
    this.#free = target.poolSize
    this.#pool = pool
  }

  /** Aborts when the connections are being closed. */
  get closing(): AbortSignal {
    return this.#closing.signal
  }

  /**
   * Lends a connection to `work`. Errors of pg come out as ours.
   *
   * @param doing for the error's text: `committing a batch`
   */
  async use<T>(doing: string, work: (link: Link) => Promise<T>): Promise<T> {
    await this.#turn()
    try {
      const link = await this.#connect()
      this.#links.add(link)
      try {
        return await work(link)
      } catch (error) {
        throw toMillraceError(error, { doing, target: this.target.name })
      } finally {
        this.#links.delete(link)
        link.release()
      }
    } finally {
      this.#passOn()
    }
  }

  /** Ends all connections. Work that waits for its turn is told so at once, what is under way gets a few seconds. */
  async close(): Promise<void> {
    if (this.closing.aborted) return
    this.#closing.abort()
    for (const wake of this.#waiting.splice(0)) wake()
    const cancel = this.clock.schedule(graceMs, () => {
      for (const link of this.#links) link.abandon()
    })
    await this.#pool.end()
    cancel()
  }

  async #connect(): Promise<Link> {
    try {
      const client = await this.#pool.connect()
      return new Link(client, this.clock, this.target.statementTimeoutMs + graceMs)
    } catch (error) {
      throw toConnectError(error, { target: this.target.name, user: this.target.user })
    }
  }

  // The pool has a queue of its own, but its one timeout counts waiting for a turn as if it were connecting.
  async #turn(): Promise<void> {
    if (this.#free > 0) this.#free -= 1
    else if (!this.closing.aborted) await new Promise<void>((resolve) => this.#waiting.push(resolve))
    if (this.closing.aborted) {
      throw new UnavailableError('MR-PG-CLOSED', {
        what: `the connections to Postgres at ${this.target.name} are closed`,
      })
    }
  }

  #passOn(): void {
    const next = this.#waiting.shift()
    if (next === undefined) this.#free += 1
    else next()
  }
}

function createPool(target: PostgresTarget): pg.Pool {
  const pool = new pg.Pool({
    ...target.config,
    max: target.poolSize,
    connectionTimeoutMillis: target.connectTimeoutMs,
    onConnect: (client) => setUpSession(client, target),
  })
  pool.on('error', (error) => {
    target.logger.debug({ err: error }, 'an idle connection to Postgres was lost')
  })
  return pool
}

/**
 * What every session of ours has. By SET and not in the startup message, which poolers refuse.
 * Dates without a zone are read as UTC, and a role's own defaults cannot change what a commit means.
 */
async function setUpSession(client: pg.ClientBase, target: PostgresTarget): Promise<void> {
  const text = `
    set lock_timeout to ${target.lockTimeoutMs};
    set statement_timeout to ${target.statementTimeoutMs};
    set idle_in_transaction_session_timeout to ${target.idleInTransactionTimeoutMs};
    set default_transaction_isolation to 'read committed';
    set timezone to 'UTC';
    set datestyle to 'ISO, YMD';
    set standard_conforming_strings to on`
  // Typed as text alone, but taken by pg for a single query too: the deadline of a session that never answers.
  const query: pg.QueryConfig & { query_timeout: number } = { text, query_timeout: target.connectTimeoutMs }
  await client.query(query)
}
