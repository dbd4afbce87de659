import { expect, it } from 'vitest'
import { MemoryStore } from '../../src/testing/memoryStore.ts'
import { base, Service, toOut, upTo } from './_service.ts'

const uniqueViolation = '23505'

it('an item that clashed with one that falls later stands after all', async () => {
  // 5 clashes with 2, which is itself refused a moment later: another service has written one of its rows meanwhile.
  const seen = { five: false, two: false }
  const refuses = (_table: string, { n }: Record<string, unknown>) => {
    if (n === 2 && seen.five) seen.two = true
    else if (n !== 5 || seen.two) return undefined
    seen.five = true
    return uniqueViolation
  }
  const service = Object.assign(new Service(), { store: new MemoryStore({ refuses }) })
  service.append(upTo(8))
  await service.start(toOut(base))
  await service.advance(1_000)
  expect(service.rows).toEqual(upTo(8).filter((n) => n !== 2))
  await service.stop()
})
