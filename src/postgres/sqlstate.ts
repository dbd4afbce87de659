/**
 * The one table of what to do about an error of Postgres, or of the way to it.
 *
 * - `retry`: the surroundings were not ready; the same batch may go through later.
 * - `collect`: the rows were refused; the guilty item is found and collected.
 * - `stop`: somebody has to act, because trying again would give the same answer. Also whatever is not in the table.
 */
import pg from 'pg'
import { MillraceError, messageOf, StoreError, UnavailableError } from '../core/errors.ts'

export type Reaction = 'retry' | 'collect' | 'stop'

/** Raised by the fence in the database: another owner has claimed the task. */
export const fenceLostState = 'MR001'

/** SQLSTATEs by prefix: a class of two characters, some letters more, or a whole code. */
const reactions: readonly (readonly [prefix: string, reaction: Reaction])[] = [
  ['08', 'retry'], // connection
  ['25006', 'retry'], // read-only transaction: a failover under way
  ['25P0', 'retry'], // the transaction was ended under us, idle for too long
  ['40', 'retry'], // deadlock, serialization
  ['53', 'retry'], // disk, memory, connections
  ['55P03', 'retry'], // a lock could not be had in time
  ['57014', 'retry'], // statement timeout
  ['57P0', 'retry'], // shutting down, starting up
  ['58', 'retry'], // the server's own input and output
  ['XX000', 'retry'],
  ['22', 'collect'], // data
  ['23', 'collect'], // constraints
  ['44', 'collect'], // a view's check option
  ['54', 'collect'], // too big
  ['P0001', 'collect'], // raised by a trigger of the user's
]

/** States in which a row clashes with other rows, and may fit once another item has fallen: unique, exclusion, foreign key. */
const clashes: ReadonlySet<string> = new Set(['23505', '23P01', '23503'])

/** Codes of node for a connection that could not be made or was lost. */
const connectionCodes: ReadonlySet<string> = new Set([
  'ECONNREFUSED',
  'ECONNRESET',
  'ECONNABORTED',
  'EPIPE',
  'ETIMEDOUT',
  'ENOTFOUND',
  'EAI_AGAIN',
  'EHOSTUNREACH',
  'EHOSTDOWN',
  'ENETUNREACH',
  'ENETDOWN',
  'ERR_STREAM_DESTROYED',
  'ERR_STREAM_WRITE_AFTER_END',
])

/** pg has no codes for its own: these are its sentences for a connection that is not there. */
const connectionSentences = [
  'Connection terminated',
  'timeout expired',
  'timeout exceeded when trying to connect',
  'Client has encountered a connection error',
  'Query read timeout',
  'Client was closed and is not queryable',
  'Cannot use a pool after calling end',
]

const tlsCodes = /^(DEPTH_ZERO_SELF_SIGNED_CERT|SELF_SIGNED_CERT_IN_CHAIN|UNABLE_TO_|CERT_|ERR_TLS_|ERR_SSL_|EPROTO)/

/** A query or a connection that gave no answer within its deadline. */
export class NoAnswer extends Error {
  constructor(deadlineMs: number) {
    super(`no answer within ${deadlineMs} ms`)
    this.name = 'NoAnswer'
  }
}

/** The five characters of an error that Postgres itself sent. */
export function sqlstateOf(error: unknown): string | undefined {
  return error instanceof pg.DatabaseError ? error.code : undefined
}

export function reactionTo(sqlstate: string): Reaction {
  return reactions.find(([prefix]) => sqlstate.startsWith(prefix))?.[1] ?? 'stop'
}

export function isClash(sqlstate: string): boolean {
  return clashes.has(sqlstate)
}

