/** Payments and the refunds of their payers, joined within 5 s, beside the windows of the payments. */
import { json, stream, table, topic } from '../../../src/index.ts'
import statePlan, { type Payment, payments } from './statePlan.ts'

const { REFUNDS_TOPIC = 'refunds' } = process.env
const time = ({ at }: Payment) => at
const refunds = stream('payments').from(topic(REFUNDS_TOPIC, json<Payment>()), { time })

const pairs = payments
  .keyBy(({ payer }) => payer, { sameKey: true })
  .joinWithin(
    refunds.keyBy(({ payer }) => payer, { sameKey: true }),
    // What comes of one topic before the other has come is far ahead of it.
    { before: { seconds: 5 }, after: { seconds: 5 }, grace: { minutes: 5 }, join: 'left' },
    (payment, refund) => ({ payment: payment.id, refund: refund?.id ?? null }),
  )

export default [statePlan, pairs.to(table<{ payment: number; refund: number | null }>('pairs'))]
