/** A real Postgres, for the demo, the tests and the benchmark. */
import { randomBytes } from 'node:crypto'
import { chown, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import pg from 'pg'
import { serviceFolder } from './folder.ts'
import { Guarded } from './guarded.ts'
import { freePorts } from './ports.ts'
import { type PostgresBinaries, postgresBinaries, type ServerUser, serverUser } from './postgresBinaries.ts'
import { lastLines, run } from './run.ts'
import { ServiceError } from './serviceError.ts'

const startTimeoutMs = 60_000

export interface PostgresService {
  /** Of the superuser and the database `postgres`. */
  readonly url: string
  /** A command that opens psql on it. */
  readonly psqlHint: string
  /** As a crash: all connections break, nothing is written any more, recovery follows at the {@link restart}. */
  kill(): Promise<void>
  /** Starts a killed server again on its data and port, and waits until it answers. */
  restart(): Promise<void>
  /** Ends the server and removes its data. */
  stop(): Promise<void>
}

/**
 * Starts a server on a free port of 127.0.0.1 with its data in a temporary folder, fsync on, 200 connections, a password.
 * It ends with this process, however this process ends. Throws ServiceError when a program, a user, a port or disk space
 * is missing.
 */
export async function startPostgres(): Promise<PostgresService> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await startOnce()
    } catch (error) {
      // A port that was free a moment ago may be taken; that is worth another try, anything else is not.
      if (attempt === 3 || !(error instanceof Error && /Address already in use/i.test(error.message))) throw error
    }
  }
}

async function startOnce(): Promise<PostgresService> {
  const folder = await serviceFolder('Postgres')
  const data = join(folder, 'data')
  const password = randomBytes(12).toString('hex')
  let user: ServerUser
  let binaries: PostgresBinaries
  try {
    user = await serverUser()
    if (user.uid !== undefined && user.gid !== undefined) await chown(folder, user.uid, user.gid)
    binaries = await postgresBinaries(folder, user)
    await initialize(binaries, user, folder, data, password)
  } catch (error) {
    await rm(folder, { recursive: true, force: true })
    throw error
  }
  const [port = 0] = await freePorts(1)
  const guarded = new Guarded({
    name: 'Postgres',
    command: binaries.postgres,
    args: ['-D', data, '-p', String(port), ...settings.flatMap((setting) => ['-c', setting])],
    cwd: folder,
    env: serverEnvironment(),
    ...user,
    logFile: join(folder, 'postgres.log'),
    folder,
    // Immediate shutdown: the data is thrown away with it.
    stopSignal: 'SIGQUIT',
  })
  const url = `postgres://postgres:${password}@127.0.0.1:${port}/postgres`
  const up = async () => {
    await guarded.start()
    await guarded.until(() => answers(url), startTimeoutMs)
  }
  try {
    await up()
  } catch (error) {
    await guarded.stop()
    throw error
  }
  return { url, psqlHint: `psql '${url}'`, kill: () => guarded.end('SIGQUIT'), restart: up, stop: () => guarded.stop() }
}

const settings = [
  'listen_addresses=127.0.0.1',
  'unix_socket_directories=',
  'max_connections=200',
  'fsync=on',
  'max_wal_size=2GB',
  'log_min_messages=warning',
  // Refused statements are the daily bread of the tests; a log of them would only grow.
  'log_min_error_statement=panic',
]

async function initialize(
  { initdb }: PostgresBinaries,
  user: ServerUser,
  folder: string,
  data: string,
  password: string,
): Promise<void> {
  const passwordFile = join(folder, 'password')
  await writeFile(passwordFile, password)
  if (user.uid !== undefined && user.gid !== undefined) await chown(passwordFile, user.uid, user.gid)
  const args = [
    `--pgdata=${data}`,
    `--pwfile=${passwordFile}`,
    '--username=postgres',
    '--auth=scram-sha-256',
    '--encoding=UTF8',
    '--locale=C',
    '--no-sync',
  ]
  const { code, output } = await run(initdb, args, { ...user, cwd: folder, env: serverEnvironment() })
  await rm(passwordFile, { force: true })
  if (code !== 0)
    throw new ServiceError('start-failed', `Postgres could not make its data folder:\n${lastLines(output, 8)}`)
}

/** Neither a language nor PG* settings of the caller may change how the server behaves. */
function serverEnvironment(): NodeJS.ProcessEnv {
  const own = Object.entries(process.env).filter(
    ([name]) => !name.startsWith('PG') && !name.startsWith('LC_') && name !== 'LANG',
  )
  return { ...Object.fromEntries(own), LC_ALL: 'C', TZ: 'UTC' }
}

async function answers(url: string): Promise<boolean> {
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 2_000 })
  client.on('error', () => undefined)
  try {
    await client.connect()
    await client.query('select 1')
    return true
  } catch {
    return false
  } finally {
    await client.end().catch(() => undefined)
  }
}
