import { expect, it } from 'vitest'
import { base, numbers, Service, toOut } from './_service.ts'

it('an item that waits behind one which somebody had settled meanwhile is run, and waits for nothing', async () => {
  const service = new Service()
  const send = (n: number) =>
    service.broker.append(numbers.name, 0, { key: Buffer.from('k'), value: Buffer.from(String(n)), timestamp: 0 })
  const failing = base.tap((n) => {
    if (n === 0) throw new Error('for ever')
  })
  await service.start(toOut(failing).errorPolicy({ park: 'key' }))
  send(0)
  await service.settle()
  const [kept] = service.store.collector.kept
  // At the command line: no task learns of it.
  service.store.collector.settle([{ id: String(kept?.id), outcome: 'ignored' }])
  send(1)
  await service.advance(1_000)
  expect([service.rows, service.store.collector.items]).toEqual([[1], []])
  send(2)
  await service.settle()
  expect(service.store.collector.kept.map(({ state }) => state)).toEqual(['ignored', 'done'])
  expect(service.rows).toEqual([1, 2])
  await service.stop()
})
