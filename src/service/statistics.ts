/** What a service has done, added up from its commits. */
import { MillraceError, messageOf } from '../core/errors.ts'
import { noOutcomes, type OutcomeCounts, outcomeNames } from '../core/outcome.ts'
import { RowsRefused } from '../core/store.ts'
import type { Batch } from '../runtime/batch.ts'
import type { CommitReport } from '../runtime/commitReport.ts'
import type { CollectedReason } from './app.ts'

/** Reasons are a user's texts and may hold values: beyond this many different ones they are counted together. */
const maxReasons = 1_000
const otherReasons = '(other reasons)'
const noReason = '(no reason)'

export interface Totals {
  readonly items: number
  readonly outcomes: OutcomeCounts
  readonly rows: number
  readonly bytes: number
  readonly commits: number
  readonly ignored: Readonly<Record<string, number>>
  readonly collected: Readonly<Record<string, CollectedReason>>
}

export class Statistics {
  #items = 0
  #rows = 0
  #bytes = 0
  #commits = 0
  readonly #outcomes = noOutcomes()
  readonly #ignored = new Map<string, number>()
  readonly #collected = new Map<string, { count: number; readonly first: string }>()

  add(report: CommitReport): void {
    this.#items += report.items
    this.#rows += report.rows
    this.#bytes += report.bytes
    this.#commits++
    for (const name of outcomeNames) this.#outcomes[name] += report.outcomes[name]
    for (const [reason, count] of report.ignored) this.#addReason(reason === '' ? noReason : reason, count)
  }

  /** Adds the reasons of the collected items of a batch, which its report does not have. */
  addCollected(batch: Batch): void {
    for (const { fall } of batch.fallen()) {
      if (fall.kind !== 'collected') continue
      const code = codeOf(fall.error)
      const name = this.#collected.has(code) || this.#collected.size < maxReasons ? code : otherReasons
      const known = this.#collected.get(name)
      if (known === undefined) this.#collected.set(name, { count: 1, first: messageOf(fall.error) })
      else known.count++
    }
  }

  totals(): Totals {
    return {
      items: this.#items,
      outcomes: { ...this.#outcomes },
      rows: this.#rows,
      bytes: this.#bytes,
      commits: this.#commits,
      ignored: Object.fromEntries(this.#ignored),
      collected: Object.fromEntries([...this.#collected].map(([code, reason]) => [code, { ...reason }])),
    }
  }

  #addReason(reason: string, count: number): void {
    const known = this.#ignored.has(reason) || this.#ignored.size < maxReasons
    const name = known ? reason : otherReasons
    this.#ignored.set(name, (this.#ignored.get(name) ?? 0) + count)
  }
}

function codeOf(error: unknown): string {
  if (error instanceof MillraceError) return error.code
  if (error instanceof RowsRefused) return error.sqlstate
  return error instanceof Error ? error.name : typeof error
}

/** Only the outcomes that occurred, for a line of log. */
export function occurred(outcomes: OutcomeCounts): Partial<OutcomeCounts> {
  return Object.fromEntries(Object.entries(outcomes).filter(([, count]) => count > 0))
}
