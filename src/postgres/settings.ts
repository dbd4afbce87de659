import pg from 'pg'
import { SettingsError } from '../core/errors.ts'
import { type Logger, silentLogger } from '../core/logger.ts'
import type { PostgresConnection } from './connection.ts'

/** How to reach Postgres, and who is told what happens there. */
export interface PostgresSettings extends PostgresConnection {
  readonly logger?: Logger | undefined
  /** Bytes of a value that the error collector keeps at most. Default 1 MiB. */
  readonly maxKeptValueBytes?: number | undefined
}

/** Settings with defaults filled in, and the server's name without the password. */
export interface PostgresTarget {
  readonly config: pg.ClientConfig
  /** `localhost:5432/flights` */
  readonly name: string
  readonly user: string
  readonly poolSize: number
  readonly connectTimeoutMs: number
  readonly lockTimeoutMs: number
  readonly statementTimeoutMs: number
  readonly idleInTransactionTimeoutMs: number
  readonly maxKeptValueBytes: number
  readonly logger: Logger
}

/** Checks the settings. @throws SettingsError naming the setting. */
export function postgresTarget(settings: PostgresSettings): PostgresTarget {
  const { url, host, port, user, password, database, ssl } = settings
  const config: pg.ClientConfig = { application_name: 'millrace', keepAlive: true }
  if (url !== undefined) {
    if (!/^postgres(ql)?:\/\//.test(url)) throw unreadableUrl()
    config.connectionString = url
  }
  if (host !== undefined) config.host = host
  if (port !== undefined) config.port = port
  if (user !== undefined) config.user = user
  if (password !== undefined) config.password = password
  if (database !== undefined) config.database = database
  if (ssl !== undefined) config.ssl = ssl

  const resolved = clientOf(config)
  return {
    config,
    name: `${resolved.host}:${resolved.port}/${resolved.database ?? ''}`,
    user: resolved.user ?? '',
    poolSize: wholeNumber('poolSize', settings.poolSize ?? 4),
    connectTimeoutMs: wholeNumber('connectTimeoutMs', settings.connectTimeoutMs ?? 10_000),
    lockTimeoutMs: wholeNumber('lockTimeoutMs', settings.lockTimeoutMs ?? 20_000),
    statementTimeoutMs: wholeNumber('statementTimeoutMs', settings.statementTimeoutMs ?? 30_000),
    idleInTransactionTimeoutMs: wholeNumber(
      'idleInTransactionTimeoutMs',
      settings.idleInTransactionTimeoutMs ?? 10_000,
    ),
    maxKeptValueBytes: settings.maxKeptValueBytes ?? 2 ** 20,
    logger: settings.logger ?? silentLogger,
  }
}

// The error of a malformed URL keeps the whole of it, password and all, in a property: it is no cause of ours.
function clientOf(config: pg.ClientConfig): pg.Client {
  try {
    return new pg.Client(config)
  } catch {
    throw unreadableUrl()
  }
}

function unreadableUrl(): SettingsError {
  return new SettingsError('MR-PG-URL', {
    what: 'the URL of Postgres cannot be read',
    why: 'It is not shown, because it may hold a password. Special characters in the password have to be percent-encoded.',
    fix: 'Write it as postgres://user:password@host:5432/database.',
  })
}

function wholeNumber(name: string, value: number): number {
  if (Number.isInteger(value) && value > 0 && value < 2 ** 31) return value
  throw new SettingsError('MR-PG-SETTING', {
    what: `postgres.${name} cannot be ${String(value)}`,
    fix: 'Give a whole number above 0.',
  })
}
