/**
 * The plan under test: every kind of outcome, an append table and totals, keys, steps that call outside, and a pipe with a stream that it
 * depends on and one that it triggers.
 */
import { setImmediate as turn } from 'node:timers/promises'
import { json, type Stream, segment, signal, slot, stream, table, topic } from 'millrace'
import { type Entry, isAudited } from './records.ts'

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

interface Place {
  readonly part: number
  readonly pos: number
}

const audits = table<Place>('audits')
const receipts = table<Place & { readonly nth: number }>('receipts')
const given = slot('given', () => 0)

/** Of all that come, also of those that fall later: what a stream does that another one depends on stays. */
const audit = segment('audit', (entries: Stream<Entry>) =>
  entries
    .to(audits, (_, ctx) => ({ part: ctx.record.partition, pos: ctx.record.offset }))
    .tap(({ id }) => {
      if (!isAudited(id)) signal.ignore('not audited')
    }),
)

/** Of those that stand, and how many of its batch were given before it. */
const receipt = segment('receipt', (entries: Stream<Entry>) =>
  entries.to(receipts, (_, ctx) => ({
    part: ctx.record.partition,
    pos: ctx.record.offset,
    nth: ctx.scope.context.get(given),
  })),
)

export default stream('faults')
  .from(topic(process.env.FAULTS_TOPIC ?? 'faults', json<Entry>()))
  .filter(({ fate }) => fate !== 'filtered')
  .mapAsync(async (entry) => {
    await turn()
    return entry
  })
  .dependsOn(audit)
  .process({
    prepare: (entries) => entries.filter(({ id }) => Number.isInteger(id)),
    async process(entry, ctx) {
      const { id, amount, fate } = entry
      const { partition: part, offset: pos, key } = ctx.record
      ctx.write(ledger, { id, part, pos, key: key?.toString() ?? '', amount, writer: process.pid })
      ctx.scope.context.update(given, (count) => count + 1)
      const account = await ctx.call('account', [id], async () => turn(id % 8))
      ctx.write(totals, { part, account, entries: 1, amount })
      // Behind the tables, so that what they were given has to be undone.
      if (fate === 'ignored') signal.ignore('made to be ignored')
      if (fate === 'thrown') throw new Error('made to be thrown')
      return entry
    },
  })
  .triggers(receipt)
