/** What a service has done, added up from its commits. */
import { noOutcomes, type OutcomeCounts, outcomeNames } from '../core/outcome.ts'
import type { CommitReport } from '../runtime/task.ts'

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
}

export class Statistics {
  #items = 0
  #rows = 0
  #bytes = 0
  #commits = 0
  readonly #outcomes = noOutcomes()
  readonly #ignored = new Map<string, number>()

  add(report: CommitReport): void {
    this.#items += report.items
    this.#rows += report.rows
    this.#bytes += report.bytes
    this.#commits++
    for (const name of outcomeNames) this.#outcomes[name] += report.outcomes[name]
    for (const [reason, count] of report.ignored) this.#addReason(reason === '' ? noReason : reason, count)
  }

  totals(): Totals {
    return {
      items: this.#items,
      outcomes: { ...this.#outcomes },
      rows: this.#rows,
      bytes: this.#bytes,
      commits: this.#commits,
      ignored: Object.fromEntries(this.#ignored),
    }
  }

  #addReason(reason: string, count: number): void {
    const known = this.#ignored.has(reason) || this.#ignored.size < maxReasons
    const name = known ? reason : otherReasons
    this.#ignored.set(name, (this.#ignored.get(name) ?? 0) + count)
  }
}

/** Only the outcomes that occurred, for a line of log. */
export function occurred(outcomes: OutcomeCounts): Partial<OutcomeCounts> {
  return Object.fromEntries(Object.entries(outcomes).filter(([, count]) => count > 0))
}
