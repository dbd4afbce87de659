/** What falls due as event time goes on, when something goes wrong meanwhile. */
import { expect, test } from 'vitest'
import { StateStaleError } from '../../src/core/store.ts'
import { count, json, signal, stream, table, topic, tumbling } from '../../src/index.ts'
import { testDriver } from '../../src/testing/index.ts'
import { Service, storeWith } from './_service.ts'

const visits = topic('visits', json<{ readonly page: string }>())
const perMinute = table<{ page: string; visits: number }>('visits_per_minute')

const visitsPerMinute = stream('visits')
  .from(visits)
  .keyBy(({ page }) => page, { sameKey: true })
  .window(tumbling({ minutes: 1 }))
  .aggregate({ visits: count() })
  .to(perMinute, ({ key, visits }) => ({ page: key, visits }))

test('a batch that is tried again gives all windows that are due, also those behind the one that asked for it', async () => {
  let asksFor = 2
  const plan = stream('visits')
    .from(visits)
    .keyBy(({ page }) => page, { sameKey: true })
    .window(tumbling({ minutes: 1 }))
    .aggregate({ visits: count() })
    .map(({ key, visits }) => (key === 'b' && asksFor-- > 0 ? signal.error(new Error('away')) : { page: key, visits }))
    .to(perMinute)
  const t = testDriver(plan)
  for (const page of ['a', 'b', 'c', 'd']) await t.send(visits, { page }, { key: page })
  await t.advanceTo(new Date(60_000))
  await t.advanceBy(10_000)
  expect(t.rows(perMinute)).toEqual(['a', 'b', 'c', 'd'].map((page) => ({ page, visits: 1 })))
  expect(asksFor).toBeLessThan(0)
  await t.stop()
})

/** Appends a visit to a page, and lets everything happen that needs no time. */
async function visit(service: Service, page: string, timestamp: number): Promise<void> {
  const [key, value] = [Buffer.from(page), Buffer.from(JSON.stringify({ page }))]
  service.broker.append(visits.name, 0, { key, value, timestamp })
  await service.settle()
}

test('windows that were read because they are due are read again, when somebody has changed state meanwhile', async () => {
  const service = new Service()
  service.broker.createTopic(visits.name, 1)
  const first = await service.start(visitsPerMinute)
  for (const page of ['a', 'b', 'c']) await visit(service, page, 0)
  await first.runner.stop(10_000)
  let isStale = true
  const store = storeWith(service.store, {
    async commit(request) {
      if (isStale) {
        isStale = false
        throw new StateStaleError('MR-STATE-STALE', { what: 'state is not what was read' })
      }
      await service.store.commit(request)
    },
  })
  await service.start(visitsPerMinute, { store })
  await visit(service, 'd', 60_000)
  await service.advance(10_000)
  expect(service.store.rows(perMinute.name)).toEqual(['a', 'b', 'c'].map((page) => ({ page, visits: 1 })))
  await service.stop()
})

test('windows of keys that have left memory are given once, and what is read of them is what is stored', async () => {
  const service = new Service()
  service.broker.createTopic(visits.name, 1)
  let refused = 0
  const store = storeWith(service.store, {
    commit: (request) =>
      service.store.commit(request).catch((error: unknown) => {
        refused++
        throw error
      }),
  })
  await service.start(visitsPerMinute, { store, stateKeys: 1 })
  for (const page of ['a', 'b', 'c', 'a', 'b']) await visit(service, page, 0)
  await visit(service, 'd', 60_000)
  expect(service.store.rows(perMinute.name)).toEqual([
    { page: 'a', visits: 2 },
    { page: 'b', visits: 2 },
    { page: 'c', visits: 1 },
  ])
  expect(refused).toBe(0)
  await service.stop()
})
