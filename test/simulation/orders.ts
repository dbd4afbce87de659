/** The plan that is simulated, its tables, and what they have to hold: worked out by code that knows nothing of millrace. */
import { table } from '../../sinks/table.ts'
import { json } from '../../src/codecs/index.ts'
import { signal } from '../../src/core/signal.ts'
import { slot } from '../../src/core/slot.ts'
import { type Stream, segment, stream } from '../../src/stream.ts'
import { topic } from '../../src/topic.ts'
import type { TableModel, Values } from './modelTable.ts'

/** What an order does to the plan. */
export const deeds = [
  'plain',
  'ignored',
  'ignored behind its rows',
  'throws',
  'rejects',
  'refused',
  'unique',
  'doubles',
  'parent',
  'child',
  'refused in a group',
  'breaks off',
] as const
export type Deed = (typeof deeds)[number]

export interface Order {
  readonly id: number
  readonly key: string
  readonly deed: Deed
}

export const orders = topic('orders', json<Order>())

interface LedgerRow {
  readonly id: number
  readonly part: number
  readonly pos: number
  readonly acct: string
  readonly amount: number
  readonly mark: string | null
}

const ledger = table<LedgerRow>('ledger')
const totals = table<{ acct: string; n: number; low: number; high: number }>('totals', {
  key: 'acct',
  onConflict: { n: 'add', low: 'min', high: 'max' },
})
const parents = table<{ acct: string }>('parents', { key: 'acct', onConflict: 'nothing' })
const children = table<{ id: number; parent: string }>('children')
const grouped = table<{ id: number; amount: number }>('grouped')
const counted = table<{ id: number; acct: string; nth: number }>('counted')
const audited = table<{ id: number }>('audited')
const followed = table<{ id: number }>('followed')

/** Scopes of a batch show where it was cut, so nothing that is written depends on them; undoing what was done to them must work all the same. */
const inBatch = slot('in batch', () => 0)

const audit = segment('audit', (all: Stream<Order>) =>
  all.tap((_, ctx) => void ctx.scope.context.update(inBatch, (n) => n + 1)).to(audited, ({ id }) => ({ id })),
)
const follow = segment('follow', (some: Stream<Order>) => some.to(followed, ({ id }) => ({ id })))

/** How long an order that breaks off wants to be left alone, after the moment at which it was made. */
const waitMs = 1_500

export const tables: readonly TableModel[] = [
  {
    name: 'ledger',
    columns: { id: 'integer', part: 'integer', pos: 'bigint', acct: 'text', amount: 'integer', mark: 'text' },
    notNull: ['id'],
    uniques: [['mark']],
    checks: [{ name: 'amount', holds: ({ amount }) => Number(amount) >= 0 }],
  },
  {
    name: 'totals',
    columns: { acct: 'text', n: 'integer', low: 'integer', high: 'integer' },
    notNull: ['acct'],
    uniques: [['acct']],
  },
  { name: 'parents', columns: { acct: 'text' }, notNull: ['acct'], uniques: [['acct']] },
  {
    name: 'children',
    columns: { id: 'integer', parent: 'text' },
    notNull: ['id'],
    reference: { column: 'parent', table: 'parents', otherColumn: 'acct' },
  },
  {
    name: 'grouped',
    columns: { id: 'integer', amount: 'integer' },
    notNull: ['id'],
    checks: [{ name: 'amount', holds: ({ amount }) => Number(amount) >= 0 }],
  },
  { name: 'counted', columns: { id: 'integer', acct: 'text', nth: 'integer' } },
  { name: 'audited', columns: { id: 'integer' } },
  { name: 'followed', columns: { id: 'integer' } },
]

