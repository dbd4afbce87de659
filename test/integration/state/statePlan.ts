/** Hourly counts of payments by payer, for tests that look at what is kept. */
import { count, json, stream, sum, table, topic, tumbling } from '../../../src/index.ts'

interface Payment {
  readonly payer: string
  readonly amount: number
  readonly at: number
}

const { PAYMENTS_TOPIC = 'payments', SHAPE } = process.env

export default stream('payments')
  .from(topic(PAYMENTS_TOPIC, json<Payment>()))
  .keyBy(({ payer }) => payer, { sameKey: true })
  .window(tumbling({ seconds: 10 }), { time: ({ at }) => at, grace: { seconds: 2 } })
  .aggregate({ n: count(), ...(SHAPE === undefined ? {} : { sum: sum<Payment>(({ amount }) => amount) }) })
  .named('hourly')
  .to(table<{ payer: string; start: Date; n: number }>('sums'), ({ key, window, n }) => ({
    payer: key,
    start: window.start,
    n,
  }))
