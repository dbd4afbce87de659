/** Hourly counts of payments by payer, for tests that look at what is kept. */
import { count, json, stream, sum, table, topic, tumbling } from '../../../src/index.ts'

export interface Payment {
  readonly id: number
  readonly payer: string
  readonly amount: number
  readonly at: number
}

const { PAYMENTS_TOPIC = 'payments', SHAPE } = process.env

export const payments = stream('payments').from(topic(PAYMENTS_TOPIC, json<Payment>()), { time: ({ at }) => at })

export default payments
  .keyBy(({ payer }) => payer, { sameKey: true })
  .window(tumbling({ seconds: 10 }), { grace: { seconds: 2 } })
  .aggregate({ n: count(), ...(SHAPE === undefined ? {} : { sum: sum<Payment>(({ amount }) => amount) }) })
  .named('hourly')
  .to(table<{ payer: string; start: Date; n: number }>('sums'), ({ key, window, n }) => ({
    payer: key,
    start: window.start,
    n,
  }))
