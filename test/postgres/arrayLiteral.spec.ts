import { expect, it } from 'vitest'
import { textArray } from '../../src/postgres/arrayLiteral.ts'

it('writes arrays as Postgres reads them', () => {
  expect(textArray([])).toBe('{}')
  expect(textArray(['a', null, 'NULL', ''])).toBe('{"a",NULL,"NULL",""}')
  expect(textArray(['"', '\\', '{,}', '\n'])).toBe('{"\\"","\\\\","{,}","\n"}')
  expect(textArray([['a', 'b'], [null]])).toBe('{{"a","b"},{NULL}}')
})
