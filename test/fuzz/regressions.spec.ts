import { describe, test } from 'vitest'
import { regressions } from './regressions.ts'

describe('what bad input has broken stays whole', () => {
  test.each(regressions.map((regression) => [regression.name, regression] as const))('%s', (_, { replay }) => replay())
})