/** @param now the moment, for orders that break off until later */
export function ordersPlan(now: () => number): readonly Stream<unknown>[] {
  const read = stream('orders')
    .from(orders)
    .dependsOn(audit)
    .tap(({ deed }, { records: [record] }) => {
      const madeAt = record?.timestamp?.getTime() ?? 0
      if (deed === 'breaks off' && now() < madeAt + waitMs) signal.break('too early', { resumeAfterMs: 400 })
      if (deed === 'ignored') signal.ignore('not wanted')
      if (deed === 'throws') throw new Error('thrown')
    })
    .mapAsync(async (order) => {
      await Promise.resolve()
      if (order.deed === 'rejects') throw new Error('rejected')
      return order
    })
  const written = read
    .flatMap((order) => (order.deed === 'doubles' ? [order, order] : [order]))
    .to(ledger, ({ id, key, deed }, { records: [record] }) => ({
      id,
      part: record?.partition ?? -1,
      pos: record?.offset ?? -1,
      acct: key,
      amount: deed === 'refused' ? -1 : id,
      mark: deed === 'unique' ? key : null,
    }))
    .to(totals, ({ id, key }) => ({ acct: key, n: 1, low: id, high: id }))
    .tap(({ deed }) => {
      if (deed === 'ignored behind its rows') signal.ignore('changed its mind')
    })
  return [
    written,
    read.filter(({ deed }) => deed === 'parent').to(parents, ({ key }) => ({ acct: key })),
    read
      .batch({ max: 3, maxWaitMs: 150 })
      .flatten()
      .to(grouped, ({ id, deed }) => ({ id, amount: deed === 'refused in a group' ? -1 : id })),
    read
      .process({
        process(order, ctx) {
          ctx.scope.batch.update(inBatch, (n) => n + ctx.scope.context.get(inBatch))
          return order.deed === 'doubles' ? undefined : order
        },
      })
      .triggers(follow),
    read
      .keyBy(({ key }) => key, { sameKey: true })
      .stateful({ name: 'counts', initial: () => 0 }, ({ id, key }, state) => {
        return { id, acct: key, nth: state.update((n) => n + 1) }
      })
      .to(counted),
    read.filter(({ deed }) => deed === 'child').to(children, ({ id, key }) => ({ id, parent: key })),
  ]
}

/** A record where it lies. */
export interface Placed {
  readonly partition: number
  readonly offset: number
  readonly order: Order
}

export interface Expected {
  readonly ledger: readonly Values[]
  readonly totals: readonly Values[]
  readonly parents: readonly Values[]
  readonly children: readonly Values[]
  readonly grouped: readonly Values[]
  readonly counted: readonly Values[]
  readonly audited: readonly Values[]
  readonly followed: readonly Values[]
  /** `partition@offset` of collected items. */
  readonly collected: readonly string[]
}

/** What has to be there when some records have been committed. Records of one key lie in one partition. */
export function expected(records: readonly Placed[]): Expected {
  const marks = new Set<string>()
  const accounts = new Set<string>()
  const sums = new Map<string, number[]>()
  const rows: Values[] = []
  const childRows: Values[] = []
  const groupedRows: Values[] = []
  const counts = new Map<string, number>()
  const countedRows: Values[] = []
  const followedRows: Values[] = []
  const collected: string[] = []
  for (const { partition, offset, order } of records) {
    const { id, key, deed } = order
    if (deed === 'ignored' || deed === 'ignored behind its rows') continue
    const isCollected =
      deed === 'throws' ||
      deed === 'rejects' ||
      deed === 'refused' ||
      deed === 'refused in a group' ||
      (deed === 'unique' && marks.has(key)) ||
      (deed === 'child' && !accounts.has(key))
    if (isCollected) {
      collected.push(`${partition}@${offset}`)
      continue
    }
    const row = {
      id: String(id),
      part: String(partition),
      pos: String(offset),
      acct: key,
      amount: String(id),
      mark: deed === 'unique' ? key : null,
    }
    const times = deed === 'doubles' ? 2 : 1
    for (let time = 0; time < times; time++) {
      rows.push(row)
      sums.set(key, [...(sums.get(key) ?? []), id])
    }
    groupedRows.push({ id: String(id), amount: String(id) })
    if (deed !== 'doubles') followedRows.push({ id: String(id) })
    counts.set(key, (counts.get(key) ?? 0) + 1)
    countedRows.push({ id: String(id), acct: key, nth: String(counts.get(key)) })
    if (deed === 'unique') marks.add(key)
    if (deed === 'parent') accounts.add(key)
    if (deed === 'child') childRows.push({ id: String(id), parent: key })
  }
  return {
    ledger: rows,
    totals: Array.from(sums, ([acct, ids]) => ({
      acct,
      n: String(ids.length),
      low: String(Math.min(...ids)),
      high: String(Math.max(...ids)),
    })),
    parents: Array.from(accounts, (acct) => ({ acct })),
    children: childRows,
    grouped: groupedRows,
    counted: countedRows,
    // Every order, whatever becomes of it in the stream that depends on this one.
    audited: records.map(({ order }) => ({ id: String(order.id) })),
    followed: followedRows,
    collected,
  }
}
