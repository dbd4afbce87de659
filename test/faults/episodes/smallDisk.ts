/** A file system in memory that is small enough to be filled up, for a server that runs as another user. */
import { chown, mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { serverUser } from '../../../dev/services/postgresBinaries.ts'
import { run } from '../../../dev/services/run.ts'

export interface SmallDisk {
  readonly folder: string
  readonly bytes: number
  /** False while somebody still uses it. */
  remove(): Promise<boolean>
}

const bytes = 64 * 1024 * 1024

/** Or why there is none. */
export async function smallDisk(): Promise<SmallDisk | string> {
  const mountPoint = await mkdtemp(join(tmpdir(), 'millrace-disk-'))
  const { code, output } = await run('mount', ['-t', 'tmpfs', '-o', `size=${bytes},mode=0755`, 'tmpfs', mountPoint])
  if (code !== 0) {
    await rm(mountPoint, { recursive: true })
    return `a small file system cannot be mounted here: ${output.trim()}`
  }
  const folder = join(mountPoint, 'tablespace')
  await mkdir(folder)
  const { uid, gid } = await serverUser()
  if (uid !== undefined && gid !== undefined) await chown(folder, uid, gid)
  const remove = async () => {
    if ((await run('umount', [mountPoint])).code !== 0) return false
    await rm(mountPoint, { recursive: true, force: true })
    return true
  }
  return { folder, bytes, remove }
}
