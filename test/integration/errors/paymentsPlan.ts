/** A plan that is broken, or mended, as the environment says: `BROKEN` names the remainder, by 3, of the payments that fail. */
import { json, stream, table, topic } from '../../../src/index.ts'

interface Payment {
  readonly id: number
  readonly payer: string
  readonly amount: number
}

const { PAYMENTS_TOPIC = 'payments', BROKEN, BUDGET, PARK, MAX_PARKED, VERSION = 'first' } = process.env

const payments = table<Payment>('payments')
const sums = table<{ payer: string; amount: number; payments: number }>('sums', {
  key: 'payer',
  onConflict: { amount: 'add', payments: 'add' },
})
const latest = table<{ payer: string; id: number }>('latest', { key: 'payer' })

export default stream('payments')
  .from(topic(PAYMENTS_TOPIC, json<Payment>()))
  .tap(({ id }) => {
    if (String(id % 3) === BROKEN) throw new RangeError(`no rate for payment ${id}`)
  })
  .named(VERSION)
  .to(payments)
  .to(sums, ({ payer, amount }) => ({ payer, amount, payments: 1 }))
  .to(latest, ({ payer, id }) => ({ payer, id }))
  .errorPolicy({
    budget: BUDGET === undefined ? false : { inARow: Number(BUDGET) },
    ...(PARK === undefined ? {} : { park: 'key' as const, maxParked: Number(MAX_PARKED ?? 10_000) }),
  })
