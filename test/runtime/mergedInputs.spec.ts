import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { Store } from '../../src/core/store.ts'
import { signal, stream, table } from '../../src/index.ts'
import { Service, storeWith } from './_service.ts'
import { fill, logOf, merged, recordOf, type Said, type Side, topics } from './_twoTopics.ts'

const seen = table<{ left: number | null; right: number | null }>('seen')

const keyed = (side: Side, ignored: number) =>
  stream(side)
    .from(topics[side])
    .map((said) => (said.n === ignored ? signal.ignore() : said))
    .keyBy(() => 'k', { sameKey: true })

/** What both sides have said last, whenever one has said something: it tells in which order they were read. */
const plan = (ignored = -1) =>
  keyed('left', ignored)
    .joinLatest(keyed('right', ignored), (left, right) => ({ left: left?.n ?? null, right: right?.n ?? null }), {
      join: 'outer',
    })
    .to(seen, ({ value }) => value ?? { left: null, right: null })

function expected(order: readonly Said[]): { left: number | null; right: number | null }[] {
  const last: { left: number | null; right: number | null } = { left: null, right: null }
  return order.map(({ side, n }) => {
    last[side] = n
    return { ...last }
  })
}

const log = logOf(['k'], fc.nat(3))

describe('inputs that are joined', () => {
  it('are read in the order of their times, whatever is fetched first, wherever batches are cut, and across a restart', {
    timeout: 300_000,
  }, async () => {
    await fc.assert(
      fc.asyncProperty(
        log,
        log,
        fc.integer({ min: 1, max: 7 }),
        fc.integer({ min: 1, max: 9 }),
        fc.nat(6),
        async (left, right, chunkRecords, maxItems, stopAfter) => {
          const service = new Service({ chunkRecords })
          fill(service, { left, right })
          const settings = { limits: { everyMs: 1_000, maxItems, maxBytes: 2 ** 20 } }
          const count = left.length + right.length
          const rows = () => service.store.rows(seen.name)
          // The first member comes so far, and fails in its next commit.
          let commits = 0
          const commit: Store['commit'] = (request) =>
            commits++ < stopAfter ? service.store.commit(request) : Promise.reject(new Error('that far'))
          const first = await service.start(plan(), { ...settings, store: storeWith(service.store, { commit }) })
          await service.until('it came so far', () => commits > stopAfter || rows().length === count)
          await first.runner.stop(10_000)
          await service.start(plan(), settings)
          await service.until('all was taken', () => rows().length >= count)
          await service.settle()
          expect(rows()).toEqual(expected(merged({ left, right })))
          const ends = {
            left: service.broker.bounds({ topic: 'left', partition: 0 }),
            right: service.broker.bounds({ topic: 'right', partition: 0 }),
          }
          const progress = await service.store.readProgress('app')
          for (const { source, nextOffset } of progress) {
            expect(nextOffset).toBe(ends[source.replace('from:', '') as 'left' | 'right'].end)
          }
          await service.stop()
        },
      ),
      { numRuns: 60 },
    )
  })

  it('leave no trace of an item that was undone', { timeout: 300_000 }, async () => {
    await fc.assert(
      fc.asyncProperty(log, log, fc.nat(25), fc.integer({ min: 1, max: 9 }), async (left, right, ignored, maxItems) => {
        const service = new Service({ chunkRecords: 3 })
        fill(service, { left, right })
        await service.start(plan(ignored), { limits: { everyMs: 1_000, maxItems, maxBytes: 2 ** 20 } })
        const standing = merged({ left, right }).filter(({ n }) => n !== ignored)
        await service.until('all was taken', () => service.store.rows(seen.name).length >= standing.length)
        await service.settle()
        expect(service.store.rows(seen.name)).toEqual(expected(standing))
        await service.stop()
      }),
      { numRuns: 60 },
    )
  })

  it('wait for one that is known to go on, and not for one at its end', async () => {
    const service = new Service()
    fill(service, { left: [{ key: 'k', after: 5, gap: 0 }], right: [] })
    await service.start(plan())
    await service.until('the left one was taken', () => service.store.rows(seen.name).length === 1)
    service.broker.append('right', 0, recordOf({ side: 'right', n: 0, key: 'k', time: 1 }))
    await service.until('the right one was taken', () => service.store.rows(seen.name).length === 2)
    expect(service.store.rows(seen.name)).toEqual([
      { left: 0, right: null },
      { left: 0, right: 0 },
    ])
    await service.stop()
  })

  it('need as many partitions', async () => {
    const service = new Service()
    service.broker.createTopic('left', 2)
    service.broker.createTopic('right', 1)
    const { runner } = await service.start(plan())
    await expect(runner.when(() => false)).rejects.toThrow(/"left" has a partition 1, and "right" has none/)
    await service.stop()
  })
})
