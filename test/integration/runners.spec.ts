/** The test kit as others have it: the compiled package, in runners that know nothing of this repository. */
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { run } from '../../dev/services/run.ts'
import { createProject, type Project } from './_installed.ts'

const jest = fileURLToPath(new URL('../../node_modules/jest/bin/jest.js', import.meta.url))

/** One test of each kind that passes, and one that finds something. */
const tests = (imports: string) => `
${imports}
import fc from 'fast-check'
import { avro, stream, table, topic } from 'millrace'
import { assertOperatorLaws, check, MemoryStore, records, rows, sinkConformance, testDriver } from 'millrace/testing'

const schema = { type: 'record', name: 'N', fields: [{ name: 'n', type: 'int' }] }
const numbers = topic('numbers', avro(schema))
const out = table('out')
const plan = stream('s').from(numbers).filter(({ n }) => n > 0).to(out)

test('driver', async () => {
  const t = testDriver(plan)
  await t.sendAll(numbers, [{ n: 1 }, { n: -1 }])
  assert.deepEqual(t.rows(out), [{ n: 1 }])
  await t.stop()
})
test('check', () => check(plan, { numRuns: 20, model: (given) => rows(out, given(numbers).filter(({ n }) => n > 0)) }))
test('operator', () => assertOperatorLaws((values) => values.map((n) => n + 1), fc.nat(), { numRuns: 20 }))
test('sink', async () => {
  const make = async () => {
    const store = new MemoryStore()
    return { store, sink: out, rows: async () => store.rows('out'), close: () => store.close() }
  }
  const rows = fc.record({ n: fc.nat() })
  await sinkConformance(make, { transactional: true, perItemRollback: true, upsert: false }, { rows, numRuns: 20 })
})
test('finds', async () => {
  await assert.rejects(check(plan, { input: records(numbers), model: () => [] }), /law broken: model/)
})
`

let project: Project
beforeAll(async () => {
  project = await createProject()
  await project.link('fast-check')
}, 60_000)
afterAll(() => project.remove())

describe('the test kit works in', { timeout: 120_000 }, () => {
  test('node --test', async () => {
    const imports = "import assert from 'node:assert/strict'\nimport { test } from 'node:test'"
    await project.write('kit.test.js', tests(imports))
    // A reporter of its own: what the default one prints depends on where it prints to.
    const args = ['--test', '--test-reporter=tap', 'kit.test.js']
    const { code, output } = await run(process.execPath, args, { cwd: project.folder, env: { PATH: process.env.PATH } })
    expect(output).toContain('# pass 5')
    expect(code).toBe(0)
  })

  test('jest', async () => {
    await project.write('kit.spec.js', tests("import assert from 'node:assert/strict'"))
    await project.write(
      'jest.config.js',
      `export default { transform: {}, rootDir: ${JSON.stringify(project.folder)} }`,
    )
    const args = [
      '--experimental-vm-modules',
      '--no-warnings',
      jest,
      '--ci',
      'kit.spec.js',
      '--config',
      'jest.config.js',
    ]
    const { code, output } = await run(process.execPath, args, {
      cwd: project.folder,
      env: { PATH: process.env.PATH, HOME: join(project.folder, 'home') },
    })
    expect(output).toContain('5 passed')
    expect(code).toBe(0)
  })
})
