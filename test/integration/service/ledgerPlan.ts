/** The plan of the kill and zombie tests: every record makes a row that says where it came from and which process wrote it. */
import { json, stream, table, topic } from 'millrace'

interface Entry {
  readonly id: number
  readonly account: string
  readonly amount: number
}

const ledger = table<{ id: number; part: number; pos: number; writer: number }>('ledger')
const accounts = table<{ account: string; entries: number; amount: number }>('accounts', {
  key: 'account',
  onConflict: { entries: 'add', amount: 'add' },
})

export default stream('ledger')
  .from(topic(process.env.LEDGER_TOPIC ?? 'ledger', json<Entry>()))
  .to(ledger, (entry, ctx) => ({
    id: entry.id,
    part: ctx.record.partition,
    pos: ctx.record.offset,
    writer: process.pid,
  }))
  .to(accounts, (entry) => ({ account: entry.account, entries: 1, amount: entry.amount }))
