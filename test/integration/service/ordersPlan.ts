/** Two tables, one of which points at the other; what a test needs otherwise it says in the environment. */
import { json, signal, stream, table, topic } from 'millrace'

interface Order {
  readonly id: number
  readonly customer: string
}

const { ORDERS_TOPIC = 'orders', ORDERS_EXTRA, ORDERS_BREAK_AT, ORDERS_SLOW_MS } = process.env

const customers = table<{ name: string }>('customers', { key: 'name', onConflict: 'nothing' })
const orders = table<Record<string, unknown>>('orders')

const read = stream('orders').from(topic(ORDERS_TOPIC, json<Order>()))
const slow =
  ORDERS_SLOW_MS === undefined
    ? read
    : read.mapAsync(
        async (order, { abortSignal, log }) => {
          log.info({}, 'calling')
          await new Promise((resolve) => {
            setTimeout(resolve, Number(ORDERS_SLOW_MS))
            abortSignal.addEventListener('abort', resolve)
          })
          return order
        },
        { concurrency: 1, order: 'none' },
      )

export default slow
  .tap(({ id }) => {
    if (String(id) === ORDERS_BREAK_AT) signal.break('no more today')
  })
  // The row that points comes first, so that only the order of the commit can put it right.
  .to(orders, ({ id, customer }, ctx) => ({
    id,
    customer,
    part: ctx.record.partition,
    ...(ORDERS_EXTRA === undefined ? {} : { [ORDERS_EXTRA]: 'x' }),
  }))
  .to(customers, ({ customer }) => ({ name: customer }))
