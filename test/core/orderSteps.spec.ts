import { map } from 'rxjs'
import { expect, test } from 'vitest'
import { orderSteps } from '../../src/core/orderSteps.ts'
import { count, json, query, type Stream, segment, stream, table, topic } from '../../src/index.ts'
import { leavesOf } from '../../src/stream.ts'

interface Sale {
  readonly shop: string
  readonly amount: number
}

const sales: Stream<Sale> = stream('sales').from(topic('sales', json<Sale>()))
const stepsOf = (plan: Stream<unknown>) => orderSteps(leavesOf(plan))

test('steps that take items one by one, and rows that are only added, are none where order matters', () => {
  expect(
    stepsOf(
      sales
        .filter(({ amount }) => amount > 0)
        .mapAsync(async (sale) => sale)
        .flatMap((sale) => [sale])
        .to(table<Sale>('sales')),
    ),
  ).toEqual([])
})

test.each([
  [table<Sale>('t', { key: 'shop' }), ['to:t: in columns without a rule the last row of a key wins']],
  [table<Sale>('t', { key: 'shop', columns: ['shop', 'amount'] }), ['to:t: the last row of a key wins (amount)']],
  [table<Sale>('t', { key: 'shop', columns: ['shop', 'amount'], onConflict: { amount: 'add' } }), []],
  [table<Sale>('t', { key: 'shop', columns: ['shop', 'amount'], onConflict: { amount: 'max' } }), []],
  [
    table<Sale>('t', { key: 'shop', columns: ['shop', 'amount'], onConflict: { amount: 'keep' } }),
    ['to:t: the first row of a key stays'],
  ],
  [
    table<Sale>('t', { key: 'shop', onConflict: { amount: 'add' } }),
    ['to:t: in columns without a rule the last row of a key wins'],
  ],
  [table<Sale>('t', { key: 'shop', onConflict: { amount: 'replace' } }), ['to:t: the last row of a key wins']],
  [table<Sale>('t', { key: 'shop', track: true }), []],
  [table<Sale>('t', { key: 'shop', onConflict: 'nothing' }), ['to:t: the first row of a key stays']],
])('what an upsert does with a key that is there decides: %j', (sink, steps) => {
  expect(stepsOf(sales.to(sink))).toEqual(steps)
})

test('steps that know of other items are named, those of dependent and triggered streams too', () => {
  const audited = segment('audited', (given: Stream<Sale>) => given.to(table<Sale>('last', { key: 'shop' })))
  const plan = sales
    .dependsOn(audited)
    .lookup(
      query<{ shop: string }>('select shop from shops where shop = any($1)', { by: 'shop' }),
      ({ shop }) => shop,
      (sale) => sale,
    )
    .process({ process: (sale) => sale })
    .batch({ max: 3 })
    .flatMap((group) => group.filter(({ amount }) => amount > 0))
    .pipe(map((sale) => sale))
    .to(table<Sale>('sales'))
  expect(stepsOf(plan)).toEqual([
    'audited/to:last: in columns without a rule the last row of a key wins',
    'lookup: it finds the rows that are there when the replay comes',
    'process: its scopes hold what the items of the replay leave there, and no others',
    'batch: its groups are made of the items of the replay',
    'pipe: RxJS sees the items later than others',
  ])
})

test('steps with state are named: what came later is in it', () => {
  const byShop = sales.keyBy(({ shop }) => shop, { sameKey: true })
  const late = 'its state has seen later values, and a window that is closed takes the item for late'
  expect(stepsOf(byShop.aggregate({ sales: count() }).to(table('counts')))).toEqual([`aggregate: ${late}`])
})
