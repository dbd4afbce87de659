/** What the checker is given: the records, the tables, and what was seen and said on the way. */
import { type Fate, isAudited } from './records.ts'

export interface SourceRecord {
  readonly partition: number
  readonly offset: number
  readonly key: string
  readonly id: number
  readonly fate: Fate
  readonly amount: number
}

export interface LedgerRow {
  /** In the order of writing. */
  readonly seq: number
  readonly id: number
  readonly part: number
  readonly pos: number
  readonly key: string
  readonly amount: number
}

/** A row of a stream that the pipe depends on, or that it triggers: of which record it is. */
export interface SideRow {
  readonly part: number
  readonly pos: number
}

export interface TotalRow {
  readonly part: number
  readonly account: number
  readonly entries: number
  readonly amount: number
}

/** One change of a progress row, written down by the database. */
export interface Move {
  readonly seq: number
  readonly partition: number
  readonly owner: string
  readonly version: number
  readonly next: number
}

/** A partition in one snapshot of the database. */
export interface Snapshot {
  readonly partition: number
  readonly next: number
  readonly rows: number
  /** Highest offset among the rows; -1 when there are none. */
  readonly highest: number
  readonly entries: number
  readonly amount: number
  readonly collected: number
  readonly audits: number
  readonly receipts: number
}

/** A batch as the service that committed it told of it. */
export interface ReportedBatch {
  readonly partition: number
  readonly nextOffset: number
  readonly items: number
  readonly outcomes: Readonly<Record<string, number>>
}

export interface Evidence {
  readonly records: readonly SourceRecord[]
  readonly rows: readonly LedgerRow[]
  readonly totals: readonly TotalRow[]
  readonly audits: readonly SideRow[]
  readonly receipts: readonly SideRow[]
  readonly collected: readonly { readonly partition: number; readonly offset: number }[]
  /** Next offsets by partition. */
  readonly progress: ReadonlyMap<number, number>
  /** Ends of the logs by partition. */
  readonly ends: ReadonlyMap<number, number>
  readonly moves: readonly Move[]
  /** In the order in which they were taken. */
  readonly snapshots: readonly Snapshot[]
  readonly batches: readonly ReportedBatch[]
  /** What went wrong with processes: exit codes, error names, what they held on to. */
  readonly complaints: readonly string[]
}

export type Law =
  | 'lost'
  | 'doubled'
  | 'invented'
  | 'changed'
  | 'trace'
  | 'order'
  | 'totals'
  | 'collected'
  | 'progress'
  | 'moves'
  | 'stale'
  | 'snapshot'
  | 'outcomes'
  | 'process'

export interface Finding {
  readonly law: Law
  readonly text: string
}

/** Fates of records that come as far as the pipe. */
const pipedFates: ReadonlySet<Fate> = new Set<Fate>(['good', 'ignored', 'thrown', 'refused'])

/** Whether the stream that the pipe depends on has a row of a record: also when the record falls in the pipe. */
export function hasAudit({ fate, id }: Pick<SourceRecord, 'fate' | 'id'>): boolean {
  return pipedFates.has(fate) && isAudited(id)
}

/** Fates that end in the collector. */
export const collectedFates: ReadonlySet<Fate> = new Set<Fate>(['malformed', 'thrown', 'refused'])

export function place(partition: number, offset: number): string {
  return `${partition}@${offset}`
}
