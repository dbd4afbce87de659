/** Runs in pairs and what is made of them. */
import type { ChildReport } from './child.ts'

/** One run of each side, close in time, so that what else the machine does weighs on both. */
export interface Pair<Report = ChildReport> {
  readonly millrace: Report
  readonly baseline: Report
}

/** Runs `count` pairs; who goes first alternates. */
export async function runPairs<Report>(
  count: number,
  runMillrace: () => Promise<Report>,
  runBaseline: () => Promise<Report>,
): Promise<Pair<Report>[]> {
  const pairs: Pair<Report>[] = []
  for (let index = 0; index < count; index++) {
    if (index % 2 === 0) {
      const millrace = await runMillrace()
      pairs.push({ millrace, baseline: await runBaseline() })
    } else {
      const baseline = await runBaseline()
      pairs.push({ millrace: await runMillrace(), baseline })
    }
  }
  return pairs
}

/** What `--json` prints for a workload; some add fields of their own. */
export interface ResultLine {
  readonly workload: string
  /** What it is compared with, if not with the same work written by hand. */
  readonly baseline?: string
  readonly millrace_per_s: number
  readonly baseline_per_s: number
  /** The median of the pairs' ratios, not the ratio of the medians. */
  readonly ratio: number
  /** Peak resident memory of millrace's process, in MB of 10^6 bytes. */
  readonly rss_mb: number
  readonly baseline_rss_mb: number
}

export function resultLine(workload: string, pairs: readonly Pair[]): ResultLine {
  return {
    workload,
    millrace_per_s: Math.round(median(pairs.map(({ millrace }) => rateOf(millrace)))),
    baseline_per_s: Math.round(median(pairs.map(({ baseline }) => rateOf(baseline)))),
    ratio: rounded(median(pairs.map(({ millrace, baseline }) => rateOf(millrace) / rateOf(baseline))), 2),
    rss_mb: Math.round(median(pairs.map(({ millrace }) => millrace.rssMb))),
    baseline_rss_mb: Math.round(median(pairs.map(({ baseline }) => baseline.rssMb))),
  }
}

function rateOf({ records, seconds }: Pick<ChildReport, 'records' | 'seconds'>): number {
  return records / seconds
}

/** The middle value, or the mean of the two middle ones. */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b)
  const upper = sorted[Math.floor(sorted.length / 2)] ?? Number.NaN
  const lower = sorted[Math.floor((sorted.length - 1) / 2)] ?? Number.NaN
  return (upper + lower) / 2
}

/** The value below which `share` of the values lie: 0.99 for p99. */
export function quantile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? Number.NaN
}

export function rounded(value: number, digits: number): number {
  return Number(value.toFixed(digits))
}
