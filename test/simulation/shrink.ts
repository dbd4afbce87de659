/** From a seed that fails to the shortest story that does. */
import fc from 'fast-check'
import { simulate } from './simulate.ts'
import { type Story, stories } from './story.ts'

/** A story that fails, and with what. */
export interface Failing {
  readonly story: Story
  readonly message: string
}

/** @returns undefined when the seed's story passes */
export async function shrunk(seed: number): Promise<Failing | undefined> {
  const passes = async (story: Story) => void (await simulate(story))
  const details = await fc.check(fc.asyncProperty(fc.noBias(stories), passes), { seed, numRuns: 1 })
  if (!details.failed) return undefined
  const { errorInstance } = details
  const [story] = details.counterexample as [Story]
  return { story, message: errorInstance instanceof Error ? errorInstance.message : String(errorInstance) }
}
