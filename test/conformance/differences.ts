/** Where millrace means to differ from datapipe, by scenario. docs/pipes.md has the same table for readers. */
import type { Scenario, ScenarioRun } from './datapipe.ts'

type Expected = ScenarioRun['expected'] & { readonly stopped?: boolean }

interface Difference {
  readonly why: string
  /** What is expected of each run instead. */
  readonly runs: readonly Partial<Expected>[]
}

const undone = 'an undone item takes back what it did to the context'
const refusedRow = 'the error says which table refused the row, and not only that one did'

const differences: Readonly<Record<string, Difference>> = {
  ignore_at_2_after_save: { why: undone, runs: [{ total: 4 }] },
  ignore_direct_save: { why: undone, runs: [{ total: 4 }] },
  break_at_2_after_save: { why: undone, runs: [{ total: 1 }] },
  value_error_at_2_after_save: { why: undone, runs: [{ total: 4 }] },
  context_not_rolled_back: { why: undone, runs: [{ total: 5 }] },
  save_failure_constraint: {
    why: `${undone}; ${refusedRow}`,
    runs: [
      {
        errors: ['main 3 RowsRefused'],
        calls: ['main.prepare[1, 2, 4]', 'main.process(1)', 'main.process(2)', 'main.process(4)', 'main.finish'],
      },
    ],
  },
  error_at_2_after_save: {
    why: 'signal.error undoes the whole batch and stops the stream, as the README of the original says and its code does not',
    runs: [
      {
        rows: [],
        errors: [],
        tracks: [],
        calls: ['main.prepare[1, 2, 3]', 'main.process(1)', 'main.process(2)'],
        stopped: true,
      },
    ],
  },
  depends_basic: {
    why: 'where an item has made no rows, nothing is kept of it',
    runs: [{ tracks: ['withdep 1: ResultItem 1', 'withdep 2: ResultItem 1'] }],
  },
  eval_single: {
    why: 'the original evaluates with a pipeline of another name',
    runs: [{ tracks: ['main 5: ResultItem 1'] }],
  },
}

/** What millrace is to do in each run of a scenario. */
export function expectedHere({ name, runs }: Scenario): readonly Expected[] {
  return runs.map(({ expected }, index) => ({ ...expected, ...differences[name]?.runs[index] }))
}
