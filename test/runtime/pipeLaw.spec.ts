import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type ItemOutcome, type TestDriver, testDriver } from '../../src/testing/testDriver.ts'
import { modelOf } from './_pipesModel.ts'
import { left, type Played, planOf, type Row, refusalOf, right, Stops, source } from './_pipesPlan.ts'
import { type Deed, hasGroups, type Item, type NamedStream, randomItems, randomStream } from './_randomPipes.ts'

/** 10,000 in a night: `MILLRACE_LAW_RUNS=10000 npx vitest run test/runtime/pipeLaw.spec.ts`. */
const numRuns = Number(process.env.MILLRACE_LAW_RUNS ?? 300)

const everyDeed: readonly Deed[] = ['continue', 'ignore', 'throw', 'swallow', 'refused', 'break once', 'error once']

const togetherDeeds: readonly Deed[] = [
  'continue',
  'continue for all',
  'ignore',
  'ignore for all',
  'throw',
  'swallow',
  'refused',
  'error once',
]

interface Cut {
  readonly chunk: number
  readonly maxItems: number
}

const cuts = fc.record({
  chunk: fc.integer({ min: 1, max: 6 }),
  maxItems: fc.oneof(fc.constant(1_000), fc.integer({ min: 1, max: 12 })),
})

const whole: Cut = { chunk: 1_000, maxItems: 1_000 }

const never = () => false

interface Ran {
  readonly t: TestDriver
  readonly calls: ReadonlyMap<string, number>
}

async function run(
  tree: NamedStream,
  items: readonly Item[],
  cut: Cut,
  isGone: Played['isGone'] = never,
): Promise<Ran> {
  const stops = new Stops()
  const calls = new Map<string, number>()
  const called = (what: string) => void calls.set(what, (calls.get(what) ?? 0) + 1)
  const t = testDriver(planOf({ tree, items, stops, called, isGone }), {
    ...cut,
    refuses: (_, row) => refusalOf({ tree, items }, row as unknown as Row),
  })
  await t.sendAll(source, items)
  const committed = () => t.commits().reduce((sum, { items }) => sum + items, 0)
  for (let round = 0; committed() < items.length && round < 40; round++) {
    await t.advanceBy(900)
    if (stops.waiting.size > 0) stops.release()
    await t.advanceBy(100)
  }
  await t.stop()
  expect(committed()).toBe(items.length)
  return { t, calls }
}

function batchesOf(t: TestDriver, items: readonly Item[]): (readonly Item[])[] {
  let first = 0
  return t.commits().map((commit) => {
    const batch = items.slice(first, first + commit.items)
    first += commit.items
    return batch
  })
}

const textOf = ({ by, id, copy, seen }: Row) => `${by} ${id}${copy} ${seen}`
const rowsOf = (t: TestDriver) => [...t.rows(left), ...t.rows(right)].map(textOf).sort()
const outcomesOf = (t: TestDriver, which: (outcome: ItemOutcome) => boolean = () => true) =>
  t
    .outcomes()
    .filter(which)
    .map(({ stream, offset, outcome }) => `${stream} ${offset} ${outcome}`)
    .sort()
const collectedOf = (t: TestDriver) =>
  t
    .errors()
    .map(({ stream, offset }) => `${stream} ${offset} collected`)
    .sort()

describe('the law of pipes', () => {
  it('holds for random trees of streams: all is as by plain loops in which undone items never existed', async () => {
    await fc.assert(
      fc.asyncProperty(randomStream({ looks: false }), randomItems(everyDeed), cuts, async (tree, items, cut) => {
        const { t, calls } = await run(tree, items, cut)
        const { rows, outcomes } = modelOf(tree, batchesOf(t, items))
        expect(outcomesOf(t)).toEqual(outcomes.sort())
        expect(collectedOf(t)).toEqual(outcomes.filter((outcome) => outcome.endsWith('collected')))
        expect(rowsOf(t)).toEqual(rows.sort())
        expect([...calls].filter(([what, count]) => count > 1 && what.includes('process'))).toEqual([])
      }),
      { numRuns },
    )
  }, 900_000)

  it('holds where items hang together, in groups and by what is done for all: all is as in a run in which undone items never existed', async () => {
    await fc.assert(
      fc.asyncProperty(randomStream({ looks: true }), randomItems(togetherDeeds), async (tree, drawn) => {
        // Refused rows cut batches, and where they are cut shows here.
        const items = hasGroups(tree) ? withoutRefusals(drawn, 0) : withoutRefusals(drawn, 3)
        const { t } = await run(tree, items, whole)
        const isUndone = (outcome: string) => /ignored|collected/.test(outcome)
        const undone = new Set(
          t.outcomes().flatMap(({ stream, offset, outcome }) => (isUndone(outcome) ? [`${stream} ${offset}`] : [])),
        )
        const gone = (stream: string, id: number) => undone.has(`${stream} ${id}`)
        const { t: without } = await run(tree, items, whole, gone)
        expect(rowsOf(t)).toEqual(rowsOf(without))
        const standing = ({ stream, offset }: ItemOutcome) => !gone(stream, offset)
        expect(outcomesOf(t, standing)).toEqual(outcomesOf(without, standing))
        expect(without.outcomes().filter(({ outcome }) => isUndone(outcome))).toEqual([])
      }),
      { numRuns },
    )
  }, 900_000)
})

function withoutRefusals(items: readonly Item[], atMost: number): Item[] {
  let refusals = 0
  return items.map(({ id, acts }) => ({
    id,
    acts: acts.filter(({ deed }) => deed !== 'refused' || ++refusals <= atMost),
  }))
}
