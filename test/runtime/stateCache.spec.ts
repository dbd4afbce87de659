import { expect, test } from 'vitest'
import { type Evictable, StateCache } from '../../src/runtime/stateCache.ts'

function caching(maxKeys: number) {
  const cache = new StateCache(maxKeys)
  const gone: string[] = []
  const state = (name: string): Evictable => ({
    newer: undefined,
    older: undefined,
    evicted: () => void gone.push(name),
  })
  return { cache, gone, state }
}

test('those go that were used longest ago, when there are too many', () => {
  const { cache, gone, state } = caching(2)
  const [a, b, c, d] = [state('a'), state('b'), state('c'), state('d')]
  for (const one of [a, b, a, c]) cache.keep(one)
  expect(gone).toEqual(['b'])
  cache.keep(d)
  expect(gone).toEqual(['b', 'a'])
  expect(cache.size).toBe(2)
})

test('one that is in use does not go, and counts for nothing', () => {
  const { cache, gone, state } = caching(1)
  const [a, b] = [state('a'), state('b')]
  cache.keep(a)
  cache.release(a)
  cache.release(a)
  expect(cache.size).toBe(0)
  cache.keep(b)
  expect(gone).toEqual([])
  cache.keep(a)
  expect(gone).toEqual(['b'])
  expect(cache.size).toBe(1)
})
