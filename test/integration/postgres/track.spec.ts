/**
 * The law of undoing: whatever items have made, when they are run again, in whatever batches, while others go on behind them, the
 * tables end as if each item had been run once, the way it was run last.
 */
import fc from 'fast-check'
import { afterAll, describe, expect, it } from 'vitest'
import { table } from '../../../sinks/table.ts'
import { UnavailableError } from '../../../src/core/errors.ts'
import type { Sink } from '../../../src/core/sink.ts'
import type { RowOrigins } from '../../../src/core/store.ts'
import { createPostgresStore } from '../../../src/postgres/postgresStore.ts'
import { freshDatabase } from '../../support/services.ts'
import { Member } from './member.ts'

const tables = ['flat', 'totals', 'firsts', 'pairs']
const database = await freshDatabase(`
  create table flat (n integer, word text);
  create table totals (k text primary key, n integer, amount numeric(10, 2), low integer, high integer, last text, first text,
    rate float8, size integer default 7);
  create table firsts (k text primary key, word text, n integer);
  create table pairs (day timestamptz not null, k integer not null, n bigint, word text default 'none', unique (day, k));
`)

interface Total {
  k: string
  n: number | null
  amount: string
  low: number
  high: number
  last: string
  first: string
  rate: number
}

const sinks: readonly Sink<never>[] = [
  table('flat', { track: true }),
  table<Total>('totals', {
    key: 'k',
    onConflict: { n: 'add', amount: 'add', low: 'min', high: 'max', first: 'keep', rate: 'add' },
    track: true,
  }),
  table<{ k: string; word: string }>('firsts', { key: 'k', onConflict: 'nothing', track: true }),
  table<{ day: Date; k: number; n: number }>('pairs', { key: ['day', 'k'], onConflict: { n: 'add' }, track: true }),
]

const n = fc.integer({ min: -3, max: 3 })
const k = fc.constantFrom('a', 'b', '"c\\')
const word = fc.option(fc.constantFrom('x', 'y', ''))
const rowOf: Readonly<Record<string, fc.Arbitrary<object>>> = {
  flat: fc.record({ n, word }),
  totals: fc.oneof(
    fc.record({
      k,
      n: fc.option(n),
      amount: fc.option(fc.constantFrom('1.10', '-2', '0.05')),
      low: fc.option(n),
      high: fc.option(n),
      last: word,
      first: word,
      // Halves: their sums do not depend on the order.
      rate: fc.option(n.map((half) => half / 2)),
    }),
    fc.record({ k, n, last: word }),
  ),
  firsts: fc.record({ k, word: fc.option(fc.constantFrom('x', 'y')), n }, { requiredKeys: ['k'] }).map(whole),
  pairs: fc
    .record({ day: fc.constantFrom(0, 86_400_000), k: n, n, word }, { requiredKeys: ['day', 'k', 'n'] })
    .map(({ day, ...rest }) => whole({ day: new Date(day), ...rest })),
}

function whole<T extends object>(row: T): T {
  return { ...row }
}

type Rows = readonly (readonly [table: string, row: object])[]
const rows: fc.Arbitrary<Rows> = fc.array(
  fc.oneof(...tables.map((name) => fc.tuple(fc.constant(name), rowOf[name] ?? fc.constant({})))),
  { maxLength: 4 },
)

const items = fc.array(fc.record({ before: rows, after: fc.option(rows, { nil: undefined, freq: 3 }) }), {
  minLength: 1,
  maxLength: 12,
})

const store = createPostgresStore({ url: database.url })
await store.open(sinks)
afterAll(() => store.close())

/** A task of its own in each run: what a store knows of tasks and tables stays true. */
let runs = 0

