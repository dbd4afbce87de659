/** The real runtime over a broker and a store in memory, until it has read what is there. */
import { setImmediate as nextTurn } from 'node:timers/promises'
import { silentLogger } from '../../src/core/logger.ts'
import { noOutcomes, outcomeNames } from '../../src/core/outcome.ts'
import type { SourceClient } from '../../src/core/source.ts'
import { Runner } from '../../src/runtime/runner.ts'
import { leavesOf, type Plan } from '../../src/stream.ts'
import { MemoryStore } from '../../src/testing/memoryStore.ts'
import { VirtualClock } from '../../src/testing/virtualClock.ts'

/** A minute of virtual time, beyond every retry: what is not done by then stalls. */
const patienceMs = 60_000

export async function startRunner(plan: Plan, { client, maxItems }: { client: SourceClient; maxItems: number }) {
  const store = new MemoryStore()
  const clock = new VirtualClock()
  const outcomes = noOutcomes()
  let items = 0
  const runner = new Runner({
    app: 'fuzz',
    leaves: leavesOf(plan),
    client,
    store,
    limits: { everyMs: 1_000, maxItems, maxBytes: 2 ** 26 },
    buffer: { maxBytes: 2 ** 28, maxItems: 1_000_000 },
    from: 'earliest',
    clock,
    log: silentLogger,
    onCommit: (report) => {
      items += report.items
      for (const name of outcomeNames) outcomes[name] += report.outcomes[name]
    },
  })
  await runner.start()
  return {
    store,
    outcomes,
    get items() {
      return items
    },
    /** @throws what stops the service, and when it stalls */
    async readUpTo(position: number): Promise<void> {
      let failure: { readonly error: unknown } | undefined
      void runner.failed().catch((error: unknown) => {
        failure = { error }
      })
      const isRead = () =>
        runner.tasks.some((task) => task.partitions.some(({ topic }) => (task.committedTo(topic) ?? 0) >= position))
      while (!isRead()) {
        for (let turn = 0; turn < 200 && !isRead() && failure === undefined; turn++) await nextTurn()
        if (failure !== undefined) throw failure.error
        if (!isRead() && !clock.step(patienceMs)) throw new Error('it stalls')
      }
    },
    stop: () => runner.stop(1_000),
  }
}
