/**
 * The law of guilt: for every random plan of tables with unique keys, checks and foreign keys between them, the items that
 * are collected, and the rows that stand, are those of a run with one item a batch.
 */
import fc from 'fast-check'
import { afterAll, expect, it } from 'vitest'
import { table } from '../../../sinks/table.ts'
import type { Sink } from '../../../src/core/sink.ts'
import { RowsRefused } from '../../../src/core/store.ts'
import { createPostgresStore } from '../../../src/postgres/postgresStore.ts'
import { freshDatabase } from '../../support/services.ts'

const database = await freshDatabase(`
  create table parents (id integer primary key, tag integer unique, size integer check (size >= 0));
  create table children (id integer primary key, parent integer references parents, size integer check (size >= 0));
  create table deferred (id integer primary key deferrable initially deferred,
    parent integer references parents deferrable initially deferred);
  create table nodes (id integer primary key, up integer references nodes);
  create table counters (k text primary key, n integer, last text);
  create table totals (k text primary key, n integer check (n between -3 and 6), parent integer references parents);
  create table labels (k text primary key, tag integer unique, last integer);
`)

interface Total {
  k: string
  n: number
  last: string
  parent: number | null
  tag: number | null
}

const sinks: Readonly<Record<string, Sink<object>>> = {
  parents: table('parents'),
  children: table('children'),
  deferred: table('deferred'),
  nodes: table('nodes'),
  counters: table<Pick<Total, 'k' | 'n' | 'last'>>('counters', { key: 'k', onConflict: { n: 'add' } }) as Sink<object>,
  totals: table<Pick<Total, 'k' | 'n' | 'parent'>>('totals', { key: 'k', onConflict: { n: 'add' } }) as Sink<object>,
  labels: table<Pick<Total, 'k' | 'tag'>>('labels', { key: 'k' }) as Sink<object>,
}
const names = Object.keys(sinks)

const id = fc.integer({ min: 1, max: 4 })
const size = fc.integer({ min: -1, max: 5 })
const reference = fc.option(fc.integer({ min: 1, max: 5 }))
const k = fc.constantFrom('a', 'b')
const n = fc.integer({ min: -4, max: 4 })

const rowOf: Readonly<Record<string, fc.Arbitrary<object>>> = {
  parents: fc.record({ id, tag: fc.option(id), size }),
  children: fc.record({ id, parent: reference, size }),
  deferred: fc.record({ id, parent: reference }),
  nodes: fc.record({ id, up: reference }),
  counters: fc.record({ k, n, last: fc.constantFrom('x', 'y') }),
  totals: fc.record({ k, n, parent: reference }),
  labels: fc.record({ k, tag: fc.option(id), last: n }, { requiredKeys: ['k', 'tag'] }),
}

type Item = readonly (readonly [table: string, row: object])[]

/** Items over few of the tables, so that their rows meet. */
const plan: fc.Arbitrary<readonly Item[]> = fc.subarray(names, { minLength: 1, maxLength: 3 }).chain((chosen) => {
  const row = fc.oneof(...chosen.map((name) => fc.tuple(fc.constant(name), rowOf[name] ?? fc.constant({}))))
  return fc.array(fc.array(row, { minLength: 1, maxLength: 3 }), { minLength: 1, maxLength: 10 })
})

const store = createPostgresStore({ url: database.url })
await store.open(Object.values(sinks))
afterAll(() => store.close())

/** Runs the items in batches of a size, and answers with who was collected and what stands. */
async function run(items: readonly Item[], batchSize: number) {
  await database.query(`truncate ${names.join(', ')}, millrace.progress`)
  const claim = await store.claim({ app: 'law', stream: 's', partition: 0 }, [
    { source: 'from', nextOffset: 0, fingerprint: null },
  ])
  const buffers = store.createBuffers(Object.values(sinks))
  const collected: number[] = []
  for (let start = 0; start < items.length; start += batchSize) {
    const batch = items.slice(start, start + batchSize)
    for (const buffer of buffers) buffer.truncate(0)
    batch.forEach((rows, owner) => {
      for (const [name, each] of rows) buffers[names.indexOf(name)]?.append(each, owner)
    })
    /** Who fell, and whether by a clash. */
    const fallen = new Map<number, boolean>()
    for (;;) {
      const refused = await store
        .commit({
          claim,
          progress: [{ source: 'from', nextOffset: start + batch.length, fingerprint: null }],
          buffers,
          position: (owner) => (fallen.has(owner) ? undefined : owner),
          allInOrder: fallen.size === 0,
          collected: [],
          settled: [],
          budget: null,
          halted: null,
        })
        .catch((error: unknown) => {
          if (error instanceof RowsRefused) return error
          throw error
        })
      if (refused === undefined) break
      fallen.set(refused.owner, refused.clash)
      for (const [owner, clash] of fallen) if (clash && owner > refused.owner) fallen.delete(owner)
    }
    collected.push(...[...fallen.keys()].map((owner) => start + owner).sort((a, b) => a - b))
  }
  const rows: Record<string, unknown> = {}
  for (const name of names) rows[name] = await database.query(`select * from ${name} order by 1`)
  return { collected, rows }
}

it('collects and keeps, in batches of any size, what one item a batch does', { timeout: 240_000 }, async () => {
  let refusals = 0
  await fc.assert(
    fc.asyncProperty(plan, fc.integer({ min: 2, max: 10 }), async (items, batchSize) => {
      const oneByOne = await run(items, 1)
      refusals += oneByOne.collected.length
      expect(await run(items, batchSize)).toEqual(oneByOne)
    }),
    { numRuns: Number(process.env.MILLRACE_LAW_RUNS ?? 150) },
  )
  // A plan in which nothing is ever refused would prove nothing.
  expect(refusals).toBeGreaterThan(50)
})