function originsFrom(first: number, count: number, topic: string): RowOrigins {
  return {
    stream: 'flights',
    topic,
    streamOf: () => 'flights',
    offsetOf: (owner) => first + owner,
    of: (owner) => ({ stream: 'flights', offsets: [first + owner] }),
    *standing() {
      for (let owner = 0; owner < count; owner += 1) yield { owner, stream: 'flights', offset: first + owner }
    },
  }
}

async function commit(
  member: Member,
  topic: string,
  first: number,
  batch: readonly (Rows | undefined)[],
  again: boolean,
) {
  batch.forEach((made, owner) => {
    for (const [name, row] of made ?? []) member.append(name, row, owner)
  })
  await member.commit(first + batch.length, {
    origins: originsFrom(first, batch.length, topic),
    again,
    allInOrder: batch.every((made) => made !== undefined),
    position: (owner) => (batch[owner] === undefined ? undefined : owner),
  })
}

function* batchesOf(count: number, sizes: readonly number[]): Iterable<readonly [first: number, end: number]> {
  let first = 0
  for (let index = 0; first < count; index += 1) {
    const end = Math.min(count, first + (sizes[index % sizes.length] ?? 1))
    yield [first, end]
    first = end
  }
}

async function clear() {
  runs += 1
  await database.query(`truncate ${tables.join(', ')}, millrace.contributions`)
  return `topic-${runs}`
}

async function tablesNow() {
  const found: Record<string, readonly unknown[]> = {}
  for (const name of tables) {
    const columns = name === 'flat' ? 'n, word' : '*'
    found[name] = await database.query(`select ${columns} from ${name} order by 1, 2`)
  }
  const left = await database.query(
    'select table_id, record_offset, ordinal, key, cells from millrace.contributions order by 1, 2, 4, 5, 3',
  )
  return { found, left: left.map(({ ordinal: _, ...rest }) => rest) }
}

const app = 'law'
const claimed = (stream: string) => Member.claim(store, sinks, { app, stream, partition: 0 })

describe('what items have made', () => {
  it('is replaced when they are run again, and nothing else changes', { timeout: 240_000 }, async () => {
    const sizes = fc.array(fc.integer({ min: 1, max: 5 }), { minLength: 1, maxLength: 4 })
    await fc.assert(
      fc.asyncProperty(items, fc.array(rows, { maxLength: 4 }), sizes, sizes, async (given, later, at, again) => {
        const fresh = await clear()
        const scratch = await claimed('scratch')
        const last = [...given.map(({ before, after }) => after ?? before), ...later]
        for (const [first, end] of batchesOf(last.length, at)) {
          await commit(scratch, fresh, first, last.slice(first, end), false)
        }
        const expected = await tablesNow()

        const topic = await clear()
        const live = await claimed('live')
        for (const [first, end] of batchesOf(given.length, at)) {
          const batch = given.slice(first, end).map(({ before }) => before)
          await commit(live, topic, first, batch, false)
        }
        const reparse = await claimed('live reparse 1')
        const behind = [...later.entries()]
        for (const [first, end] of batchesOf(given.length, again)) {
          const batch = given.slice(first, end).map(({ after }) => after)
          await commit(reparse, topic, first, batch, true)
          const next = behind.shift()
          if (next !== undefined) await commit(live, topic, given.length + next[0], [next[1]], false)
        }
        for (const [index, made] of behind) await commit(live, topic, given.length + index, [made], false)
        expect(await tablesNow()).toEqual(expected)
      }),
      { numRuns: Number(process.env.MILLRACE_LAW_RUNS ?? 150) },
    )
  })
})

