/** What a run came to, in one line of JSON and a table. */
import type { Law } from './evidence.ts'
import type { EpisodeResult } from './suite.ts'

export interface Summary {
  readonly seed: number
  readonly episodes: number
  readonly failed: number
  readonly kills: number
  readonly points: Readonly<Record<string, number>>
  readonly faults: Readonly<Record<string, number>>
  readonly records: number
  /** Snapshots that the reader took. */
  readonly looks: number
  /** Of all episodes, one after the other; less passes when several run at a time. */
  readonly seconds: number
  readonly lost: number
  readonly doubled: number
  readonly orderBreaks: number
  /** All other findings. */
  readonly others: number
  readonly skipped: readonly string[]
}

export function summarize(seed: number, results: readonly EpisodeResult[]): Summary {
  const findings = results.flatMap((result) => result.findings)
  const of = (law: Law) => findings.filter((finding) => finding.law === law).length
  const sum = (value: (result: EpisodeResult) => number) => results.reduce((total, result) => total + value(result), 0)
  const [lost, doubled, orderBreaks] = [of('lost'), of('doubled'), of('order')]
  return {
    seed,
    episodes: results.length,
    failed: results.filter((result) => result.findings.length > 0).length,
    kills: sum(({ kills }) => kills),
    points: addUp(results.map(({ points }) => points)),
    faults: addUp(results.map(({ faults }) => faults)),
    records: sum(({ records }) => records),
    looks: sum(({ looks }) => looks),
    seconds: Math.round(sum(({ ms }) => ms) / 1_000),
    lost,
    doubled,
    orderBreaks,
    others: findings.length - lost - doubled - orderBreaks,
    skipped: [...new Set(results.flatMap(({ skipped }) => skipped))],
  }
}

export function tableOf({ points, faults, ...rest }: Summary): string {
  const rows = [
    ...Object.entries(faults).map(([name, count]) => [`fault: ${name}`, count] as const),
    ...Object.entries(points).map(([name, count]) => [`point: ${name}`, count] as const),
    ...Object.entries(rest).map(([name, value]) => [name, Array.isArray(value) ? value.join('; ') : value] as const),
  ]
  return rows.map(([name, value]) => `${name.padEnd(36)} ${String(value).padStart(10)}`).join('\n')
}

function addUp(counts: readonly Readonly<Record<string, number>>[]): Record<string, number> {
  const sum: Record<string, number> = {}
  for (const count of counts) for (const [name, value] of Object.entries(count)) sum[name] = (sum[name] ?? 0) + value
  return sum
}
