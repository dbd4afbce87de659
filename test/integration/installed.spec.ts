import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createProject, type Project } from './_installed.ts'

const plan = `
import { json, stream, table, topic } from 'millrace'
interface Thing { readonly id: number }
const things = stream('things').from(topic('things', json<Thing>()))
export default things.filter((thing: Thing) => thing.id > 0).to(table<Thing>('things'))
`
const described = [
  'stream "things"',
  '  from:things          topic things, json',
  '  filter',
  '  to:things            table things',
  '',
].join('\n')
/** Prints at the end which packages were loaded: CommonJS modules show in this cache also when they were imported, and these are of that kind. */
const spy = `
import Module from 'node:module'
process.on('exit', () => {
  const names = Object.keys(Module._cache).map((file) => /.*node_modules\\/((?:@[^/]+\\/)?[^/]+)\\//.exec(file)?.[1])
  console.log('loaded: ' + [...new Set(names)].sort().join(' '))
})
`
const stripsTypes = Boolean((process.features as { typescript?: unknown }).typescript)

let project: Project
beforeAll(async () => {
  project = await createProject()
  await project.write('plan.ts', plan)
  await project.write(
    'plan.js',
    plan
      .replace(/^interface.*$/m, '')
      .replaceAll('<Thing>', '')
      .replaceAll(': Thing', ''),
  )
}, 60_000)
afterAll(() => project.remove())

describe('an installed millrace', () => {
  test('reads a plan in JavaScript', async () => {
    expect(await project.millrace(['describe', 'plan.js'])).toEqual({ code: 0, output: described })
  })

  test('knows its version', async () => {
    expect(await project.millrace(['--version'])).toEqual({ code: 0, output: '0.1.0\n' })
  })

  test.skipIf(stripsTypes)('says what to do where Node.js reads no TypeScript and tsx is missing', async () => {
    const { code, output } = await project.millrace(['describe', 'plan.ts'])
    expect(code).toBe(2)
    expect(output).toContain(`plan.ts is TypeScript, which Node.js ${process.versions.node} does not read by itself`)
    expect(output).toContain('npm install --save-dev tsx')
    expect(output).not.toContain('node:internal')
  })

  test('loads neither a client of Kafka nor pg for help, describe and graph', async () => {
    await project.write('spy.mjs', spy)
    const loadedBy = async (args: readonly string[]) => {
      const { output } = await project.millrace(args, ['--import', './spy.mjs'])
      return /loaded: (.*)/.exec(output)?.[1]?.split(' ') ?? []
    }
    for (const args of [['--help'], ['run', '--help'], ['describe', 'plan.js'], ['graph', 'plan.js']]) {
      const loaded = await loadedBy(args)
      expect(loaded).toContain('commander')
      for (const name of ['pg', 'kafkajs', 'millrace-kafkajs', 'pino'])
        expect(loaded, args.join(' ')).not.toContain(name)
    }
    // The spy does see them where they are loaded.
    const running = [
      'run',
      'plan.js',
      '--group',
      'g',
      '--brokers',
      '127.0.0.1:1',
      '--database',
      'postgres://127.0.0.1:1/d',
    ]
    expect(await loadedBy(running)).toContain('pg')
  }, 30_000)

  test('refuses a plan that another copy of millrace made', async () => {
    const other = await createProject()
    try {
      await other.write('plan.js', `export { default } from '${project.folder}/plan.js'`)
      const { code, output } = await other.millrace(['describe', 'plan.js'])
      expect(code).toBe(2)
      expect(output).toContain('plan.js uses another copy of millrace than the one that runs it')
    } finally {
      await other.remove()
    }
  }, 30_000)

  test('reads a plan in TypeScript through tsx, with the same millrace', async () => {
    await project.link('tsx')
    expect(await project.millrace(['describe', 'plan.ts'])).toEqual({ code: 0, output: described })
  })
})
