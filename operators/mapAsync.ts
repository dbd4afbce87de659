import { concatMap, from, lastValueFrom, mergeMap } from 'rxjs'
import type { AsyncItemContext } from '../src/core/context.ts'
import { type AsyncOperator, type AsyncStep, defineAsyncOperator, type Entries } from '../src/core/operator.ts'
import { type OptionRules, validateOptions } from '../src/core/options.ts'

export interface MapAsyncOptions {
  /** Calls in flight at once in one task. Default 16. */
  readonly concurrency?: number
  /** `key`: one call in flight for each record key, started in offset order. `none`: no such promise. Default `key`. */
  readonly order?: 'key' | 'none'
  /** Milliseconds after which a call counts as failed. Default 30,000. */
  readonly timeoutMs?: number
}

const rules: OptionRules = {
  concurrency: { type: 'number', min: 1, max: 10_000 },
  order: { type: 'choice', of: ['key', 'none'] },
  timeoutMs: { type: 'number', min: 1 },
  retry: { type: 'object', later: '"retry" is not in this release; a failed call collects its item' },
}

/**
 * One value for each value, by an asynchronous callback: a barrier, which takes the items of a batch and gives them
 * back in offset order.
 */
export function mapAsync<In, Out>(
  change: (value: In, ctx: AsyncItemContext) => Promise<Out> | Out,
  options: MapAsyncOptions = {},
): AsyncOperator<In, Out> {
  validateOptions('mapAsync()', options, rules)
  const { concurrency = 16, order = 'key', timeoutMs = 30_000 } = options
  return defineAsyncOperator({
    kind: 'mapAsync',
    callbacks: [change],
    detail: `concurrency ${concurrency}, order ${order}, timeout ${timeoutMs} ms`,
    async run(entries, step) {
      if (entries.items.length === 0) return entries as Entries<never>
      const results: ({ readonly value: Out } | undefined)[] = new Array(entries.items.length)
      const call = async ({ index, ordinal }: Position) => {
        const entry = { value: entries.values[index] as In, item: entries.items[index] as number, ordinal }
        results[index] = await step.call(entry, change, { timeoutMs })
      }
      // Every inner observable is a promise: mixing synchronous ones in makes concatMap stop in silence (rxjs#6682).
      const queues = from(order === 'key' ? queuesByKey(entries, step) : positions(entries).map((one) => [one]))
      const calls = queues.pipe(mergeMap((queue) => from(queue).pipe(concatMap(call)), concurrency))
      await lastValueFrom(calls)
      return kept(entries, results)
    },
  })
}

/** An entry by its place in the batch, and by its number among the values of its item. */
interface Position {
  readonly index: number
  readonly ordinal: number
}

function positions(entries: Entries<unknown>): Position[] {
  let ordinal = 0
  return entries.items.map((item, index) => {
    ordinal = index > 0 && entries.items[index - 1] === item ? ordinal + 1 : 0
    return { index, ordinal }
  })
}

/** Entries of one key in one queue, which is worked off in order; entries without a key each by themselves. */
function queuesByKey(entries: Entries<unknown>, step: AsyncStep): Position[][] {
  const queues: Position[][] = []
  const byKey = new Map<string, Position[]>()
  for (const position of positions(entries)) {
    const key = step.keyOf(entries.items[position.index] as number)
    const queue = key === null ? undefined : byKey.get(key)
    if (queue !== undefined) queue.push(position)
    else {
      const started = [position]
      queues.push(started)
      if (key !== null) byKey.set(key, started)
    }
  }
  return queues
}

function kept<Out>(entries: Entries<unknown>, results: readonly ({ readonly value: Out } | undefined)[]): Entries<Out> {
  const values: Out[] = []
  const items: number[] = []
  for (const [index, result] of results.entries()) {
    if (result === undefined) continue
    values.push(result.value)
    items.push(entries.items[index] as number)
  }
  return { values, items }
}
