/** More seeds than the quick tests play, and others; `npm run simulate` plays as many as wanted. Needs no service. */
import { expect, test } from 'vitest'
import { simulate } from '../simulation/simulate.ts'
import { storyOf } from '../simulation/story.ts'

const seeds = { from: 1_000, count: 1_000 }

test(`${seeds.count} simulated stories`, async () => {
  const played = { records: 0, commits: 0, faults: 0 }
  for (let seed = seeds.from; seed < seeds.from + seeds.count; seed++) {
    try {
      const { records, commits, faults } = await simulate(storyOf(seed))
      played.records += records
      played.commits += commits
      played.faults += faults
    } catch (cause) {
      throw new Error(`seed ${seed}: npm run simulate -- --from ${seed} --seeds 1`, { cause })
    }
  }
  expect(Math.min(played.records, played.commits, played.faults)).toBeGreaterThan(seeds.count)
}, 400_000)
