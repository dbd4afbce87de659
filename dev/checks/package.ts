/**
 * `npm run check -- package`: builds and packs what would be published, then looks at the tarball the way its users will:
 * publint, attw, and a project of its own in which Node.js imports it and the compiler reads its types.
 */
import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { run } from '../services/run.ts'

const root = fileURLToPath(new URL('../../', import.meta.url))
const bin = (name: string) => join(root, 'node_modules/.bin', name)

async function must(what: string, cwd: string, command: string, args: readonly string[]): Promise<string> {
  const { code, output } = await run(command, args, { cwd })
  if (code !== 0) throw new Error(`${what} failed:\n${output}`)
  return output
}

/** A project whose node_modules holds the tarball and the packages that npm would install with it, and no others. */
async function makeConsumer(folder: string, tarball: string): Promise<void> {
  const unpacked = join(folder, 'node_modules/millrace')
  await mkdir(unpacked, { recursive: true })
  await must('Unpacking', folder, 'tar', ['-xzf', tarball, '--strip-components=1', '-C', unpacked])
  const lock = JSON.parse(await readFile(join(root, 'package-lock.json'), 'utf8')) as {
    packages: Record<string, { dev?: boolean; devOptional?: boolean }>
  }
  for (const [path, { dev, devOptional }] of Object.entries(lock.packages)) {
    const nested = path.lastIndexOf('node_modules/') > 0
    if (path !== '' && !nested && dev !== true && devOptional !== true) await link(folder, path)
  }
  await writeFile(join(folder, 'package.json'), JSON.stringify({ name: 'consumer', private: true, type: 'module' }))
}

async function link(folder: string, path: string): Promise<void> {
  if (!existsSync(join(root, path))) return // an optional package of another platform
  await mkdir(dirname(join(folder, path)), { recursive: true })
  await symlink(join(root, path), join(folder, path))
}

/** What a TypeScript user of the test kit has of their own. The types of pg are not among them: ours must do without. */
const ofTheirOwn = ['@types/node', 'undici-types', 'fast-check', 'pure-rand']

/** Imports the entry points with plain Node.js. Describing must load neither Kafka's client nor Postgres's. */
const importing = `
import { createRequire } from 'node:module'
const main = await import('millrace')
const testing = await import('millrace/testing')
for (const [entry, names] of Object.entries({ millrace: ['stream', 'signal', 'topic', 'table'], testing: ['testDriver'] })) {
  const exported = entry === 'millrace' ? main : testing
  for (const name of names) if (exported[name] === undefined) throw new Error(entry + ' exports no ' + name)
}
const loaded = Object.keys(createRequire(import.meta.url).cache)
const vendor = loaded.find((file) => /node_modules\\/(pg|pg-copy-streams|millrace-kafkajs|avsc)\\//.test(file))
if (vendor !== undefined) throw new Error('importing millrace loads ' + vendor)
`

/** Would fail to compile if a declaration were missing or had become any. */
const typing = `
import { json, stream, table, topic, type Stream } from 'millrace'
import { testDriver } from 'millrace/testing'
const named: Stream<string> = stream('s').from(topic('t', json<{ name: string }>())).map((value) => value.name)
// @ts-expect-error a stream of strings is no stream of numbers
export const numbers: Stream<number> = named
// @ts-expect-error strings have no such method
named.map((name) => name.toFixed())
export const driver = testDriver(named.map((name) => ({ name })).to(table<{ name: string }>('names')))
`

async function tryAsConsumer(folder: string): Promise<void> {
  await writeFile(join(folder, 'importing.js'), importing)
  await must('Importing the package', folder, process.execPath, ['importing.js'])
  for (const name of ofTheirOwn) await link(folder, `node_modules/${name}`)
  await writeFile(join(folder, 'typing.ts'), typing)
  // Without skipLibCheck, so that every declaration that we publish is read.
  const options = ['--noEmit', '--strict', '--target', 'es2022', '--module', 'nodenext', '--types', 'node']
  await must('Compiling against the package', folder, bin('tsc'), [...options, 'typing.ts'])
  const { bin: commands } = JSON.parse(await readFile(join(folder, 'node_modules/millrace/package.json'), 'utf8')) as {
    bin: { millrace: string }
  }
  const help = await must('The command line', folder, join(folder, 'node_modules/millrace', commands.millrace), [
    '--help',
  ])
  if (!help.includes('Usage')) throw new Error(`The command line printed no usage:\n${help}`)
}

const folder = await mkdtemp(join(tmpdir(), 'millrace-package-'))
try {
  await must('The build', root, process.execPath, ['dev/build.mjs'])
  // Scripts are skipped because the build is done.
  await must('Packing', root, 'npm', ['pack', '--ignore-scripts', '--pack-destination', folder])
  const { version } = JSON.parse(await readFile(join(root, 'package.json'), 'utf8')) as { version: string }
  const tarball = join(folder, `millrace-${version}.tgz`)
  await must('publint', root, bin('publint'), ['--strict', tarball])
  await must('attw', root, bin('attw'), ['--profile', 'esm-only', '--no-color', tarball])
  const consumer = join(folder, 'consumer')
  await makeConsumer(consumer, tarball)
  await tryAsConsumer(consumer)
  console.log('The packed build can be imported, typed and run.')
} catch (error) {
  console.error(error instanceof Error ? error.message : error)
  process.exitCode = 1
} finally {
  await rm(folder, { recursive: true, force: true })
}
