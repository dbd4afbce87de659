/** What the tables of the simulated plan have to hold: worked out by code that knows nothing of millrace. */
import type { Values } from './modelTable.ts'
import type { Order } from './orders.ts'

/** A record where it lies. */
export interface Placed {
  readonly partition: number
  readonly offset: number
  readonly order: Order
}

type Table = 'ledger' | 'totals' | 'parents' | 'children' | 'grouped' | 'counted' | 'audited' | 'followed'

/**
 * @param done orders that stand, in the order in which they were committed
 * @param ran orders that were run, whatever became of them
 */
export function expectedRows(
  done: readonly Placed[],
  ran: readonly Placed[],
): Readonly<Record<Table, readonly Values[]>> {
  const accounts = new Set<string>()
  const sums = new Map<string, number[]>()
  const rows: Values[] = []
  const childRows: Values[] = []
  const followedRows: Values[] = []
  const counts = new Map<string, number>()
  const countedRows: Values[] = []
  for (const { partition, offset, order } of done) {
    const { id, key, deed } = order
    const row = {
      id: String(id),
      part: String(partition),
      pos: String(offset),
      acct: key,
      amount: String(id),
      mark: deed === 'unique' ? key : null,
    }
    const times = deed === 'doubles' ? 2 : 1
    for (let time = 0; time < times; time++) {
      rows.push(row)
      sums.set(key, [...(sums.get(key) ?? []), id])
    }
    if (deed !== 'doubles') followedRows.push({ id: String(id) })
    counts.set(key, (counts.get(key) ?? 0) + 1)
    countedRows.push({ id: String(id), acct: key, nth: String(counts.get(key)) })
    if (deed === 'parent') accounts.add(key)
    if (deed === 'child') childRows.push({ id: String(id), parent: key })
  }
  return {
    ledger: rows,
    totals: Array.from(sums, ([acct, ids]) => ({
      acct,
      n: String(ids.length),
      low: String(Math.min(...ids)),
      high: String(Math.max(...ids)),
    })),
    parents: Array.from(accounts, (acct) => ({ acct })),
    children: childRows,
    grouped: done.map(({ order: { id } }) => ({ id: String(id), amount: String(id) })),
    counted: countedRows,
    // Every order that was run, whatever became of it in the stream that depends on this one.
    audited: ran.map(({ order }) => ({ id: String(order.id) })),
    followed: followedRows,
  }
}
