import { describe, expect, it, test } from 'vitest'
import { policies } from './orders.ts'
import { regressions } from './regressions.ts'
import { simulate } from './simulate.ts'
import { storyOf } from './story.ts'

/** Of which one in twenty is played with the quick tests; the integration tests play more, `npm run simulate` as many as wanted. */
const seeds = 20

// Virtual time costs none, but how fast it passes is up to the machine.
describe('a simulation', { timeout: 60_000 }, () => {
  it('of the same seed has the same trace, and of another one another', async () => {
    const first = await simulate(storyOf(7))
    expect(await simulate(storyOf(7))).toEqual(first)
    expect((await simulate(storyOf(8))).traceHash).not.toBe(first.traceHash)
  })

  it('plays every kind of fault', async () => {
    const kinds = new Set(
      Array.from({ length: 200 }, (_, seed) => storyOf(seed)).flatMap(({ faults }) =>
        faults.map(({ fault }) => (fault.kind === 'doom' ? fault.fate : fault.kind)),
      ),
    )
    expect(kinds.size).toBe(8 + 13)
  })

  it('plays every error policy, and all that an operator asks for', async () => {
    const stories = Array.from({ length: 200 }, (_, seed) => storyOf(seed))
    expect(new Set(stories.map(({ policy }) => policy))).toEqual(new Set(policies))
    expect(new Set(stories.flatMap(({ asked }) => asked.map(({ action }) => action)))).toEqual(
      new Set(['replay', 'ignore']),
    )
  })

  test.each(Array.from({ length: seeds }, (_, seed) => seed))('seed %i', async (seed) => {
    await simulate(storyOf(seed))
  })

  test.each(regressions)('$name', async ({ story }) => {
    await simulate(story)
  })
})
