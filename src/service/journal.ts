/** What a service writes to its log: each commit, each 10 s, and the first few of the items that were undone. */
import { messageOf } from '../core/errors.ts'
import type { Logger } from '../core/logger.ts'
import type { Batch } from '../runtime/batch.ts'
import type { CommitReport } from '../runtime/commitReport.ts'
import type { Fall } from '../runtime/fall.ts'
import { occurred, Statistics, type Totals } from './statistics.ts'

/** How often there is a summary. */
export const summaryEveryMs = 10_000

/** Undone items that are told of one by one between two summaries; the others are in its counts, and in the collector. */
const toldEach = 5

export class Journal {
  readonly #log: Logger
  #sinceSummary = new Statistics()
  #summarisedAt: number
  #told = 0

  constructor(log: Logger, now: number) {
    this.#log = log
    this.#summarisedAt = now
  }

  commit(report: CommitReport): void {
    this.#sinceSummary.add(report)
    const { outcomes, ignored: _ignored, inputs, ...rest } = report
    const [only, ...others] = inputs
    // Of one input as plain fields, which are easier to search for.
    const positions = others.length > 0 ? { inputs } : only
    this.#log.debug({ ...rest, ...positions, outcomes: occurred(outcomes) }, 'committed')
  }

  /** Tells of the first few items that fell. */
  falls(batch: Batch): void {
    for (const { item, stream, fall } of batch.fallen()) {
      if (this.#told >= toldEach) return
      this.#told++
      this.#fell(batch, item, fall, stream)
    }
  }

  /** A line about what was done since the last one; none when nothing was done and nothing is left to do. */
  summary(now: number, lag: number): void {
    const { items, rows, commits, outcomes, ignored } = this.#sinceSummary.totals()
    const seconds = (now - this.#summarisedAt) / 1_000
    this.#sinceSummary = new Statistics()
    this.#summarisedAt = now
    this.#told = 0
    if (items === 0 && lag === 0) return
    const itemsPerSecond = seconds === 0 ? 0 : Math.round(items / seconds)
    this.#log.info(
      { items, itemsPerSecond, rows, commits, outcomes: occurred(outcomes), ...reasonsOf('ignored', ignored), lag },
      'summary',
    )
  }

  /** The last line: everything since the start. */
  stopped(totals: Totals): void {
    const { outcomes, ignored, collected, ...rest } = totals
    const codes = Object.fromEntries(Object.entries(collected).map(([code, { count }]) => [code, count]))
    const reasons = { ...reasonsOf('ignored', ignored), ...reasonsOf('collected', codes) }
    this.#log.info({ ...rest, outcomes: occurred(outcomes), ...reasons }, 'stopped')
  }

  #fell(batch: Batch, item: number, fall: Fall, stream: string): void {
    const { records, index } = batch.locate(item)
    const place = { stream, topic: records.topic, partition: records.partition, offset: records.offset(index) }
    if (fall.kind === 'ignored') this.#log.warn({ ...place, reason: fall.reason }, 'item ignored')
    else if (fall.kind === 'parked') this.#log.warn(place, 'item waits behind an earlier one of its key')
    else if (fall.kind === 'deferred') this.#log.warn({ ...place, retryInMs: fall.retryInMs }, 'item put off')
    else this.#log.warn({ ...place, step: fall.step, error: messageOf(fall.error) }, 'item collected')
  }
}

/** The most frequent reasons, for a line of log. */
function reasonsOf(name: string, counts: Readonly<Record<string, number>>): Readonly<Record<string, unknown>> {
  const most = Object.entries(counts).sort(([, a], [, b]) => b - a)
  return most.length === 0 ? {} : { [name]: Object.fromEntries(most.slice(0, 10)) }
}
