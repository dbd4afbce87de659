import { existsSync, readFileSync } from 'node:fs'

/** The version of this package, from the nearest package.json above: it lies one folder higher above the compiled file than above the source. */
export function version(): string {
  for (let folder = new URL('./', import.meta.url); ; folder = new URL('../', folder)) {
    const file = new URL('package.json', folder)
    if (existsSync(file)) return (JSON.parse(readFileSync(file, 'utf8')) as { version: string }).version
    if (folder.pathname === '/') return 'unknown'
  }
}
