import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { testDriver } from '../../src/testing/testDriver.ts'
import {
  type Item,
  modelOf,
  type RandomPipes,
  randomItems,
  randomPipes,
  rows,
  source,
  streamOf,
} from './_randomPipes.ts'

/** 10,000 in a night: `MILLRACE_LAW_RUNS=10000 npx vitest run test/runtime/pipeLaw.spec.ts`. */
const numRuns = Number(process.env.MILLRACE_LAW_RUNS ?? 300)

async function run(plan: RandomPipes, items: readonly Item[], chunk: number): Promise<string[]> {
  const [seen, released] = [new Set<number>(), new Set<number>()]
  const t = testDriver(streamOf(plan, { seen, released }), {
    chunk,
    refuses: (_, row) => {
      const item = items[Number(row.id)]
      return item?.deed === 'refused' && item.part === row.by ? '23514' : undefined
    },
  })
  await t.sendAll(source, items)
  while (released.size < seen.size) {
    // The first of them has stopped the batch, whatever was raised behind it before.
    released.add(Math.min(...[...seen].filter((id) => !released.has(id))))
    await t.advanceBy(1_000)
  }
  await t.stop()
  return t
    .rows(rows)
    .map(({ by, id, seen }) => `${by} ${id} ${seen}`)
    .sort()
}

describe('the law of pipes', () => {
  it('holds for random pipes and items: rows and scopes are those of plain loops in which undone items never existed', async () => {
    await fc.assert(
      fc.asyncProperty(randomPipes, randomItems, fc.integer({ min: 1, max: 6 }), async (plan, items, chunk) => {
        expect(await run(plan, items, chunk)).toEqual(modelOf(plan, items))
      }),
      { numRuns },
    )
  }, 600_000)
})
