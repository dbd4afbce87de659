/**
 * The modelled Postgres as a process reaches it: a pool of connections over a network that delays, loses and cuts, in
 * virtual time. It takes the place of pg's pool under the real commit code.
 */
import pg, { type Connection } from 'pg'
import type { Clock } from '../../src/core/clock.ts'
import type { Pool } from '../../src/postgres/connections.ts'
import type { CopyIn } from '../../src/postgres/copyIn.ts'
import type { ModelDatabase } from './modelDatabase.ts'
import { ModelSession, type Reply } from './modelSession.ts'
import type { Sent } from './modelStatements.ts'
import { refusal } from './modelTable.ts'

/**
 * What happens to one statement on its way:
 *
 * - `lose request`: it never arrives, and the connection is cut;
 * - `lose answer`: it is carried out, and the connection is cut;
 * - `late`: the connection is cut, and the statement is carried out some time after;
 * - `swallow request`, `swallow answer`: the connection stays open, and nothing comes any more;
 * - `kill before`, `kill in flight`, `kill after`: the process dies before it sends it, while it is under way, when the answer comes.
 */
export const fates = [
  'lose request',
  'lose answer',
  'late',
  'swallow request',
  'swallow answer',
  'kill before',
  'kill in flight',
  'kill after',
] as const
export type Fate = (typeof fates)[number]

/** The names of statements: what a fate waits for. */
export const statementKinds = [
  ...(['claim', 'fence', 'copy', 'upsert', 'take', 'collect', 'settle', 'commit', 'rollback', 'other'] as const),
]
export type StatementKind = (typeof statementKinds)[number]

/** The process at the other end. */
export interface Peer {
  readonly name: string
  /** Lets something reach the process: later when it is stopped, never when it is dead. */
  deliver(callback: () => void): void
  /** What becomes of the statement that it sends now. */
  fateOf(kind: StatementKind): Fate | undefined
  kill(): void
}

export interface Surroundings {
  readonly clock: Clock
  /** Milliseconds that the next message takes. */
  latency(): number
  note(text: string): void
  /** The model itself is wrong, or does not know what it was asked. */
  broken(error: unknown): void
}

const lockTimeoutMs = 20_000
const statementTimeoutMs = 30_000
const idleInTransactionMs = 10_000
/** How late a statement is carried out whose connection is gone. */
const lateMs = 5_000

export class ModelServer {
  readonly database: ModelDatabase
  readonly around: Surroundings
  readonly clients = new Set<ModelClient>()
  isDown = false

  constructor(database: ModelDatabase, around: Surroundings) {
    this.database = database
    this.around = around
    database.now = () => around.clock.now()
  }

  pool(peer: Peer): Pool {
    const idle: ModelClient[] = []
    const lent = new Set<ModelClient>()
    let freed = () => {}
    const connect = async () => {
      let client = idle.pop()
      while (client?.isLost) client = idle.pop()
      client ??= await ModelClient.connect(this, peer)
      lent.add(client)
      client.onRelease = (released, destroyed) => {
        lent.delete(released)
        if (destroyed || released.isLost) released.close()
        else idle.push(released)
        freed()
      }
      return client as unknown as pg.PoolClient
    }
    const end = async () => {
      while (lent.size > 0) {
        await new Promise<void>((resolve) => {
          freed = resolve
        })
      }
      for (const client of idle.splice(0)) client.close()
    }
    return { connect, end } as Pool
  }

  /** Stops hard, and takes connections again after a while. */
  crash(downMs: number): void {
    this.isDown = true
    for (const client of this.clients) client.cut()
    this.database.crash()
    this.around.clock.schedule(downMs, () => {
      this.isDown = false
      this.around.note('the database is back')
    })
  }

  /** Ends every session, as an administrator does. */
  terminate(): void {
    for (const client of this.clients) client.cut(refusal('57P01', 'terminating connection', undefined, 'FATAL'))
  }

