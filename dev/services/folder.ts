/** Temporary folders of services. */
import { mkdtemp, statfs } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { ServiceError } from './serviceError.ts'

// A segment file, its indexes, a few write-ahead log files and the demo's data.
const neededBytes = 1_000_000_000

/** Makes an empty folder for a service below the system's temporary folder. Throws ServiceError `no-disk`. */
export async function serviceFolder(name: string): Promise<string> {
  const { bavail, bsize } = await statfs(tmpdir())
  const free = bavail * bsize
  if (free < neededBytes) {
    throw new ServiceError(
      'no-disk',
      `Only ${Math.floor(free / 1e6)} MB are free in ${tmpdir()} and ${name} needs ${neededBytes / 1e6} MB: free some space, or set TMPDIR to a folder on another disk.`,
    )
  }
  return mkdtemp(join(tmpdir(), `millrace-${name.toLowerCase()}-`))
}
