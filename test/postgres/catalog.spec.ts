import fc from 'fast-check'
import { expect, it } from 'vitest'
import { inForeignKeyOrder } from '../../src/postgres/catalog.ts'
import { boundTo } from './support.ts'

const sink = (name: string, oid: number, references: readonly number[]) => ({
  name,
  table: {
    ...boundTo([]).table,
    oid,
    foreignKeys: references.map((refersTo) => ({ columns: ['a'], refersTo, otherColumns: ['a'] })),
  },
})
const names = (sinks: Parameters<typeof inForeignKeyOrder>[0]) => inForeignKeyOrder(sinks).map(({ name }) => name)

it('writes what a foreign key points to first, and else goes by name', () => {
  expect(names([sink('c', 3, []), sink('a', 1, []), sink('b', 2, [])])).toEqual(['a', 'b', 'c'])
  expect(names([sink('a_lines', 1, [2]), sink('orders', 2, [3]), sink('people', 3, [])])).toEqual([
    'people',
    'orders',
    'a_lines',
  ])
})

it('breaks circles by name, and takes a key to the table itself for none', () => {
  expect(names([sink('b', 2, [1]), sink('a', 1, [2])])).toEqual(['a', 'b'])
  expect(names([sink('b', 2, [2]), sink('a', 1, [1])])).toEqual(['a', 'b'])
})

it('keeps every sink, whatever points where', () => {
  const sinks = fc.array(fc.tuple(fc.nat(6), fc.array(fc.nat(6))), { maxLength: 7 })
  fc.assert(
    fc.property(sinks, (entries) => {
      const given = entries.map(([oid, references], index) => sink(`t${index}`, oid, references))
      expect(names(given).sort()).toEqual(given.map(({ name }) => name).sort())
    }),
  )
})
