/** What the surroundings must be like for the guarantees to hold; looked at once, at start. */
import pg from 'pg'
import { StoreError } from '../core/errors.ts'
import type { Link } from './connections.ts'
import type { PostgresTarget } from './settings.ts'

const oldestVersion = 130_000
/** Rounds of the question whether a pooler changes the session under us; other traffic may hide it in one of them. */
const poolerProbes = 5

interface Surroundings extends pg.QueryResultRow {
  readonly version: number
  readonly version_text: string
  readonly in_recovery: boolean
  readonly read_only: string
  readonly fsync: string
  readonly full_page_writes: string
  readonly synchronous_commit: string
}

/** @throws StoreError naming what has to change; warns about what only weakens a guarantee */
export async function checkSurroundings(link: Link, target: PostgresTarget): Promise<void> {
  const { rows } = await link.query<Surroundings>(`
    select current_setting('server_version_num')::int as version, current_setting('server_version') as version_text,
      pg_is_in_recovery() as in_recovery, current_setting('default_transaction_read_only') as read_only,
      current_setting('fsync') as fsync, current_setting('full_page_writes') as full_page_writes,
      current_setting('synchronous_commit') as synchronous_commit`)
  const [found] = rows
  if (found === undefined) return
  if (found.version < oldestVersion) {
    throw new StoreError('MR-PG-VERSION', {
      what: `Postgres at ${target.name} is version ${found.version_text}`,
      fix: 'millrace needs Postgres 13 or newer.',
    })
  }
  if (found.in_recovery || found.read_only === 'on') {
    throw new StoreError('MR-PG-READONLY', {
      what: `Postgres at ${target.name} takes no writes`,
      why: found.in_recovery
        ? 'It is a standby: it follows another server.'
        : 'default_transaction_read_only is on for this user or database.',
      fix: found.in_recovery
        ? 'Connect to the primary; with several hosts in front, to the address that writes.'
        : `alter role ${target.user} reset default_transaction_read_only, or the same for the database.`,
    })
  }
  warnOfLoss(found, target)
  await refuseTransactionPooler(link, target)
}

function warnOfLoss(found: Surroundings, { logger, name }: PostgresTarget): void {
  if (found.fsync === 'off' || found.full_page_writes === 'off') {
    const { fsync, full_page_writes } = found
    logger.warn(
      { fsync, full_page_writes },
      `Postgres at ${name} may be damaged by a power cut: exactly-once does not outlive that`,
    )
  }
  if (found.synchronous_commit === 'off') {
    logger.warn(
      { synchronous_commit: 'off' },
      `Postgres at ${name} may lose its last commits in a crash: rows and progress together, but what was told to others stays told`,
    )
  }
}

/**
 * A pooler that hands out a server per transaction takes away what we set up for a session: timeouts, time zone.
 *
 * A session of our own has one backend, and the server announced its number. A pooler announces a number of its own;
 * then two connections ask for their backend in turn. Sharing one, or being moved to another, gives a pooler away.
 */
async function refuseTransactionPooler(link: Link, target: PostgresTarget): Promise<void> {
  const pid = async (query: (text: string) => Promise<pg.QueryResult<{ pid: number }>>) =>
    (await query('select pg_backend_pid() as pid')).rows[0]?.pid
  const ours = () => pid((text) => link.query<{ pid: number }>(text))
  const first = await ours()
  if (first === link.announcedPid) return

  const other = new pg.Client({
    ...target.config,
    connectionTimeoutMillis: target.connectTimeoutMs,
    query_timeout: target.connectTimeoutMs,
  })
  other.on('error', (error) => target.logger.debug({ err: error }, 'a connection that looked for a pooler was lost'))
  try {
    await other.connect()
    const theirs = () => pid((text) => other.query<{ pid: number }>(text))
    let second: number | undefined
    for (let probe = 0; probe < poolerProbes; probe += 1) {
      const seen = await theirs()
      second ??= seen
      const again = await ours()
      if (seen === first || again !== first || seen !== second) throw transactionPooler(target)
    }
  } finally {
    await other.end()
  }
}

function transactionPooler({ name }: PostgresTarget): StoreError {
  return new StoreError('MR-PG-POOLER', {
    what: `${name} is a pooler that changes the server between transactions`,
    why: 'Timeouts and time zone are set once for a session, and would be lost or reach other clients.',
    fix: 'Connect to Postgres itself, or let the pooler keep sessions (pgbouncer: pool_mode = session); millrace holds only a few connections.',
  })
}
