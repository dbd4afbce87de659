/** The plan that is simulated, and its tables. What these have to hold is in `expected.ts`. */
import { table } from '../../sinks/table.ts'
import { json } from '../../src/codecs/index.ts'
import { type ErrorPolicyOptions, retry } from '../../src/core/errorPolicy.ts'
import type { RecordView } from '../../src/core/record.ts'
import { signal } from '../../src/core/signal.ts'
import { slot } from '../../src/core/slot.ts'
import { type Stream, segment, stream } from '../../src/stream.ts'
import { topic } from '../../src/topic.ts'
import type { TableModel } from './modelTable.ts'

/** What an order does to the plan. */
export const deeds = [
  'plain',
  'ignored',
  'ignored behind its rows',
  'throws',
  'rejects',
  'throws for a while',
  'rejects for a while',
  'throws for a while behind its call',
  'refused',
  'unique',
  'doubles',
  'parent',
  'child',
  'refused in a group',
  'breaks off',
] as const
export type Deed = (typeof deeds)[number]

/** What becomes of orders that fail. */
export const policies = ['collect', 'in place', 'put off and park', 'soft and park'] as const
export type Policy = (typeof policies)[number]

/** How often an order whose callbacks throw is tried before somebody has to look. */
export const tries: Readonly<Record<Policy, number>> = {
  collect: 1,
  'in place': 3,
  'put off and park': 3,
  'soft and park': 2,
}

export const parks = (policy: Policy): boolean => policy.endsWith('and park')

const policyOptions: Readonly<Record<Policy, ErrorPolicyOptions>> = {
  collect: {},
  'in place': { retry: retry.backoff({ attempts: tries['in place'], firstMs: 200 }) },
  'put off and park': {
    retry: retry.backoff({ attempts: tries['put off and park'], firstMs: 1_000, factor: 1 }),
    park: 'key',
  },
  'soft and park': { retry: retry.soft({ attempts: tries['soft and park'], firstMs: 1_000 }), park: 'key' },
}

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
/** How long an order fails that does so for a while. */
const illMs = 2_500

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

export interface PlanParts {
  readonly policy: Policy
  /** The moment, for orders that something holds up until later. */
  now(): number
  /** Told when the answer to the call that is made for each order is there. */
  answered(order: Order): void
}

export function ordersPlan({ policy, now, answered }: PlanParts): readonly Stream<unknown>[] {
  const isWithin = (ms: number, { records: [record] }: { readonly records: readonly RecordView[] }) =>
    now() < (record?.timestamp?.getTime() ?? 0) + ms
  const read = stream('orders')
    .from(orders)
    .errorPolicy(policyOptions[policy])
    .dependsOn(audit)
    .tap(({ deed }, ctx) => {
      if (deed === 'breaks off' && isWithin(waitMs, ctx)) signal.break('too early', { resumeAfterMs: 400 })
      if (deed === 'ignored') signal.ignore('not wanted')
      if (deed === 'throws' || (deed === 'throws for a while' && isWithin(illMs, ctx))) throw new Error('thrown')
    })
    .mapAsync(async (order, ctx) => {
      await Promise.resolve()
      const { deed } = order
      if (deed === 'rejects' || (deed === 'rejects for a while' && isWithin(illMs, ctx))) throw new Error('rejected')
      answered(order)
      return order
    })
    .tap(({ deed }, ctx) => {
      if (deed === 'throws for a while behind its call' && isWithin(illMs, ctx)) throw new Error('thrown behind')
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
