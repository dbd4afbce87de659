/** The plan under test: every kind of outcome, an append table and totals, keys, and a step that calls outside. */
import { setImmediate as turn } from 'node:timers/promises'
import { json, signal, stream, table, topic } from 'millrace'
import type { Entry } from './records.ts'

interface Row {
  readonly id: number
  readonly part: number
  readonly pos: number
  readonly key: string
  readonly amount: number
  readonly writer: number
}

const ledger = table<Row>('ledger')
const totals = table<{ part: number; account: number; entries: number; amount: number }>('totals', {
  key: ['part', 'account'],
  onConflict: { entries: 'add', amount: 'add' },
})

export default stream('faults')
  .from(topic(process.env.FAULTS_TOPIC ?? 'faults', json<Entry>()))
  .filter(({ fate }) => fate !== 'filtered')
  .mapAsync(async (entry) => {
    await turn()
    return entry
  })
  .to(ledger, ({ id, amount }, ctx) => ({
    id,
    part: ctx.record.partition,
    pos: ctx.record.offset,
    key: ctx.record.key?.toString() ?? '',
    amount,
    writer: process.pid,
  }))
  .to(totals, ({ id, amount }, ctx) => ({ part: ctx.record.partition, account: id % 8, entries: 1, amount }))
  // Behind the tables, so that what they were given has to be undone.
  .tap(({ fate }) => {
    if (fate === 'ignored') signal.ignore('made to be ignored')
    if (fate === 'thrown') throw new Error('made to be thrown')
  })
