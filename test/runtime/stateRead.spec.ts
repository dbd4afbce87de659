/** What happens when state cannot be read. */
import { expect, test } from 'vitest'
import { table } from '../../sinks/table.ts'
import { UnavailableError } from '../../src/core/errors.ts'
import type { StateStore } from '../../src/core/stateStore.ts'
import { base, numbers, Service, storeWith } from './_service.ts'

const counts = table<{ n: number; nth: number }>('counts')

/** Counts behind a pipe: so the state is read when the batch closes. */
const counted = base
  .process({ process: (n) => n })
  .keyBy((n) => n % 2, { sameKey: true })
  .stateful({ name: 'counts', initial: () => 0 }, (n, state) => ({ n, nth: state.update((count) => count + 1) }))
  .to(counts)

function append(service: Service, ...values: readonly number[]): void {
  for (const n of values) {
    const [key, value] = [Buffer.from(String(n % 2)), Buffer.from(String(n))]
    service.broker.append(numbers.name, 0, { key, value, timestamp: 0 })
  }
}

test.each([1, 2, 3, 4])('after %s failed tries to read it nothing of the batch is missing', async (failures) => {
  const service = new Service()
  append(service, 1, 2, 3)
  const first = await service.start(counted)
  await service.settle()
  await first.runner.stop(10_000)
  let tries = 0
  const state: StateStore = {
    open: (...given) => service.store.state.open(...given),
    extent: (...given) => service.store.state.extent(...given),
    readDue: (...given) => service.store.state.readDue(...given),
    async read(...given) {
      if (++tries <= failures) throw new UnavailableError('MR-STORE-AWAY', { what: 'the database is away' })
      return service.store.state.read(...given)
    },
  }
  const store = storeWith(service.store, { state } as never)
  append(service, 4, 5, 6, 7)
  await service.start(counted, { store })
  await service.advance(10_000)
  expect(service.store.rows(counts.name)).toEqual([
    { n: 1, nth: 1 },
    { n: 2, nth: 1 },
    { n: 3, nth: 2 },
    { n: 4, nth: 2 },
    { n: 5, nth: 3 },
    { n: 6, nth: 3 },
    { n: 7, nth: 4 },
  ])
  expect(tries).toBe(failures + 1)
  await service.stop()
})
