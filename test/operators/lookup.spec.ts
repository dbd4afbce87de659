import fc from 'fast-check'
import { afterEach, describe, expect, it, test } from 'vitest'
import { PlanError, UnavailableError } from '../../src/core/errors.ts'
import { KeysRefused } from '../../src/core/store.ts'
import {
  describe as describePlan,
  evaluate,
  json,
  type LookupOptions,
  query,
  signal,
  stream,
  table,
  topic,
} from '../../src/index.ts'
import { check, records, rows, type TestDriver, type TestDriverOptions, testDriver } from '../../src/testing/index.ts'
import { itemwiseCases, upTo } from './_cases.ts'

interface Flight {
  readonly n: number
  readonly origin: string | null
}
interface Airport {
  readonly code: string
  readonly name: string
}

const flights = topic('flights', json<Flight>())
const named = table<{ n: number; name: string | null }>('named')
const byCode = query<Airport>('select code, name from airports where code = any($1)', { by: 'code' })
const byId = query<{ id: number }>('select id from ids where id = any($1)', { by: 'id' })
const airports: readonly Airport[] = [
  { code: 'LAS', name: 'Harry Reid' },
  { code: 'LAS', name: 'McCarran' },
  { code: 'SEA', name: 'Seattle-Tacoma' },
]

const base = () => stream('flights').from(flights)
const plan = (options?: LookupOptions, act = (_n: number) => {}) =>
  base()
    .lookup(
      byCode,
      ({ origin }) => origin,
      ({ n }, airport) => {
        act(n)
        return { n, name: airport?.name ?? null }
      },
      options,
    )
    .to(named)

let running: TestDriver | undefined
let asked: (readonly unknown[])[] = []

function drive(of: ReturnType<typeof plan>, options: TestDriverOptions = {}): TestDriver {
  asked = []
  const answer = (keys: readonly unknown[]) => {
    asked.push(keys)
    return airports
  }
  running = testDriver(of, { lookups: [[byCode, answer]], ...options })
  return running
}

const from = (...origins: (string | null)[]): Flight[] => origins.map((origin, n) => ({ n, origin }))

afterEach(() => running?.stop())