describe('while a service goes on', () => {
  it('rows that both change end as if one had gone after the other', { timeout: 120_000 }, async () => {
    const topic = await clear()
    const live = await claimed('live')
    const reparse = await claimed('live reparse 2')
    const made = (offset: number, factor: number): Rows =>
      [0, 2].map((more) => {
        const n = ((offset * 7 + more * 3) % 10) * factor
        // Both make rows that are not there yet, and the same ones.
        const isNew = factor > 1 || offset >= total
        const k = isNew ? `new ${(offset * 5 + more) % 97}` : `old ${(offset + more) % 5}`
        return ['totals', { k, n, low: n, high: n, last: `${n}` }]
      })
    const size = 10
    const count = 40
    const total = size * count
    let blocked = 0
    const through = async (member: Member, first: number, factor: number, again: boolean): Promise<void> => {
      const batch = Array.from({ length: size }, (_, index) => made(first + index, factor))
      for (;;) {
        try {
          return await commit(member, topic, first, batch, again)
        } catch (error) {
          // Postgres has ended one of two that waited for each other: the runtime tries again, too.
          if (!(error instanceof UnavailableError)) throw error
          blocked += 1
          for (const buffer of member.buffers) buffer.truncate(0)
        }
      }
    }
    for (let first = 0; first < total; first += size) await through(live, first, 1, false)
    const behind = (async () => {
      for (let first = total; first < 2 * total; first += size) await through(live, first, 1, false)
    })()
    for (let first = 0; first < total; first += size) await through(reparse, first, 100, true)
    await behind

    const expected = new Map<string, { n: number; low: number; high: number }>()
    for (let offset = 0; offset < 2 * total; offset += 1) {
      for (const [, row] of made(offset, offset < total ? 100 : 1)) {
        const { k, n } = row as Total
        const sums = expected.get(k) ?? { n: 0, low: 1_000, high: -1_000 }
        const number = n ?? 0
        expected.set(k, { n: sums.n + number, low: Math.min(sums.low, number), high: Math.max(sums.high, number) })
      }
    }
    expect(await database.query('select k, n, low, high from totals order by k')).toEqual(
      Array.from(expected, ([key, sums]) => ({ k: key, ...sums })).sort((a, b) => (a.k < b.k ? -1 : 1)),
    )
    expect(blocked).toBeLessThan(count)
  })
})

describe('a start', () => {
  const opening = (sink: Sink<never>, url = database.url) => {
    const own = createPostgresStore({ url })
    return own.open([sink]).finally(() => own.close())
  }

  it('adds the columns and their index, and finds an index of another kind', async () => {
    await database.query(
      'create table bare (n integer); create table own (n integer, mr_task integer, mr_offset bigint)',
    )
    await database.query('create index own_by_brin on own using brin (mr_task, mr_offset)')
    await opening(table('bare', { track: true }))
    await opening(table('own', { track: true }))
    expect(
      await database.query(
        `select tablename, indexname from pg_indexes where tablename in ('bare', 'own') order by 1, 2`,
      ),
    ).toEqual([
      { tablename: 'bare', indexname: 'bare_mr_origin' },
      { tablename: 'own', indexname: 'own_by_brin' },
    ])
  })

  it('says which statements are missing, where it may not run them', async () => {
    await database.query(`
      create table locked (n integer);
      create role tracker login password 'secret';
      grant usage on schema millrace to tracker;
      grant select, insert, update, delete on all tables in schema millrace, public to tracker;
      grant all on all sequences in schema millrace to tracker`)
    const url = new URL(database.url)
    url.username = 'tracker'
    url.password = 'secret'
    try {
      await expect(opening(table('locked', { track: true }), url.href)).rejects.toThrow(
        'alter table public.locked add column if not exists mr_task integer, add column if not exists mr_offset bigint;',
      )
    } finally {
      await database.query('drop owned by tracker; drop role tracker')
    }
  })

  it.each([
    ['may be null', 'create table nullable (k text unique)', 'nullable', /"k" of its key may be null/],
    [
      'has many texts for one value',
      'create table decimals (k numeric primary key)',
      'decimals',
      /"k" of its key is numeric/,
    ],
  ])('refuses a key that %s', async (_, sql, name, why) => {
    await database.query(sql)
    await expect(opening(table<{ k: string }>(name, { key: 'k', track: true }))).rejects.toThrow(why)
  })
})
