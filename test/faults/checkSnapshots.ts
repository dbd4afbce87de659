/** What a reader saw while everything ran: rows, totals, collected items and progress agree at every instant. */
import { collectedFates, type Evidence, type Finding, hasAudit, type SourceRecord } from './evidence.ts'

/** What has to be there when a partition stands at an offset. */
interface Prefix {
  readonly offset: number
  readonly rows: number
  readonly amount: number
  readonly collected: number
  readonly audits: number
}

export function* checkSnapshots({ records, snapshots }: Evidence): Generator<Finding> {
  const prefixes = prefixesOf(records)
  const last = new Map<number, number>()
  for (const { partition, next, rows, highest, entries, amount, collected, audits, receipts } of snapshots) {
    const at = `a reader saw partition ${partition} at ${next}`
    if (next < (last.get(partition) ?? 0)) yield { law: 'progress', text: `${at}, after ${last.get(partition)}` }
    last.set(partition, next)
    if (highest >= next) yield { law: 'snapshot', text: `${at} and a row of offset ${highest}` }
    const due = prefixBefore(prefixes.get(partition) ?? [], next)
    for (const [what, is, should] of [
      ['rows', rows, due.rows],
      ['entries', entries, due.rows],
      ['amount', amount, due.amount],
      ['collected items', collected, due.collected],
      ['audits', audits, due.audits],
      ['receipts', receipts, due.rows],
    ] as const) {
      if (is !== should) yield { law: 'snapshot', text: `${at} with ${is} ${what} for ${should}` }
    }
  }
}

/** Per partition, what is due behind each record, in offset order. */
function prefixesOf(records: readonly SourceRecord[]): Map<number, Prefix[]> {
  const prefixes = new Map<number, Prefix[]>()
  for (const { partition, offset, id, fate, amount } of [...records].sort((a, b) => a.offset - b.offset)) {
    const known = prefixes.get(partition) ?? []
    const before = known.at(-1) ?? nothing
    known.push({
      offset,
      rows: before.rows + (fate === 'good' ? 1 : 0),
      amount: before.amount + (fate === 'good' ? amount : 0),
      collected: before.collected + (collectedFates.has(fate) ? 1 : 0),
      audits: before.audits + (hasAudit({ fate, id }) ? 1 : 0),
    })
    prefixes.set(partition, known)
  }
  return prefixes
}

const nothing: Prefix = { offset: -1, rows: 0, amount: 0, collected: 0, audits: 0 }

/** What is due when everything before an offset is committed. */
function prefixBefore(prefixes: readonly Prefix[], next: number): Prefix {
  let [low, high] = [0, prefixes.length]
  while (low < high) {
    const middle = (low + high) >> 1
    if ((prefixes[middle] as Prefix).offset < next) low = middle + 1
    else high = middle
  }
  return prefixes[low - 1] ?? nothing
}
