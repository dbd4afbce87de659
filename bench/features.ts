/**
 * What a feature costs: millrace against itself, with the feature and on the same stream without it. Each runs in a process of
 * its own, in pairs, like the others.
 */
import { isPoison, isSignalled } from './events.ts'
import { median, type Pair, type ResultLine, resultLine, rounded, runPairs } from './pairs.ts'
import { assertRows, type BenchTable, type Stage } from './stage.ts'
import type { BenchOptions, Workload } from './workload.ts'

interface Feature {
  /** The plan of that name has the feature; that of the name with `-without` behind it does not. */
  readonly name: string
  readonly title: string
  /** What the plan without it is. */
  readonly baseline: string
  readonly tables: readonly BenchTable[]
  /** Those of the plan without it, where they are others. */
  readonly tablesWithout?: readonly BenchTable[]
  /** Events that leave no row: on both sides, or with the feature only. */
  readonly undone?: { readonly is: (id: number) => boolean; readonly on: 'both' | 'with' }
  /** Whether those that leave no row are collected, because Postgres refuses it. */
  readonly isPoisoned?: boolean
}

const poison = {
  baseline: 'the same stream without poison',
  undone: { is: isPoison, on: 'with' },
  isPoisoned: true,
} as const

export const features: readonly Workload[] = [
  {
    name: 'signals',
    title: 'two tables, 10% of the items ignored after they wrote to both',
    baseline: 'the same items filtered out before they write',
    tables: ['bench_events', 'bench_notes'] as const,
    undone: { is: isSignalled, on: 'both' } as const,
  },
  {
    ...poison,
    name: 'poison',
    title: 'one row in 5,000 items that a CHECK refuses',
    tables: ['bench_checked'] as const,
  },
  {
    ...poison,
    name: 'poison-unique',
    title: 'one row in 5,000 items that a unique key refuses',
    tables: ['bench_keyed'] as const,
  },
  {
    ...poison,
    name: 'poison-foreign',
    title: 'one row in 5,000 items that a foreign key refuses',
    tables: ['bench_tied'] as const,
  },
  {
    name: 'track',
    title: 'W1 into a table that remembers which item made each row',
    baseline: 'the same into a table that does not',
    tables: ['bench_tracked'] as const,
    tablesWithout: ['bench_events'] as const,
  },
  {
    name: 'track-add',
    title: 'sums for each of 100,000 accounts, and what each item gave to them',
    baseline: 'the sums alone',
    tables: ['bench_totals_tracked'] as const,
    tablesWithout: ['bench_totals'] as const,
  },
].map((feature: Feature) => ({
  name: feature.name,
  title: feature.title,
  measure: (stage, options) => measureFeature(stage, feature, options),
}))

async function measureFeature(stage: Stage, feature: Feature, options: BenchOptions): Promise<ResultLine> {
  const { name, baseline, isPoisoned } = feature
  const { records, pairs } = options
  const topic = await stage.filledTopic(records)
  const run = (workload: string, hasFeature: boolean) => async () => {
    const report = await stage.run({ side: 'millrace', workload, topic, records })
    const isUndone = hasFeature || feature.undone?.on === 'both' ? feature.undone?.is : undefined
    for (const table of hasFeature ? feature.tables : (feature.tablesWithout ?? feature.tables)) {
      await assertRows(stage, { table, records, isUndone }, workload)
    }
    await assertCollected(stage, isPoisoned && hasFeature ? poisoned(records) : 0, workload)
    return report
  }
  const measured = await runPairs(pairs, run(name, true), run(`${name}-without`, false))
  const line = Object.assign({ workload: name, baseline }, resultLine(name, measured))
  return isPoisoned ? Object.assign(line, statementsOf(measured, poisoned(records))) : line
}

function poisoned(records: number): number {
  let count = 0
  for (let id = 0; id < records; id++) if (isPoison(id)) count++
  return count
}

/** What is not in the table must be in the error collector. */
async function assertCollected(stage: Stage, expected: number, who: string): Promise<void> {
  const { rows } = await stage.database.query<{ count: number }>(
    "delete from millrace.errors where app like 'bench-%' returning 1",
  )
  if (rows.length !== expected) throw new Error(`${who}: ${rows.length} items were collected and ${expected} should be`)
}

/** Statements of both sides for a commit, and those that came on top for each poisoned row. */
function statementsOf(pairs: readonly Pair[], rows: number) {
  const perCommit = (side: 'millrace' | 'baseline') =>
    median(pairs.map((pair) => (pair[side].statements?.all ?? 0) / (pair[side].statements?.commits ?? 0)))
  const clean = perCommit('baseline')
  const more = median(
    pairs.map(({ millrace: { statements } }) => (statements?.all ?? 0) - clean * (statements?.commits ?? 0)),
  )
  return {
    poison_rows: rows,
    statements_per_poison_row: rounded(more / rows, 2),
    baseline_statements_per_commit: rounded(clean, 2),
  }
}
