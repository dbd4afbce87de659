/** Whether the demo came out as it must: the tables against the recount, the broken records against their fates. */
import type { Fate } from './broken.ts'
import type { PlacedRecord } from './records.ts'
import { differences, type Queryable, type Recount, recountTables } from './recount.ts'

/** A record as the error collector keeps it, with the broken record that it is, if it is one. */
export interface CollectedRecord {
  readonly place: string
  readonly step: string
  /** The error's code: one of millrace's own, or an SQLSTATE. */
  readonly code: string | undefined
  readonly reason: string
  readonly value: Buffer | null
}

export interface Verification {
  /** Rows in the table `flights`. */
  readonly rows: number
  readonly ignored: number
  readonly collected: readonly (CollectedRecord & { readonly name: string })[]
  /** What is not as it must be, a sentence each. Empty: verified. */
  readonly complaints: readonly string[]
}

/** What a consumer service says about the items that it took. */
export type OutcomeCounts = Readonly<Record<'done' | 'filtered' | 'ignored' | 'collected', number>>

export interface VerifyInput {
  readonly database: Queryable
  /** The consumer group, under which the collector keeps items. */
  readonly group: string
  readonly expected: Recount
  readonly broken: readonly PlacedRecord[]
  readonly outcomes: OutcomeCounts
}

export async function verify(input: VerifyInput): Promise<Verification> {
  const { database, group, expected, broken, outcomes } = input
  const found = await recountTables(database)
  const collected = await readCollected(database, group)
  return {
    rows: found.rows,
    ignored: outcomes.ignored,
    collected: collected.map((record) => ({ ...record, name: nameOf(record, broken) })),
    complaints: [
      ...differences(expected, found),
      ...fateComplaints(broken, collected),
      ...outcomeComplaints(expected, broken, outcomes),
    ],
  }
}

async function readCollected(database: Queryable, group: string): Promise<CollectedRecord[]> {
  const { rows } = await database.query(
    `select topic, partition, record_offset, step, error_code, error_message, value from millrace.errors
     where app = '${group.replaceAll("'", "''")}' order by partition, record_offset`,
  )
  return rows.map((row) => ({
    place: `${row.topic}[${row.partition}]@${row.record_offset}`,
    step: String(row.step),
    code: row.error_code === null ? undefined : String(row.error_code),
    reason: String(row.error_message),
    value: Buffer.isBuffer(row.value) ? row.value : null,
  }))
}

function nameOf(record: CollectedRecord, broken: readonly PlacedRecord[]): string {
  return broken.find((placed) => sameBytes(placed.value, record.value))?.name ?? 'a good record'
}

/** Each record that must be collected is there once, by its bytes, and nothing else is. */
export function fateComplaints(broken: readonly PlacedRecord[], collected: readonly CollectedRecord[]): string[] {
  const complaints: string[] = []
  for (const { name, fate, code, value } of broken) {
    const found = collected.filter((record) => sameBytes(record.value, value))
    const should = fate === 'collected' ? 1 : 0
    if (found.length !== should) {
      complaints.push(`"${name}" is ${found.length} times in the error collector and should be ${should} times`)
    }
    for (const record of found) {
      if (record.code !== code) complaints.push(`"${name}" was collected for ${record.code} and should be for ${code}`)
    }
  }
  for (const record of collected) {
    if (!broken.some((placed) => sameBytes(placed.value, record.value))) {
      complaints.push(`${record.place} is in the error collector and was a good record: ${record.reason}`)
    }
  }
  return complaints
}

function sameBytes(one: Buffer | null, other: Buffer | null): boolean {
  return one !== null && other !== null && one.equals(other)
}

/** The service's own counts are those of the recount: nothing went missing between the outcomes. */
export function outcomeComplaints(
  expected: Pick<Recount, 'rows' | 'shortHops'>,
  broken: readonly { readonly fate: Fate }[],
  outcomes: OutcomeCounts,
): string[] {
  const of = (fate: Fate) => broken.filter((record) => record.fate === fate).length
  const should: OutcomeCounts = {
    done: expected.rows,
    filtered: expected.shortHops + of('skipped'),
    ignored: of('ignored'),
    collected: of('collected'),
  }
  return Object.entries(should)
    .filter(([name, count]) => outcomes[name as keyof OutcomeCounts] !== count)
    .map(
      ([name, count]) =>
        `the service counted ${outcomes[name as keyof OutcomeCounts]} items as ${name} and should have counted ${count}`,
    )
}
