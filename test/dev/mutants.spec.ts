import { spawnSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { describe, expect, it, test } from 'vitest'
import { mutants } from '../../dev/mutants/mutants.ts'

const root = fileURLToPath(new URL('../../', import.meta.url))

describe.each(mutants)('the mutant "$name"', ({ file, find, replace, tests }) => {
  it('applies to its file in one place, changes it, and names tests that exist', () => {
    expect(readFileSync(`${root}${file}`, 'utf8').split(find)).toHaveLength(2)
    expect(replace).not.toBe(find)
    expect(tests.filter((path) => !existsSync(`${root}${path}`))).toEqual([])
  })
})

test('a mutant is applied, and the test that catches it is named', { timeout: 60_000 }, () => {
  const program = ['--import', 'tsx', 'dev/mutants/main.ts', '--only', 'the clock can be set back']
  const { stdout, status } = spawnSync(process.execPath, program, { cwd: root, encoding: 'utf8' })
  expect(stdout).toContain('caught    the clock can be set back: the real clock goes on')
  expect(stdout).toContain('1 of 1 caught')
  expect(status).toBe(0)
})
