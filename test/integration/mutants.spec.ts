/** One of the mutants, played: `npm run mutants` plays all. */
import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'

const root = fileURLToPath(new URL('../../', import.meta.url))

test('a mutant is applied, and the test that catches it is named', { timeout: 60_000 }, () => {
  const program = ['--import', 'tsx', 'dev/mutants/main.ts', '--only', 'the clock can be set back']
  const { stdout, status } = spawnSync(process.execPath, program, { cwd: root, encoding: 'utf8' })
  expect(stdout).toContain('caught    the clock can be set back: the real clock goes on')
  expect(stdout).toContain('1 of 1 caught')
  expect(status).toBe(0)
})
