/**
 * Whether what was left behind keeps the guarantees. Knows the records, the tables and what was seen on the way, and
 * nothing of how the product works: it imports none of it.
 */
import { checkMoves, checkProgress } from './checkProgress.ts'
import { checkSnapshots } from './checkSnapshots.ts'
import {
  collectedFates,
  type Evidence,
  type Finding,
  hasAudit,
  type LedgerRow,
  place,
  type SideRow,
  type SourceRecord,
} from './evidence.ts'

/** What was found wrong. Nothing, when every guarantee was kept. */
export function check(evidence: Evidence): Finding[] {
  const records = new Map(evidence.records.map((record) => [place(record.partition, record.offset), record]))
  return [
    ...checkRows(evidence, records),
    ...checkOrder(evidence.rows),
    ...checkTotals(evidence),
    ...checkSide('audit', evidence, evidence.audits, hasAudit),
    ...checkSide('receipt', evidence, evidence.receipts, ({ fate }) => fate === 'good'),
    ...checkCollected(evidence, records),
    ...checkProgress(evidence),
    ...checkMoves(evidence),
    ...checkSnapshots(evidence),
    ...checkBatches(evidence),
    ...evidence.complaints.map((text): Finding => ({ law: 'process', text })),
  ]
}

/** Every good record is one row that says what the record says, and nothing else is a row. */
function* checkRows({ records, rows }: Evidence, known: ReadonlyMap<string, SourceRecord>): Generator<Finding> {
  const seen = new Map<string, LedgerRow>()
  for (const row of rows) {
    const at = place(row.part, row.pos)
    const record = known.get(at)
    if (seen.has(at)) yield { law: 'doubled', text: `${at} has more than one row` }
    seen.set(at, row)
    if (record === undefined) yield { law: 'invented', text: `a row says ${at}, where there is no record` }
    else if (record.fate !== 'good') yield { law: 'trace', text: `the ${record.fate} record ${at} has left a row` }
    else if (row.id !== record.id || row.key !== record.key || row.amount !== record.amount)
      yield { law: 'changed', text: `the row of ${at} is not that of its record, id ${row.id} for ${record.id}` }
  }
  for (const { partition, offset, fate } of records) {
    if (fate === 'good' && !seen.has(place(partition, offset)))
      yield { law: 'lost', text: `the record ${place(partition, offset)} has no row` }
  }
}

/** Rows of one key were written in the order of their records. */
function* checkOrder(rows: readonly LedgerRow[]): Generator<Finding> {
  const last = new Map<string, number>()
  for (const { part, key, pos } of [...rows].sort((a, b) => a.seq - b.seq)) {
    const name = `${part} ${key}`
    const before = last.get(name) ?? -1
    // The same position twice is a doubled row, which has a law of its own.
    if (pos < before)
      yield { law: 'order', text: `key ${key} of partition ${part}: offset ${pos} was written after ${before}` }
    last.set(name, Math.max(pos, before))
  }
}

/** The totals are the fold over all good records. */
function* checkTotals({ records, totals }: Evidence): Generator<Finding> {
  const expected = new Map<string, { entries: number; amount: number }>()
  for (const { partition, id, fate, amount } of records) {
    if (fate !== 'good') continue
    const name = `${partition} ${id % 8}`
    const sum = expected.get(name) ?? { entries: 0, amount: 0 }
    expected.set(name, { entries: sum.entries + 1, amount: sum.amount + amount })
  }
  const names = new Set([...expected.keys(), ...totals.map(({ part, account }) => `${part} ${account}`)])
  const found = new Map(totals.map((row) => [`${row.part} ${row.account}`, row]))
  for (const name of names) {
    const [is, should] = [found.get(name), expected.get(name)]
    if (is?.entries !== should?.entries || is?.amount !== should?.amount) {
      const shown = (sum: typeof should) => (sum === undefined ? 'nothing' : `${sum.entries} entries of ${sum.amount}`)
      yield { law: 'totals', text: `total of partition and account ${name}: ${shown(is)} for ${shown(should)}` }
    }
  }
}

/** A stream beside has one row for each record that it has to have one for, and no other. */
function* checkSide(
  name: string,
  { records }: Evidence,
  rows: readonly SideRow[],
  hasRow: (record: SourceRecord) => boolean,
): Generator<Finding> {
  const due = new Set(records.filter(hasRow).map(({ partition, offset }) => place(partition, offset)))
  const seen = new Set<string>()
  for (const { part, pos } of rows) {
    const at = place(part, pos)
    if (seen.has(at)) yield { law: 'doubled', text: `${at} has more than one ${name}` }
    else if (!due.has(at)) yield { law: 'trace', text: `${at} has left an ${name}` }
    seen.add(at)
  }
  for (const at of due) if (!seen.has(at)) yield { law: 'lost', text: `the record ${at} has no ${name}` }
}

/** What is in the collector is exactly what was made to fall, once. */
function* checkCollected(
  { records, collected }: Evidence,
  known: ReadonlyMap<string, SourceRecord>,
): Generator<Finding> {
  const seen = new Set<string>()
  for (const { partition, offset } of collected) {
    const at = place(partition, offset)
    const fate = known.get(at)?.fate
    if (seen.has(at)) yield { law: 'doubled', text: `${at} was collected more than once` }
    seen.add(at)
    if (fate === undefined || !collectedFates.has(fate))
      yield { law: 'collected', text: `${fate ?? 'no'} record ${at} was collected` }
  }
  for (const { partition, offset, fate } of records) {
    if (collectedFates.has(fate) && !seen.has(place(partition, offset)))
      yield { law: 'lost', text: `the ${fate} record ${place(partition, offset)} was not collected` }
  }
}

/** Items in = sum over outcomes, in every batch that was told of; and none was told of twice. */
function* checkBatches({ batches }: Evidence): Generator<Finding> {
  const told = new Set<string>()
  for (const { partition, nextOffset, items, outcomes } of batches) {
    const sum = Object.values(outcomes).reduce((total, count) => total + count, 0)
    const at = place(partition, nextOffset)
    if (sum !== items) yield { law: 'outcomes', text: `the batch before ${at} had ${items} items and ${sum} outcomes` }
    if (items > 0 && told.has(at)) yield { law: 'outcomes', text: `two batches that end before ${at} were reported` }
    told.add(at)
  }
}
