/** Runs over a store in memory. */
import { table } from '../../sinks/table.ts'
import { silentLogger } from '../../src/core/logger.ts'
import type { RunReport, RunSettings, StreamReport } from '../../src/service/run.ts'
import { runOver } from '../../src/service/run.ts'
import type { Plan } from '../../src/stream.ts'
import { MemoryStore } from '../../src/testing/memoryStore.ts'

export const out = table<{ n: number }>('out')
export const toRow = (n: number) => ({ n })

export interface Ran {
  readonly report: RunReport
  /** Of the plan's first stream. */
  readonly first: StreamReport
}

/** A store, and runs that write to it. */
export class Runs {
  readonly store = new MemoryStore()

  async run(plan: Plan, settings: Omit<RunSettings, 'postgres'> = {}): Promise<Ran> {
    const report = await runOver(plan, { logger: silentLogger, ...settings }, { store: this.store })
    return { report, first: report.streams[0] as StreamReport }
  }

  /** Values of the column `n`, in the order in which they were written. */
  get numbers(): unknown[] {
    return this.store.rows(out.name).map(({ n }) => n)
  }
}