/** Whether the connection is gone, or was never there: what the server made of the last statement is not known. */
export function isConnectionLost(error: unknown): boolean {
  if (error instanceof NoAnswer) return true
  if (error instanceof pg.DatabaseError) {
    // A FATAL error ends the session. It may have been raised after a COMMIT was carried out.
    return error.severity === 'FATAL' || error.severity === 'PANIC' || error.code?.startsWith('08') === true
  }
  if (!(error instanceof Error)) return false
  if ('code' in error && typeof error.code === 'string' && connectionCodes.has(error.code)) return true
  return connectionSentences.some((sentence) => error.message.startsWith(sentence))
}

/** What was being done, and where, for an error's text. */
export interface Doing {
  /** `committing a batch of stream "flights"` */
  readonly doing: string
  /** `localhost:5432/flights` */
  readonly target: string
}

/** An error of pg as one of ours; ours pass unchanged. */
export function toMillraceError(error: unknown, { doing, target }: Doing): MillraceError {
  if (error instanceof MillraceError) return error
  const sqlstate = sqlstateOf(error)
  const said = sqlstate === undefined ? messageOf(error) : `${messageOf(error)} (SQLSTATE ${sqlstate})`
  if (isConnectionLost(error) && sqlstate === undefined) {
    return new UnavailableError('MR-PG-LOST', {
      what: `the connection to Postgres at ${target} was lost while ${doing}`,
      why: said,
      fix: 'Nothing of it was committed; it is tried again.',
      cause: error,
    })
  }
  if (sqlstate !== undefined && reactionTo(sqlstate) === 'retry') {
    return new UnavailableError('MR-PG-BUSY', {
      what: `Postgres at ${target} could not go on while ${doing}`,
      why: said,
      fix: 'Nothing of it was committed; it is tried again.',
      cause: error,
    })
  }
  return new StoreError('MR-PG-REFUSED', {
    what: `Postgres at ${target} refused while ${doing}`,
    why: detailOf(error, said),
    fix: 'It would be refused again, so nothing is tried again. Change the database or the plan, then start again.',
    cause: error,
  })
}

function detailOf(error: unknown, said: string): string {
  if (!(error instanceof pg.DatabaseError)) return said
  return [said, error.detail, error.hint].filter((part) => part !== undefined).join('\n')
}

/** An error on the way to a connection: who has to do what. */
export function toConnectError(error: unknown, { target, user }: { target: string; user: string }): MillraceError {
  if (error instanceof MillraceError) return error
  const message = messageOf(error)
  const sqlstate = sqlstateOf(error)
  const code = error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : ''
  if (sqlstate === '28P01' || (sqlstate === undefined && /password must be a|no password/i.test(message))) {
    return new StoreError('MR-PG-PASSWORD', {
      what: `Postgres at ${target} does not accept the password of user "${user}"`,
      why: message,
      fix: 'Check user and password in the settings; special characters in a URL have to be percent-encoded.',
      cause: error,
    })
  }
  if (sqlstate?.startsWith('28')) {
    return new StoreError('MR-PG-ACCESS', {
      what: `Postgres at ${target} does not let user "${user}" in`,
      why: message,
      fix: 'Check the user, pg_hba.conf, and whether the server asks for TLS (ssl: true).',
      cause: error,
    })
  }
  if (sqlstate === '3D000') {
    return new StoreError('MR-PG-DATABASE', {
      what: `there is no database of the name in ${target}`,
      why: message,
      fix: 'Create it (createdb), or correct the name in the settings.',
      cause: error,
    })
  }
  if (tlsCodes.test(code) || /SSL|TLS/.test(message)) {
    return new StoreError('MR-PG-TLS', {
      what: `a TLS connection to Postgres at ${target} could not be made`,
      why: message,
      fix: "Give the server's certificate authority in ssl.ca, or connect without TLS where the network is trusted.",
      cause: error,
    })
  }
  if (sqlstate !== undefined) return toMillraceError(error, { doing: 'connecting', target })
  return new UnavailableError('MR-PG-UNREACHABLE', {
    what: `Postgres at ${target} cannot be reached`,
    why: message === '' ? code : message,
    fix: 'Is it running, is host and port right, and does a firewall let this machine through?',
    cause: error,
  })
}