  /** The sockets of a dead process close, after a while. */
  forget(peer: Peer, ms: number): void {
    this.around.clock.schedule(ms, () => {
      for (const client of this.clients) if (client.peer === peer) client.cut()
    })
  }
}

interface Query {
  readonly sent: Sent
  settle(error: Error | undefined, reply: Reply): void
}

const nothing: Reply = { command: '', rows: [] }

/** A connection, and what of pg's client is used. */
class ModelClient {
  readonly peer: Peer
  readonly processID = 1
  onRelease: (client: ModelClient, destroyed: boolean) => void = () => {}
  readonly #server: ModelServer
  readonly #session: ModelSession
  readonly #listeners = new Set<(error: Error) => void>()
  readonly #queries: Query[] = []
  #busy = false
  #lost: Error | undefined
  #cancelIdle = () => {}

  constructor(server: ModelServer, peer: Peer) {
    this.#server = server
    this.peer = peer
    this.#session = new ModelSession(server.database)
    server.clients.add(this)
  }

  static connect(server: ModelServer, peer: Peer): Promise<ModelClient> {
    const { around } = server
    return new Promise((resolve, reject) => {
      around.clock.schedule(around.latency(), () => {
        const refused = server.isDown
        around.clock.schedule(around.latency(), () =>
          peer.deliver(() => {
            if (refused || server.isDown)
              reject(Object.assign(new Error('connection refused'), { code: 'ECONNREFUSED' }))
            else resolve(new ModelClient(server, peer))
          }),
        )
      })
    })
  }

  get isLost(): boolean {
    return this.#lost !== undefined
  }

  on(_: 'error', listener: (error: Error) => void): void {
    this.#listeners.add(listener)
  }

  off(_: 'error', listener: (error: Error) => void): void {
    this.#listeners.delete(listener)
  }

  release(destroy: boolean): void {
    this.onRelease(this, destroy)
  }

