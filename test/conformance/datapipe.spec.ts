import { describe, expect, test } from 'vitest'
import { testDriver } from '../../src/testing/index.ts'
import { items, mids, Notes, planOf, results, type Scenario, scenarios, uniques } from './datapipe.ts'
import { expectedHere } from './differences.ts'

/** Those that run an item again need Postgres, where all are played: test/integration/conformance. */
const inOneRun = scenarios.filter(({ runs }) => runs.length === 1)

async function play({ items: numbers, runs: [run] }: Scenario) {
  if (run === undefined) throw new Error('a scenario without a run')
  const notes = new Notes()
  const t = testDriver(planOf(run, notes), {
    refuses: (name, row, present) =>
      name === uniques.name && present.some(({ key }) => key === row.key) ? '23505' : undefined,
  })
  const records = numbers.map((number) => ({ number }))
  // Longer than a batch that fails is tried again.
  const ended = t.sendAll(items, records).then(() => t.advanceBy(60_000))
  const stopped = await ended.then(
    () => false,
    () => true,
  )
  const found = {
    rows: t.rows(results).map(({ number, tag }) => `${number} ${tag}`),
    mid: t.rows(mids).map(({ number, src }) => `${number} of ${src}`),
    unique: t.rows(uniques).map(({ key }) => key),
    errors: t.errors().map(({ stream, offset, error }) => `${stream} ${numbers[offset]} ${error.name}`),
    calls: notes.calls,
    total: notes.total,
    stopped,
  }
  if (!stopped) await t.stop()
  return found
}

describe('datapipe', () => {
  test.each(inOneRun)('$name: $about', async (scenario) => {
    const [expected] = expectedHere(scenario)
    const { tracks: _, total, ...rest } = { stopped: false, mid: [], unique: [], ...expected }
    const { total: found, ...played } = await play(scenario)
    expect(played).toEqual(rest)
    // Without results nothing is triggered that could look.
    if (found !== undefined && total !== undefined) expect(found).toBe(total)
  })
})
