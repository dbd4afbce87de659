import { existsSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { mutants } from '../../dev/mutants/mutants.ts'

const root = fileURLToPath(new URL('../../', import.meta.url))

describe.each(mutants)('the mutant "$name"', ({ file, find, replace, tests }) => {
  it('applies to its file in one place, changes it, and names tests that exist', () => {
    expect(readFileSync(`${root}${file}`, 'utf8').split(find)).toHaveLength(2)
    expect(replace).not.toBe(find)
    expect(tests.filter((path) => !existsSync(`${root}${path}`))).toEqual([])
  })
})
