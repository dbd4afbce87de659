/**
 * The rows of an SQL query, page by page: with a cursor in a read-only transaction of its own, on a connection of its own, so
 * that all rows are as they were at one moment, whatever is committed meanwhile.
 */
import pg from 'pg'
import { requireNames, types } from './queryRows.ts'
import { type PostgresSettings, type PostgresTarget, postgresTarget } from './settings.ts'
import { toConnectError, toMillraceError } from './sqlstate.ts'

export interface QueryPages {
  /** The next rows, `atMost` of them; fewer at the end. */
  next(atMost: number): Promise<readonly object[]>
  close(): Promise<void>
}

/** Connects when it is first asked; close it. @throws SettingsError when a setting is out of range */
export function openQuery(settings: PostgresSettings, sql: string, params: readonly unknown[]): QueryPages {
  const target = postgresTarget(settings)
  const doing = `reading the rows of a query: ${sql.replace(/\s+/g, ' ').slice(0, 100)}`
  let client: pg.Client | undefined
  const begun = async (): Promise<pg.Client> => {
    if (client === undefined) {
      client = createClient(target)
      await connect(client, target)
      await begin(client, sql, params)
    }
    return client
  }
  return {
    async next(atMost) {
      try {
        const { rows, fields } = await (await begun()).query<object>(`fetch forward ${atMost} from millrace_query`)
        requireNames(fields)
        return rows
      } catch (error) {
        throw toMillraceError(error, { doing, target: target.name })
      }
    },
    // While a statement is under way, pg cuts the connection.
    close: async () => client?.end(),
  }
}

function createClient(target: PostgresTarget): pg.Client {
  const client = new pg.Client({
    ...target.config,
    connectionTimeoutMillis: target.connectTimeoutMs,
    types,
  })
  // Whoever reads is told; without a handler a lost connection ends the process.
  client.on('error', (error) => target.logger.debug({ err: error }, 'the connection of a query was lost'))
  return client
}

async function connect(client: pg.Client, target: PostgresTarget): Promise<void> {
  try {
    await client.connect()
  } catch (error) {
    throw toConnectError(error, { target: target.name, user: target.user })
  }
}

/** A run may take as long as it takes between two pages, and so may a query until its first row. */
async function begin(client: pg.Client, sql: string, params: readonly unknown[]): Promise<void> {
  await client.query(`
    set statement_timeout to 0;
    set idle_in_transaction_session_timeout to 0;
    set timezone to 'UTC';
    set datestyle to 'ISO, YMD';
    set cursor_tuple_fraction to 1;
    begin isolation level repeatable read read only`)
  await client.query(`declare millrace_query no scroll cursor for ${sql}\n`, [...params])
}
