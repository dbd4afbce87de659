/**
 * The sum of a day's payments, with a discount that grows with each: what is put aside for one payment depends on those
 * before it. A payment that is ignored or fails takes back what it did to the sum.
 */
import { json, type Stream, segment, signal, slot, stream, table, topic } from '../../src/index.ts'

export interface Payment {
  readonly id: string
  readonly amount: number
  readonly currency: string
}

export const payments = topic('payments', json<Payment>())
export const resultItems = table<{ payment: string; total: number }>('result_items')
export const receipts = table<Payment>('receipts')

const total = slot('total', () => 0)
const foreign = slot('foreign', () => 0)

/** Runs first, on the same payments, and shares its context. */
const countForeign = segment('count-foreign', (paid: Stream<Payment>) =>
  paid
    .filter(({ currency }) => currency !== 'EUR')
    .tap((_, ctx) => void ctx.scope.context.update(foreign, (count) => count + 1)),
)
/** Is handed the payments that went through. */
const writeReceipts = segment('write-receipts', (paid: Stream<Payment>) => paid.to(receipts))

export const discountSum = stream('discount-sum')
  .from(payments)
  .dependsOn(countForeign)
  .process({
    prepare: (paid) => paid.filter(({ amount }) => amount > 0),
    process(payment, ctx) {
      const sum = ctx.scope.context.update(total, (before) => before + payment.amount)
      ctx.write(resultItems, { payment: payment.id, total: sum })
      ctx.scope.context.update(total, (before) => before * 0.99)
      return payment.currency === 'EUR' ? payment : signal.ignore('not in euros')
    },
    finish: (paid, ctx) =>
      ctx.log.info({ payments: paid.length, foreign: ctx.scope.context.get(foreign) }, 'payments are summed up'),
  })
  .triggers(writeReceipts)

export default discountSum
