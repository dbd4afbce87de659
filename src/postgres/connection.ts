import type { ConnectionOptions } from 'node:tls'

/** How to reach Postgres, and how long it may keep a batch waiting. Its types name no package, since users need not have pg's. */
export interface PostgresConnection {
  /** `postgres://user:password@host:port/database`. Parts that are given beside it take the place of what it says. */
  readonly url?: string | undefined
  /** A host, or the folder of a socket. */
  readonly host?: string | undefined
  readonly port?: number | undefined
  readonly user?: string | undefined
  readonly password?: string | undefined
  readonly database?: string | undefined
  /** `true` trusts what Node.js trusts. Default: what the URL says. */
  readonly ssl?: boolean | ConnectionOptions | undefined
  /** Connections at most; tasks take turns on them. Default 4. */
  readonly poolSize?: number | undefined
  /** Default 10,000. */
  readonly connectTimeoutMs?: number | undefined
  /** How long one statement may wait for a lock. Default 20,000. */
  readonly lockTimeoutMs?: number | undefined
  /** How long one statement may take. Default 30,000. */
  readonly statementTimeoutMs?: number | undefined
  /**
   * How long a transaction may stand idle. Default 10,000.
   *
   * A process that is stopped while it holds its progress row keeps the next owner waiting for at most
   * statementTimeoutMs + idleInTransactionTimeoutMs.
   */
  readonly idleInTransactionTimeoutMs?: number | undefined
}
