import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { table } from '../../sinks/table.ts'
import { json } from '../../src/codecs/index.ts'
import { signal } from '../../src/core/signal.ts'
import { type Stream, stream } from '../../src/stream.ts'
import { type TestDriverOptions, testDriver } from '../../src/testing/testDriver.ts'
import { topic } from '../../src/topic.ts'

/** Takes an id once. */
const people = table<{ id: number }>('people')
/** Takes no size below 0, and a name once. */
const rooms = table<{ name: string; size: number }>('rooms')

interface Item {
  readonly people: readonly number[]
  readonly rooms: readonly { readonly name: string; readonly size: number }[]
  readonly deed: 'stands' | 'ignored' | 'thrown'
}

const source = topic('items', json<Item>())

const item: fc.Arbitrary<Item> = fc.record({
  people: fc.array(fc.nat(6), { maxLength: 2 }),
  rooms: fc.array(fc.record({ name: fc.constantFrom('a', 'b', 'c', 'd'), size: fc.integer({ min: -1, max: 3 }) }), {
    maxLength: 2,
  }),
  deed: fc.oneof({ weight: 6, arbitrary: fc.constant('stands' as const) }, fc.constantFrom('ignored', 'thrown')),
})

const shapes = ['one stage', 'an asynchronous step before', 'an asynchronous step that writes', 'groups'] as const

function planOf(shape: (typeof shapes)[number]): Stream<unknown> {
  const base = stream('guilt').from(source)
  const shaped =
    shape === 'groups'
      ? base.batch({ max: 3 }).flatten()
      : shape === 'an asynchronous step before'
        ? base.mapAsync(async (value) => value)
        : base
  const rest = ({ deed }: Item): void => {
    if (deed === 'ignored') signal.ignore()
    if (deed === 'thrown') throw new Error('thrown')
  }
  if (shape === 'an asynchronous step that writes') {
    return base.mapAsync(async (value, ctx) => {
      for (const id of value.people) ctx.write(people, { id })
      await Promise.resolve()
      for (const room of value.rooms) ctx.write(rooms, room)
      rest(value)
    })
  }
  return shaped
    .flatMap((value) => [value])
    .tap((value, ctx) => {
      for (const id of value.people) ctx.write(people, { id })
      for (const room of value.rooms) ctx.write(rooms, room)
      // Groups do as one: what a member does besides would not be its own.
      if (shape !== 'groups') rest(value)
    })
}

const refuses: NonNullable<TestDriverOptions['refuses']> = (name, row, present) => {
  if (name === people.name) return present.some(({ id }) => id === row.id) ? '23505' : undefined
  if ((row.size as number) < 0) return '23514'
  return present.some((other) => other.name === row.name) ? '23505' : undefined
}

async function run(plan: Stream<unknown>, items: readonly Item[], cut: { chunk: number; maxItems: number }) {
  const t = testDriver(plan, { ...cut, refuses })
  await t.sendAll(source, items)
  await t.stop()
  return {
    collected: t
      .errors()
      .map(({ offset, error }) => ({ offset, code: error.code }))
      .sort((a, b) => a.offset - b.offset),
    outcomes: t.outcomes().map(({ offset, outcome }) => `${offset} ${outcome}`),
    people: t.rows(people),
    rooms: t.rows(rooms),
  }
}

describe('the law of guilt', () => {
  for (const shape of shapes) {
    it(`holds with ${shape}: collected are the items of a run with one item a batch`, async () => {
      const cut = fc.record({ chunk: fc.integer({ min: 1, max: 8 }), maxItems: fc.integer({ min: 1, max: 30 }) })
      await fc.assert(
        fc.asyncProperty(fc.array(item, { maxLength: 24 }), cut, async (items, cut) => {
          const plan = planOf(shape)
          expect(await run(plan, items, cut)).toEqual(await run(plan, items, { chunk: 1, maxItems: 1 }))
        }),
        { numRuns: 150 },
      )
    })
  }
})
