/** A plan that keeps every law, of ten steps, and what it is made of. */
import * as fc from 'fast-check'
import { table } from '../../sinks/table.ts'
import { json } from '../../src/codecs/index.ts'
import { signal } from '../../src/core/signal.ts'
import { type Stream, stream } from '../../src/stream.ts'
import { records } from '../../src/testing/index.ts'
import { topic } from '../../src/topic.ts'

export interface Payment {
  readonly account: string
  readonly cents: number
}

export const payments = topic('payments', json<Payment>())
export const ledger = table<Payment>('ledger')
export const totals = table<{ account: string; cents: number }>('totals', {
  key: 'account',
  onConflict: { cents: 'add' },
})
export const base: Stream<Payment> = stream('payments').from(payments)

const values = fc.record({ account: fc.constantFrom('a', 'b', 'c'), cents: fc.integer({ min: 0, max: 9 }) })
export const input = records(payments, values, ({ account }) => account)
/** Ten steps: filters, signals, asynchronous calls, two sinks. */
export const tenSteps = base
  .filter(({ cents }) => cents !== 1)
  .map((payment) => ({ ...payment, cents: payment.cents * 10 }))
  .tap(({ cents }) => void (cents === 20 && signal.ignore('twenty')))
  .flatMap((payment) => (payment.cents === 30 ? [payment, payment] : [payment]))
  .mapAsync(async (payment) => ({ ...payment, cents: payment.cents + 1 }))
  .tap(({ cents }) => {
    if (cents === 41) throw new Error('forty-one')
  })
  .map((payment) => ({ ...payment, cents: payment.cents - 1 }))
  .to(ledger)
  .to(totals)
