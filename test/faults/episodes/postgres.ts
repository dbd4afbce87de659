/** Everything that a database server can do to those who write to it. */
import { rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'
import type { Episode, OwnServers } from '../kinds.ts'
import type { Scene } from '../scene.ts'
import type { Tally } from '../tally.ts'
import { smallDisk } from './smallDisk.ts'

const members = 2
const faultNames = ['killed', 'backends terminated', 'read-only', 'too many clients', 'disk full'] as const
type PostgresFault = (typeof faultNames)[number]

export async function strikePostgres({ scene, tally, first, faults, own: { postgres } }: Episode): Promise<void> {
  if (postgres === undefined) throw new TypeError('an episode of this kind has a server of its own')
  // A service that cannot write for longer than its tries says so and ends, with the code for "starting again may help".
  scene.startAgain = { codes: [3, 5], names: /MR-PG-/ }
  for (let count = 0; count < members; count++) scene.start()
  await scene.goesOn('the start')
  for (let fault = 0; fault < faults; fault++) {
    const name = faultNames[(first + fault) % faultNames.length] ?? 'killed'
    await scene.isBusy()
    if (await strike(scene, postgres, name, tally)) {
      await scene.goesOn(name)
      tally.fault(`postgres: ${name}`)
    }
  }
}

/** False when it cannot be done on this machine. */
async function strike(
  scene: Scene,
  server: NonNullable<OwnServers['postgres']>,
  fault: PostgresFault,
  tally: Tally,
): Promise<boolean> {
  switch (fault) {
    case 'killed':
      await server.kill()
      await scene.isToldOf(/MR-PG-|cannot be reached|was lost/)
      await server.restart()
      return true
    case 'backends terminated':
      await terminate(scene)
      return true
    case 'read-only':
      await asSuperuser(server.url, 'alter system set default_transaction_read_only = on')
      await scene.isToldOf(/25006|takes no writes/)
      await asSuperuser(server.url, 'alter system reset default_transaction_read_only')
      return true
    case 'too many clients':
      await scene.database.query(`alter role ${scene.database.name} connection limit 0`)
      await terminate(scene)
      await scene.isToldOf(/53300/)
      await scene.database.query(`alter role ${scene.database.name} connection limit -1`)
      return true
    case 'disk full':
      return fillDisk(scene, tally)
    default:
      return fault satisfies never
  }
}

async function terminate({ database }: Scene): Promise<void> {
  await database.query('select pg_terminate_backend(pid) from pg_stat_activity where usename = $1', [database.name])
}

/** Over a connection that may write whatever the server's default is. */
async function asSuperuser(url: string, text: string): Promise<void> {
  const client = new pg.Client({ connectionString: url, options: '-c default_transaction_read_only=off' })
  await client.connect()
  try {
    await client.query(text)
    await client.query('select pg_reload_conf()')
  } finally {
    await client.end()
  }
}

/** The ledger moves to a small disk, which is then filled up. */
async function fillDisk(scene: Scene, tally: Tally): Promise<boolean> {
  const disk = await smallDisk()
  if (typeof disk === 'string') {
    tally.skipped.push(`disk full: ${disk}`)
    return false
  }
  const { database } = scene
  const space = `${database.name}_small`
  const filler = join(disk.folder, 'filler')
  try {
    await database.query(`create tablespace ${space} location '${disk.folder}'`)
    await database.query(`alter table ledger set tablespace ${space}`)
    await writeFile(filler, Buffer.alloc(disk.bytes)).catch(() => undefined) // as much as there is room for
    await scene.isToldOf(/53100/)
    await rm(filler)
    await scene.goesOn('disk full')
  } finally {
    await rm(filler, { force: true })
    // Batches take turns with it; the lock comes when it comes.
    await database.query('alter table ledger set tablespace pg_default')
    await database.query(`drop tablespace ${space}`)
    for (let tries = 0; !(await disk.remove()) && tries < 50; tries++) await sleep(100)
  }
  return true
}
