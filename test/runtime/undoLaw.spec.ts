import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type TestDriver, testDriver } from '../../src/testing/testDriver.ts'
import { modelOf } from './_planModel.ts'
import {
  type Deed,
  type Item,
  type RandomPlan,
  randomItems,
  randomPlan,
  sinks,
  source,
  streamsOf,
} from './_randomPlan.ts'

interface Arrival {
  readonly chunk: number
  readonly maxItems: number
}

const arrival = fc.record({ chunk: fc.integer({ min: 1, max: 6 }), maxItems: fc.integer({ min: 1, max: 16 }) })
const everyDeed: readonly Deed[] = ['continue', 'ignore', 'throw', 'swallow', 'break once', 'error once', 'error twice']

async function run(plan: RandomPlan, items: readonly Item[], cut: Arrival): Promise<TestDriver> {
  const t = testDriver(streamsOf(plan, items), cut)
  await t.sendAll(source, items, ({ id }) => ({
    key: String(id % 2),
    headers: { item: String(items.findIndex((item) => item.id === id)) },
  }))
  await t.advanceBy(60_000)
  await t.stop()
  return t
}

/** Rows by table; order is that of the items, and within an item that of its writes to the table. */
function rowsOf(t: TestDriver) {
  return Object.fromEntries(sinks.map((sink) => [sink.name, t.rows(sink)]))
}

function assertAddsUp(t: TestDriver, items: readonly Item[]): void {
  expect(t.outcomes().map(({ offset }) => offset)).toEqual(items.map((_, index) => index))
  const counts = Object.values(t.counts()).reduce((sum, count) => sum + count, 0)
  expect(counts).toBe(items.length)
  const committed = t.commits().reduce((sum, { items }) => sum + items, 0)
  expect(committed).toBe(items.length)
}

describe('the undo law', () => {
  it('holds for random plans: rows are those of plain loops over the items that stand', async () => {
    await fc.assert(
      fc.asyncProperty(randomPlan({ groups: false }), randomItems(everyDeed), arrival, async (plan, items, cut) => {
        const t = await run(plan, items, cut)
        const { rows, outcomes } = modelOf(plan, items)
        assertAddsUp(t, items)
        expect(t.outcomes().map(({ outcome }) => outcome)).toEqual(outcomes)
        expect(
          t
            .errors()
            .map(({ offset }) => offset)
            .sort((a, b) => a - b),
        ).toEqual(outcomes.flatMap((outcome, index) => (outcome === 'collected' ? [index] : [])))
        for (const [name, own] of Object.entries(rowsOf(t))) {
          expect(own.toSorted(byText)).toEqual(rows.get(name)?.toSorted(byText))
        }
      }),
      { numRuns: 250 },
    )
  }, 60_000)

  it('holds for random plans with groups: rows are those of a run in which undone items never existed', async () => {
    const deeds: readonly Deed[] = ['continue', 'ignore', 'throw', 'swallow', 'error once', 'error twice']
    await fc.assert(
      fc.asyncProperty(randomPlan({ groups: true }), randomItems(deeds), arrival, async (plan, items, cut) => {
        // Where groups are cut depends on how much a batch had taken when it was interrupted.
        const interrupted = writesAnywhere(plan) || items.some(({ deed }) => deed.startsWith('error'))
        const whole = { chunk: interrupted ? 100 : cut.chunk, maxItems: 100 }
        const t = await run(plan, items, whole)
        assertAddsUp(t, items)
        const undone = new Set(
          t.outcomes().flatMap(({ offset, outcome }) => (/ignored|collected/.test(outcome) ? [offset] : [])),
        )
        const never = await run(
          plan,
          items.filter((_, index) => !undone.has(index)),
          whole,
        )
        expect(rowsOf(t)).toEqual(rowsOf(never))
        expect(never.counts()).toMatchObject({ ignored: 0, collected: 0 })
      }),
      { numRuns: 250 },
    )
  }, 60_000)
})

function writesAnywhere({ prefix, leaves }: RandomPlan): boolean {
  return [prefix, ...leaves].flat().some(({ kind }) => /write|mapAsync/.test(kind))
}

function byText(a: object, b: object): number {
  const [one, other] = [JSON.stringify(a), JSON.stringify(b)]
  return one < other ? -1 : one > other ? 1 : 0
}
