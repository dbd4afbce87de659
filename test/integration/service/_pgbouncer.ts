/** A pgbouncer of its own in front of a database. */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import pg from 'pg'
import { until } from '../../support/until.ts'

/** The program; another one where PGBOUNCER names it. */
const pgbouncer = process.env.PGBOUNCER ?? 'pgbouncer'

/** Why there can be none here; undefined when there can. */
export function findPgbouncer(): string | undefined {
  try {
    execFileSync(pgbouncer, ['--version'], { stdio: 'ignore' })
  } catch {
    return 'pgbouncer is not installed (apt-get install pgbouncer)'
  }
  return unprivileged() === undefined ? 'pgbouncer does not run as root, and there is no user "nobody"' : undefined
}

export async function startPgbouncer(
  target: string,
  mode: 'session' | 'transaction',
): Promise<{ readonly url: string; stop(): Promise<void> }> {
  const { hostname, port: serverPort, username, password, pathname } = new URL(target)
  const port = await freePort()
  const folder = mkdtempSync(join(tmpdir(), 'millrace-pgbouncer-'))
  const config = join(folder, 'pgbouncer.ini')
  const secret = password === '' ? '' : ` password=${decodeURIComponent(password)}`
  writeFileSync(
    config,
    `[databases]
* = host=${hostname} port=${serverPort} user=${decodeURIComponent(username)}${secret}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = ${port}
unix_socket_dir =
auth_type = any
pool_mode = ${mode}
`,
  )
  chmodSync(folder, 0o755)
  const bouncer = spawn(pgbouncer, ['-q', config], { stdio: 'ignore', ...unprivileged() })
  const url = `postgres://${username}@127.0.0.1:${port}${pathname}`
  await until('pgbouncer answers', () => answers(url))
  return { url, stop: () => stop(bouncer, folder) }
}

async function stop(bouncer: ChildProcess, folder: string): Promise<void> {
  const ended = new Promise((resolve) => bouncer.once('exit', resolve))
  bouncer.kill('SIGTERM')
  await ended
  rmSync(folder, { recursive: true })
}

/** It refuses to run as root. */
function unprivileged(): { uid?: number; gid?: number } | undefined {
  if (process.getuid?.() !== 0) return {}
  try {
    const id = (flag: string) =>
      Number(execFileSync('id', [flag, 'nobody'], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }))
    return { uid: id('-u'), gid: id('-g') }
  } catch {
    return undefined
  }
}

async function answers(url: string): Promise<boolean> {
  const client = new pg.Client(url)
  client.on('error', () => {})
  try {
    await client.connect()
    return true
  } catch {
    return false
  } finally {
    await client.end()
  }
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await new Promise((resolve) => server.once('listening', resolve))
  const { port } = server.address() as { port: number }
  await new Promise((resolve) => server.close(resolve))
  return port
}
