/** The law of bounded runs: an array gives the rows that its values give when they arrive in a topic and make one batch. */
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { table } from '../../sinks/table.ts'
import type { Clock } from '../../src/core/clock.ts'
import { silentLogger } from '../../src/core/logger.ts'
import { noOutcomes } from '../../src/core/outcome.ts'
import { slot } from '../../src/core/slot.ts'
import { runOver } from '../../src/service/run.ts'
import { type Stream, stream } from '../../src/stream.ts'
import { MemoryStore } from '../../src/testing/memoryStore.ts'
import { testDriver } from '../../src/testing/testDriver.ts'
import {
  type Deed,
  type Item,
  type RandomPlan,
  randomItems,
  randomPlan,
  sinks,
  source,
  streamsOf,
  type Value,
} from '../runtime/_randomPlan.ts'

const sums = table<Value & { sum: number }>('sums')
const sum = slot('sum', () => 0)
const tables = [...sinks, sums]

/** What a run takes hours for takes minutes. */
const hurried: Clock = {
  now: () => Math.floor(performance.now() * 100),
  schedule(ms, callback) {
    const timer = setTimeout(callback, ms / 100)
    return () => clearTimeout(timer)
  },
}

/** A random plan whose leaves end in pipes, which see all items of the batch, if wanted. */
function planOf(plan: RandomPlan, items: readonly Item[], isPiped: boolean, from?: Stream<Item>): Stream<unknown>[] {
  const leaves = streamsOf(plan, items, from)
  if (!isPiped) return leaves
  return leaves.map((leaf) =>
    leaf
      .process({
        prepare: (values) => values.toReversed(),
        process: (value, ctx) => ({ ...value, sum: ctx.scope.batch.update(sum, (before) => before + value.id) }),
        finish: (results, ctx) => ctx.write(sums, { id: results.length, path: 'finish', sum: 0 }),
      })
      .to(sums),
  )
}

async function overTopic(plan: RandomPlan, items: readonly Item[], isPiped: boolean) {
  const t = testDriver(planOf(plan, items, isPiped), { chunk: 100, maxItems: 100 })
  await t.sendAll(source, items)
  await t.advanceBy(60_000)
  await t.stop()
  return {
    rows: Object.fromEntries(tables.map((sink) => [sink.name, t.rows(sink)])),
    counts: t.counts(),
    errors: t.errors().map(({ offset, step }) => [offset, step.replace('items', 'array')]),
  }
}

async function overArray(plan: RandomPlan, items: readonly Item[], isPiped: boolean) {
  const store = new MemoryStore()
  const streams = planOf(plan, items, isPiped, stream('random').from(items))
  const counts = noOutcomes()
  // A break ends a run; with its name it goes on.
  for (let isOver = false; !isOver; ) {
    const report = await runOver(streams, { name: 'law', logger: silentLogger }, { store, clock: hurried })
    for (const own of report.streams) {
      isOver = own.stopped === undefined
      for (const name of ['done', 'filtered', 'continued', 'ignored', 'collected', 'deferred'] as const) {
        counts[name] += own[name]
      }
    }
  }
  return {
    rows: Object.fromEntries(tables.map(({ name }) => [name, store.rows(name)])),
    counts,
    errors: store.collected.map(({ offset, step }) => [offset, step]),
  }
}

const deeds: readonly Deed[] = ['continue', 'ignore', 'throw', 'swallow', 'error once', 'error twice']

test('a run over an array is a batch of a topic', async () => {
  await fc.assert(
    fc.asyncProperty(
      randomPlan({ groups: true }),
      randomItems([...deeds, 'break once']),
      fc.boolean(),
      async (plan, items, isPiped) => {
        expect(await overArray(plan, items, isPiped)).toEqual(await overTopic(plan, items, isPiped))
      },
    ),
    { numRuns: 150 },
  )
}, 60_000)
