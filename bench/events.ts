/** The records that every workload reads: made, not random, so that what must come out is known without running anything. */

export interface BenchEvent {
  readonly id: number
  readonly account: string
  readonly kind: 'purchase' | 'refund' | 'ping'
  readonly amount: number
  readonly country: string
  readonly at: string
  readonly page: string
  readonly session: string
}

const countries = ['NL', 'DE', 'FR', 'US', 'JP', 'BR', 'IN']
const firstAt = Date.UTC(2026, 0, 1)

/** The event of that number. One in ten is a ping, which the workloads drop. */
export function benchEvent(id: number): BenchEvent {
  return {
    id,
    account: `account-${String((id * 7_919) % 100_000).padStart(6, '0')}`,
    kind: isPing(id) ? 'ping' : id % 10 === 5 ? 'refund' : 'purchase',
    amount: ((id * 31) % 1_000_000) / 100,
    country: countries[id % countries.length] ?? 'NL',
    at: new Date(firstAt + id * 10).toISOString(),
    page: `/shop/products/${1_000_000 + ((id * 104_729) % 900_000)}/details`,
    session: ((id * 2_654_435_761) % 2 ** 48).toString(16).padStart(12, '0'),
  }
}

/** Whether the workloads drop the event: one in ten. */
export function isPing(id: number): boolean {
  return id % 10 === 3
}

/** Whether the workload W1-ignore undoes the event after it wrote: one in a hundred, never a ping. */
export function isIgnored(id: number): boolean {
  return id % 100 === 7
}

/** What the table must hold after a run over the events 0 to `records` - 1. */
export interface Expected {
  readonly rows: number
  readonly ids: number
  readonly cents: number
}

export function expectedRows(records: number, ignoring: boolean): Expected {
  let [rows, ids, cents] = [0, 0, 0]
  for (let id = 0; id < records; id++) {
    if (isPing(id) || (ignoring && isIgnored(id))) continue
    rows++
    ids += id
    cents += Math.round(benchEvent(id).amount * 100)
  }
  return { rows, ids, cents }
}