describe('lookup', () => {
  itemwiseCases({
    step: 'lookup',
    apply: (numbers, act) =>
      numbers.lookup(
        byId,
        (n) => n,
        (_, row, ctx) => act(row?.id as number, ctx),
      ),
    lookups: [[byId, upTo(100).map((id) => ({ id }))]],
  })

  it('asks one query for a batch, with each key once, however the batch arrives', async () => {
    const t = drive(plan(), { chunk: 2 })
    await t.sendAll(flights, from('LAS', 'SEA', 'LAS', 'XXX', 'SEA', 'LAS'))
    expect(t.commits()).toHaveLength(1)
    expect(asked).toEqual([['LAS', 'SEA', 'XXX']])
    expect(t.rows(named).map(({ name }) => name)).toEqual([
      'Harry Reid',
      'Seattle-Tacoma',
      'Harry Reid',
      null,
      'Seattle-Tacoma',
      'Harry Reid',
    ])
  })

  it('uses an answer again until its time is over, also that there is no row', async () => {
    const t = drive(plan({ ttl: { minutes: 5 } }))
    await t.sendAll(flights, from('LAS', 'XXX'))
    await t.advanceBy(299_999)
    await t.sendAll(flights, from('LAS', 'XXX', 'SEA'))
    expect(asked).toEqual([['LAS', 'XXX'], ['SEA']])
    await t.advanceBy(1)
    await t.sendAll(flights, from('LAS', 'XXX', 'SEA'))
    expect(asked).toEqual([['LAS', 'XXX'], ['SEA'], ['LAS', 'XXX']])
  })

  it('keeps an answer for a minute where nothing is said', async () => {
    const t = drive(plan())
    await t.sendAll(flights, from('LAS'))
    await t.advanceBy(59_999)
    await t.sendAll(flights, from('LAS'))
    expect(asked).toHaveLength(1)
    await t.advanceBy(1)
    await t.sendAll(flights, from('LAS'))
    expect(asked).toHaveLength(2)
  })

  it('keeps no more keys than it may, those that were used last', async () => {
    const t = drive(plan({ maxKeys: 2 }))
    for (const origin of ['LAS', 'SEA', 'LAS', 'XXX', 'LAS', 'SEA']) await t.sendAll(flights, from(origin))
    expect(asked).toEqual([['LAS'], ['SEA'], ['XXX'], ['SEA']])
  })

  it('finds all rows of a batch that has more keys than are kept', async () => {
    const t = drive(plan({ maxKeys: 1 }))
    await t.sendAll(flights, from('LAS', 'SEA', 'LAS'))
    expect(t.rows(named).map(({ name }) => name)).toEqual(['Harry Reid', 'Seattle-Tacoma', 'Harry Reid'])
  })

  it('asks nothing for keys that are null, and gives no row', async () => {
    const t = drive(plan())
    await t.sendAll(flights, [...from(null), { n: 1 } as Flight])
    expect(asked).toEqual([])
    expect(t.rows(named)).toEqual([
      { n: 0, name: null },
      { n: 1, name: null },
    ])
  })

  it('asks nothing again in a replay of the batch, and finds what was found first, although its time is over', async () => {
    let isFirst = true
    let answers = 0
    const t = drive(
      plan({ ttl: { milliseconds: 1 } }, (n) => {
        if (n === 1 && isFirst) {
          isFirst = false
          signal.error(new Error('once'))
        }
      }),
      { lookups: [[byCode, () => [{ code: 'LAS', name: `answer ${++answers}` }]]] },
    )
    await t.sendAll(flights, from('LAS', 'LAS'))
    expect(t.rows(named)).toEqual([])
    await t.advanceBy(1_000)
    expect(t.rows(named)).toEqual([
      { n: 0, name: 'answer 1' },
      { n: 1, name: 'answer 1' },
    ])
    await t.sendAll(flights, from('LAS'))
    expect(t.rows(named).at(-1)).toEqual({ n: 0, name: 'answer 2' })
  })

  it('tries the batch again when the database is away', async () => {
    let isAway = true
    const t = drive(plan(), {
      lookups: [
        [
          byCode,
          () => {
            if (isAway) throw new UnavailableError('MR-TEST-AWAY', { what: 'the database is away' })
            return airports
          },
        ],
      ],
    })
    await t.sendAll(flights, from('LAS'))
    expect(t.outcomes()).toEqual([])
    isAway = false
    await t.advanceBy(1_000)
    expect(t.rows(named)).toEqual([{ n: 0, name: 'Harry Reid' }])
  })

  it('collects the items whose keys the database refuses, and no others', async () => {
    const t = drive(plan(), {
      lookups: [
        [
          byCode,
          (keys) => {
            if (keys.includes('bad')) throw new KeysRefused(new Error('invalid input syntax'))
            return airports
          },
        ],
      ],
    })
    await t.sendAll(flights, from('LAS', 'bad', 'SEA', 'XXX', 'bad'))
    expect(t.rows(named).map(({ n }) => n)).toEqual([0, 2, 3])
    expect(t.errors()).toMatchObject([
      { step: 'lookup', offset: 1, error: { code: 'MR-LOOKUP-KEY' } },
      { step: 'lookup', offset: 4, error: { code: 'MR-LOOKUP-KEY' } },
    ])
  })

  it('collects an item whose key is none', async () => {
    const t = drive(plan())
    await t.sendAll(flights, [{ n: 0, origin: {} as string }, ...from('LAS')])
    expect(t.errors()).toMatchObject([{ offset: 0, error: { code: 'MR-LOOKUP-KEY' } }])
    expect(t.rows(named)).toHaveLength(1)
  })

  it('undoes an item for which a signal is raised while its key is read', async () => {
    const t = drive(
      base()
        .lookup(
          byCode,
          ({ origin }) => origin ?? signal.ignore('no origin'),
          ({ n }, airport) => ({ n, name: airport?.name ?? null }),
        )
        .to(named),
    )
    await t.sendAll(flights, from('LAS', null, 'SEA'))
    expect(t.outcomes().map(({ outcome }) => outcome)).toEqual(['done', 'ignored', 'done'])
    expect(asked).toEqual([['LAS', 'SEA']])
  })

  it('gives rows that nobody can change: many items share them', async () => {
    const t = drive(
      base()
        .lookup(
          byCode,
          ({ origin }) => origin,
          ({ n }, airport) => {
            if (n === 0) Object.assign(airport as object, { name: 'changed' })
            return { n, name: airport?.name ?? null }
          },
        )
        .to(named),
    )
    await t.sendAll(flights, from('LAS', 'LAS'))
    expect(t.rows(named)).toEqual([{ n: 1, name: 'Harry Reid' }])
  })

  test('holds with kills, rebalances and lost commits', async () => {
    await check(() => plan(), {
      input: records(flights, fc.record({ n: fc.nat(), origin: fc.constantFrom('LAS', 'SEA', 'XXX', null) })),
      lookups: [[byCode, airports]],
      model: (given) =>
        rows(
          named,
          given(flights).map(({ n, origin }) => ({
            n,
            name: airports.find(({ code }) => code === origin)?.name ?? null,
          })),
        ),
      numRuns: 30,
    })
  })
})

describe('a plan with a lookup', () => {
  it('says what it looks up', () => {
    expect(describePlan(plan({ ttl: { minutes: 5 } }))).toContain('query by code, kept for 5m, 10000 keys at most')
  })

  it('does not start where nobody has said what the query finds', async () => {
    const t = drive(plan(), { lookups: [] })
    await expect(t.send(flights, { n: 0, origin: null })).rejects.toThrow(
      /nobody has said.*stream "flights", step "lookup".*MR-TEST-LOOKUP/s,
    )
  })

  it('cannot be evaluated without a database', async () => {
    const record = { value: Buffer.from('{"n":1,"origin":"LAS"}') }
    await expect(evaluate(plan(), { step: 'lookup', record })).rejects.toThrow(/MR-EVAL-LOOKUP/)
    expect((await evaluate(plan(), { step: 'from:flights', record })).outcome).toBe('done')
  })

  it('is refused with a query that has no key column, and so is a source with one that has', () => {
    const all = query<Airport>('select code, name from airports')
    expect(() => base().lookup(all as never, () => 1, String)).toThrow(/a query\(\) without one.*MR-PLAN-LOOKUP/s)
    expect(() => base().lookup(undefined as never, () => 1, String)).toThrow(PlanError)
    expect(() => stream('s').from(byCode as never)).toThrow(/cannot read a query\(\) with "by".*MR-PLAN-INPUT/s)
    expect(() => base().lookup(byCode, () => 1, String, { ttl: { milliseconds: 0 } })).toThrow(/"ttl"/)
  })
})
