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

/** Where events come from. */
export const countries = ['NL', 'DE', 'FR', 'US', 'JP', 'BR', 'IN']
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

/** Whether the workload signals undoes the event: one in ten, never a ping. */
export function isSignalled(id: number): boolean {
  return id % 10 === 7
}

/** Every so manieth event makes a row that its table refuses. */
const poisonEvery = 5_000

/** Whether the workload poison makes a row of the event that its table refuses: never a ping, and as many in each partition. */
export function isPoison(id: number): boolean {
  return id % poisonEvery === 1_234 + (Math.floor(id / poisonEvery) % 4)
}

/** The event whose key a poisoned one repeats, where the table's key is to refuse it. */
export function repeatedBy(id: number): number {
  return id - 8
}

/** What the table must hold after a run over the events 0 to `records` - 1. */
export interface Expected {
  readonly rows: number
  readonly ids: number
  readonly cents: number
}

/** @param isUndone tells of events beside pings that leave no row */
export function expectedRows(records: number, isUndone: (id: number) => boolean = () => false): Expected {
  let [rows, ids, cents] = [0, 0, 0]
  for (let id = 0; id < records; id++) {
    if (isPing(id) || isUndone(id)) continue
    rows++
    ids += id
    cents += Math.round(benchEvent(id).amount * 100)
  }
  return { rows, ids, cents }
}