  query(query: string | CopyIn, values: readonly unknown[] = []): Promise<Reply> | undefined {
    if (typeof query === 'string') {
      return new Promise((resolve, reject) =>
        this.#push({
          sent: { text: query, values, data: undefined },
          settle: (error, reply) => (error === undefined ? resolve(reply) : reject(error)),
        }),
      )
    }
    this.#push({
      sent: submitted(query),
      settle(error) {
        if (error === undefined) query.handleReadyForQuery()
        else query.handleError(error)
      },
    })
    return undefined
  }

  /** The socket closes on the client's side. */
  close(): void {
    this.#lost ??= closed()
    const { clock, latency } = this.#server.around
    clock.schedule(latency(), () => this.#endSession())
  }

  /** The connection is gone on both sides. */
  cut(reason: Error = closed()): void {
    this.#endSession()
    this.#learn(reason)
  }

  #endSession(): void {
    this.#cancelIdle()
    this.#server.clients.delete(this)
    if (!this.#session.isOver) this.#session.end()
  }

  /** The process is told that the connection is gone. */
  #learn(reason: Error): void {
    const { clock, latency } = this.#server.around
    clock.schedule(latency(), () =>
      this.peer.deliver(() => {
        if (this.#lost !== undefined) return
        this.#lost = reason
        for (const listener of [...this.#listeners]) listener(reason)
        for (const { settle } of this.#queries.splice(0)) settle(reason, nothing)
      }),
    )
  }

  #push(query: Query): void {
    if (this.#lost !== undefined) {
      query.settle(new Error('Client has encountered a connection error and is not queryable'), nothing)
      return
    }
    this.#queries.push(query)
    this.#send()
  }

  #send(): void {
    const [query] = this.#queries
    if (query === undefined || this.#busy) return
    this.#busy = true
    const kind = kindOf(query.sent.text)
    const fate = this.peer.fateOf(kind)
    const { clock, latency, note } = this.#server.around
    if (fate !== undefined) note(`${this.peer.name} ${fate} at ${kind}`)
    const arrive = (after: (error: Error | undefined, reply: Reply) => void) => {
      void this.#carryOut(query.sent, kind).then(
        (reply) => after(undefined, reply),
        (error: Error) => after(error, nothing),
      )
    }
    const soon = (callback: () => void, ms = latency()) => clock.schedule(ms, callback)
    switch (fate) {
      case 'kill before':
        this.peer.kill()
        return
      case 'lose request':
        this.cut()
        return
      case 'late':
        this.#learn(closed())
        soon(() => arrive(() => this.#endSession()), lateMs)
        return
      case 'swallow request':
        this.#startIdle()
        return
      case 'kill in flight':
        this.peer.kill()
        soon(() => arrive(() => {}))
        return
      case 'swallow answer':
        soon(() => arrive(() => {}))
        return
      case 'lose answer':
        soon(() => arrive(() => this.cut()))
        return
      case 'kill after':
        soon(() => arrive(() => soon(() => this.peer.kill())))
        return
      case undefined:
        soon(() => arrive((error, reply) => soon(() => this.peer.deliver(() => this.#answer(query, error, reply)))))
        return
      default:
        fate satisfies never
    }
  }

  #answer(query: Query, error: Error | undefined, reply: Reply): void {
    if (this.#queries[0] !== query) return
    this.#queries.shift()
    this.#busy = false
    query.settle(error, reply)
    this.#send()
  }

  async #carryOut(sent: Sent, kind: StatementKind): Promise<Reply> {
    const { clock, note, broken } = this.#server.around
    if (this.#session.isOver) throw closed()
    this.#cancelIdle()
    const interrupt = new AbortController()
    const cancels = [
      clock.schedule(lockTimeoutMs, () => interrupt.abort(refusal('55P03', 'canceling statement due to lock timeout'))),
      clock.schedule(statementTimeoutMs, () =>
        interrupt.abort(refusal('57014', 'canceling statement due to statement timeout')),
      ),
    ]
    try {
      const reply = await this.#session.run(sent, interrupt.signal)
      note(`${this.peer.name} ${kind} ${reply.command}`)
      return reply
    } catch (error) {
      if (error instanceof pg.DatabaseError) note(`${this.peer.name} ${kind} ${error.code}`)
      else if (!this.#session.isOver) broken(error)
      throw error
    } finally {
      for (const cancel of cancels) cancel()
      this.#startIdle()
    }
  }

  /** A transaction in which nothing happens is ended by the server. */
  #startIdle(): void {
    this.#cancelIdle()
    if (!this.#session.inTransaction) return
    this.#cancelIdle = this.#server.around.clock.schedule(idleInTransactionMs, () => {
      this.#server.around.note(`${this.peer.name} idle in transaction`)
      this.cut(refusal('25P03', 'terminating connection due to idle-in-transaction timeout', undefined, 'FATAL'))
    })
  }
}

/** What a COPY would have sent. */
function submitted(query: CopyIn): Sent {
  let text = ''
  const parts: Buffer[] = []
  const connection = {
    query(statement: string) {
      text = statement
    },
    stream: { cork() {}, uncork() {}, write: (part: Buffer) => parts.push(part) },
  }
  query.submit(connection as unknown as Connection)
  // Each part comes behind a header of its own, and a last message ends them.
  const data = parts.filter((_, index) => index % 2 === 1 && index < parts.length)
  return { text, values: [], data: Buffer.concat(data).toString() }
}

function kindOf(text: string): StatementKind {
  if (text.startsWith('begin; ')) return 'fence'
  if (text.includes('millrace.claim')) return 'claim'
  if (text.includes('insert into millrace.errors')) return 'collect'
  if (text.startsWith('with blocking as')) return 'take'
  const [word, what] = text.trim().split(' ')
  if (word === 'update' && what === 'millrace.errors') return 'settle'
  if (word === 'copy' || word === 'commit' || word === 'rollback') return word
  return word === 'insert' ? 'upsert' : 'other'
}

function closed(): Error {
  return new Error('Connection terminated unexpectedly')
}
