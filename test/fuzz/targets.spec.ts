import { describe, test } from 'vitest'
import { targets } from './targets.ts'

/** Of a round; `npm run fuzz` plays as many rounds as wanted. */
const share = 0.05

describe('bad input is told of as such, and harms nobody', () => {
  test.each(targets.map((target) => [target.name, target] as const))('%s', async (_, { inputs, run }) => {
    await run(Math.round(inputs * share), 1)
  })
})
