/** What the demo prints at its end. */
import Table from 'cli-table3'
import { grouped } from './progress.ts'
import type { Queryable } from './recount.ts'
import type { Verification } from './verify.ts'

/** What a run came to, for people and for `--json`. */
export interface DemoResult {
  /** Records in the topic, the broken ones included. */
  readonly records: number
  /** Records a second, from the first batch that was begun to the last one that was committed. */
  readonly recordsPerSecond: number
  readonly verification: Verification
}

/** Without colours, and without lines between rows. */
const plain = {
  style: { head: [], border: [] },
  chars: { mid: '', 'left-mid': '', 'mid-mid': '', 'right-mid': '' },
}

/** Airports with fewer flights are left out: one late flight would put them first. */
const fewestFlights = 100

/** The ten airports of departure with the worst mean delay. */
export async function worstAirports(database: Queryable): Promise<string> {
  const { rows } = await database.query(`
    select origin, city, flights, round(delay_minutes / flights::numeric, 1) as mean_delay from airport_totals
    where flights >= ${fewestFlights} order by mean_delay desc, origin limit 10`)
  const table = new Table({
    head: ['airport', 'city', 'flights', 'mean delay (min)'],
    colAligns: ['left', 'left', 'right', 'right'],
    ...plain,
  })
  for (const row of rows) {
    table.push([String(row.origin), String(row.city), grouped(Number(row.flights)), String(row.mean_delay)])
  }
  return table.toString()
}

/** What the other columns of the collector's table take, in characters. */
const otherWidth = 84
const mostComplaints = 20

/** What is in the error collector and why. */
export function collectedTable({ collected }: Verification): string {
  const reasonWidth = Math.max(32, (process.stdout.columns ?? 120) - otherWidth)
  const table = new Table({
    head: ['record', 'what it is', 'step', 'code', 'why'],
    colWidths: [null, null, null, null, reasonWidth],
    wordWrap: true,
    ...plain,
  })
  for (const { place, name, step, code, reason } of collected) {
    const [what = ''] = reason.split('\n')
    table.push([place, name, step, code ?? '', what.replace(/^millrace: /, '')])
  }
  return table.toString()
}

/** The figures and whether they are right, in sentences. */
export function verdict({ records, recordsPerSecond, verification }: DemoResult): string {
  const { rows, ignored, collected, complaints } = verification
  const figures =
    `${grouped(records)} records, ${grouped(rows)} rows, ${ignored} ignored (unknown airports), ` +
    `${collected.length} collected, ${grouped(Math.round(recordsPerSecond))} records/s.`
  if (complaints.length === 0) return `${figures}\nVerified: the tables hold what the recount says, every row once.`
  const shown = complaints.slice(0, mostComplaints).map((complaint) => `  ${complaint}`)
  if (complaints.length > shown.length) shown.push(`  and ${complaints.length - shown.length} more`)
  return `${figures}\nNOT verified:\n${shown.join('\n')}`
}

/** The one line of `--json`. */
export function jsonLine({ records, recordsPerSecond, verification }: DemoResult): string {
  return JSON.stringify({
    records,
    rows: verification.rows,
    ignored: verification.ignored,
    collected: verification.collected.length,
    records_per_s: Math.round(recordsPerSecond),
    verified: verification.complaints.length === 0,
  })
}
