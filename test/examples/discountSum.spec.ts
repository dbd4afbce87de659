import fc from 'fast-check'
import { expect, test } from 'vitest'
import { discountSum, payments, receipts, resultItems } from '../../examples/discount-sum/discountSum.ts'
import { check, records, testDriver } from '../../src/testing/index.ts'

test('the discount sum leaves no trace of payments that were ignored', async () => {
  const t = testDriver(discountSum)
  await t.sendAll(payments, [
    { id: 'a', amount: 100, currency: 'EUR' },
    { id: 'b', amount: 50, currency: 'USD' },
    { id: 'c', amount: 0, currency: 'EUR' },
    { id: 'd', amount: 200, currency: 'EUR' },
  ])
  expect(t.rows(resultItems)).toEqual([
    { payment: 'a', total: 100 },
    { payment: 'd', total: 299 },
  ])
  expect(t.rows(receipts).map(({ id }) => id)).toEqual(['a', 'd'])
  expect(t.outcomes().filter(({ stream }) => stream === 'discount-sum')).toMatchObject([
    { outcome: 'done' },
    { outcome: 'ignored', reason: 'not in euros' },
    { outcome: 'filtered' },
    { outcome: 'done' },
  ])
  expect(t.outcomes().filter(({ stream }) => stream === 'count-foreign')).toHaveLength(4)
  await t.stop()
})

test('its receipts do not depend on where batches are cut, but its sums do', async () => {
  const payment = fc.record({
    id: fc.constantFrom('a', 'b', 'c'),
    amount: fc.nat(9),
    currency: fc.constantFrom('EUR', 'USD'),
  })
  const options = { input: records(payments, payment, ({ id }) => id), numRuns: 40, seed: 1 }
  await expect(check(discountSum, options)).rejects.toThrow('result_items')
})
