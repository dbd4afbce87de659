import type { ResultLine } from './pairs.ts'
import type { Stage } from './stage.ts'

export interface BenchOptions {
  /** Records of each run. */
  readonly records: number
  /** Runs of each side. */
  readonly pairs: number
}

export interface Workload {
  readonly name: string
  /** What it is, for people. */
  readonly title: string
  measure(stage: Stage, options: BenchOptions): Promise<ResultLine>
}
