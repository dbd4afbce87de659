/** Surroundings in which the guarantees would not hold, or nothing works at all: each is named, with what to do. */
import { execFileSync, spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import net from 'node:net'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { inspect } from 'node:util'
import { describe, expect, it } from 'vitest'
import type { Logger } from '../../../src/core/logger.ts'
import { createPostgresStore } from '../../../src/postgres/postgresStore.ts'
import type { PostgresSettings } from '../../../src/postgres/settings.ts'
import { proxyTo } from '../../faults/tcpProxy.ts'
import { freshDatabase } from '../../support/services.ts'

const database = await freshDatabase()
const changed = (change: (url: URL) => void) => {
  const url = new URL(database.url)
  change(url)
  return url.href
}

/** Opens a store and closes it; answers with the error's text, and makes sure that it tells no password. */
async function refusalOf(settings: PostgresSettings, password?: string): Promise<string> {
  const store = createPostgresStore({ connectTimeoutMs: 2_000, ...settings })
  try {
    await store.open([])
  } catch (error) {
    if (password !== undefined) expect(inspect(error, { depth: 9, showHidden: true })).not.toContain(password)
    return error instanceof Error ? error.message : String(error)
  } finally {
    await store.close()
  }
  return 'accepted'
}

async function freePort(): Promise<number> {
  const server = net.createServer().listen(0, '127.0.0.1')
  await new Promise((resolve) => server.once('listening', resolve))
  const address = server.address()
  await new Promise((resolve) => server.close(resolve))
  return typeof address === 'object' && address !== null ? address.port : 0
}

describe('a store is not opened', () => {
  it('where nobody listens', async () => {
    const port = await freePort()
    const text = await refusalOf({ url: changed((url) => (url.port = String(port))) })
    expect(text).toContain(`Postgres at ${new URL(database.url).hostname}:${port}/${database.name} cannot be reached`)
    expect(text).toContain('MR-PG-UNREACHABLE')
  })

  it('where the host has no address', async () => {
    expect(await refusalOf({ url: changed((url) => (url.hostname = 'no-such-host.invalid')) })).toContain(
      'MR-PG-UNREACHABLE',
    )
  })

  it('where somebody listens who never answers', async () => {
    const silent = net.createServer(() => {}).listen(0, '127.0.0.1')
    await new Promise((resolve) => silent.once('listening', resolve))
    const address = silent.address()
    const port = typeof address === 'object' && address !== null ? address.port : 0
    expect(await refusalOf({ host: '127.0.0.1', port, connectTimeoutMs: 300 })).toContain('MR-PG-UNREACHABLE')
    silent.close()
  })

  it('with a wrong password, which is not printed', async () => {
    const role = `login_${database.name}`
    await database.query(`create role ${role} login password 'the right one'`)
    const url = changed((it) => {
      it.username = role
      it.password = 'the wrong one'
    })
    const text = await refusalOf({ url }, 'the wrong one')
    const trusts = text === 'accepted' || text.includes('MR-PG-SCHEMA')
    await database.query(`drop role ${role}`)
    // A server that trusts everybody does not look at it.
    if (!trusts) {
      expect(text).toContain(`does not accept the password of user "${role}"`)
      expect(text).toContain('MR-PG-PASSWORD')
    }
  })

  it('for a database that is not there', async () => {
    expect(await refusalOf({ url: changed((url) => (url.pathname = '/no_such_database')) })).toContain('MR-PG-DATABASE')
  })

  it('without TLS where it was asked for', async () => {
    expect(await refusalOf({ url: database.url, ssl: true })).toContain('MR-PG-TLS')
  })

  it('where nothing may be written', async () => {
    await database.query(`alter database ${database.name} set default_transaction_read_only to on`)
    const text = await refusalOf({ url: database.url })
    const { default: pg } = await import('pg')
    const client = new pg.Client(database.url)
    await client.connect()
    await client.query(
      `set transaction read write; alter database ${database.name} reset default_transaction_read_only`,
    )
    await client.end()
    expect(text).toContain('takes no writes')
    expect(text).toContain('MR-PG-READONLY')
  })

  it('by a user who may not make the schema, while it is missing', async () => {
    const role = `poor_${database.name}`
    await database.query(
      `create role ${role} login password 'secret'; revoke create on database ${database.name} from public`,
    )
    const url = changed((it) => {
      it.username = role
      it.password = 'secret'
    })
    expect(await refusalOf({ url })).toContain('MR-PG-SCHEMA')
    // Once somebody has made it, the same user needs no right to create.
    expect(await refusalOf({ url: database.url })).toBe('accepted')
    await database.query(
      `grant usage on schema millrace to ${role}; grant select on all tables in schema millrace to ${role}`,
    )
    expect(await refusalOf({ url })).toBe('accepted')
    await database.query(`drop owned by ${role}; drop role ${role}`)
  })
})

it('warns of a server that a power cut may damage', async () => {
  const warnings: string[] = []
  const logger: Logger = {
    debug: () => {},
    info: () => {},
    warn: (_, message) => void warnings.push(message ?? ''),
    error: () => {},
  }
  const store = createPostgresStore({ url: database.url, logger })
  await database.query(`alter database ${database.name} set synchronous_commit to off`)
  await store.open([])
  await store.close()
  await database.query(`alter database ${database.name} reset synchronous_commit`)
  expect(warnings.join()).toContain('may lose its last commits')
})

it('takes a way that only forwards for no pooler', async () => {
  const { proxy, url } = await proxyTo(database.url)
  expect(await refusalOf({ url })).toBe('accepted')
  await proxy.close()
})

const pgbouncer = ['/usr/sbin/pgbouncer', '/usr/bin/pgbouncer', '/usr/local/bin/pgbouncer'].find(existsSync)

/** Runs pgbouncer in front of the database. */
async function throughPgbouncer(
  mode: 'transaction' | 'session' | 'statement',
  poolSize: number,
  use: (url: string) => Promise<void>,
) {
  const folder = await mkdtemp(path.join(tmpdir(), 'pgbouncer-'))
  const port = await freePort()
  const { hostname, port: serverPort, username, password } = new URL(database.url)
  const config = path.join(folder, 'pgbouncer.ini')
  await writeFile(
    config,
    `[databases]
${database.name} = host=${hostname} port=${serverPort} user=${username} password=${password}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = ${port}
auth_type = any
pool_mode = ${mode}
default_pool_size = ${poolSize}
unix_socket_dir =
`,
  )
  execFileSync('chmod', ['-R', 'a+rX', folder])
  const asRoot = process.getuid?.() === 0
  const child = spawn(pgbouncer ?? '', [...(asRoot ? ['-u', 'nobody'] : []), config], { stdio: 'ignore' })
  try {
    await expect
      .poll(
        () =>
          new Promise((resolve) => {
            const socket = net.connect(port, '127.0.0.1', () => {
              socket.destroy()
              resolve(true)
            })
            socket.on('error', () => resolve(false))
          }),
        { timeout: 15_000 },
      )
      .toBe(true)
    const url = changed((it) => {
      it.hostname = '127.0.0.1'
      it.port = String(port)
    })
    await use(url)
  } finally {
    child.kill()
    await new Promise((resolve) => child.once('exit', resolve))
    await rm(folder, { recursive: true })
  }
}

describe.skipIf(pgbouncer === undefined)('pgbouncer', () => {
  it.each([
    ['transaction', 5],
    ['transaction', 1],
    ['statement', 5],
  ] as const)('in %s mode with %i connections is refused', async (mode, poolSize) => {
    await throughPgbouncer(mode, poolSize, async (url) => {
      const text = await refusalOf({ url })
      expect(text).toContain('is a pooler that changes the server between transactions')
      expect(text).toContain('MR-PG-POOLER')
    })
  })

  it('in session mode is as good as Postgres itself', async () => {
    await throughPgbouncer('session', 5, async (url) => {
      expect(await refusalOf({ url })).toBe('accepted')
    })
  })
})
