/** Runs the plan on a few payments, without a broker and a database: `node --import tsx examples/discount-sum/main.ts`. */
import { testDriver } from '../../src/testing/index.ts'
import { discountSum, payments, receipts, resultItems } from './discountSum.ts'

const t = testDriver(discountSum)
await t.sendAll(payments, [
  { id: 'a', amount: 100, currency: 'EUR' },
  { id: 'b', amount: 50, currency: 'USD' },
  { id: 'c', amount: 0, currency: 'EUR' },
  { id: 'd', amount: 200, currency: 'EUR' },
])
console.log('result_items')
console.table(t.rows(resultItems))
console.log('receipts')
console.table(t.rows(receipts))
console.log('outcomes')
console.table(t.outcomes().map(({ stream, offset, outcome, reason = '' }) => ({ stream, offset, outcome, reason })))
await t.stop()
