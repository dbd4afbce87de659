/** Windows that do not close by time: after so many values of a key, or never. */
import type { KeyedHandlers, KeyedState, KeyedStep } from '../../src/core/keyed.ts'
import type { Next } from '../../src/core/step.ts'
import { resultOf, type WindowParts } from './windowParts.ts'
import type { CountWindows, GlobalWindows } from './windowSpecs.ts'

/** What is kept of a key: how many windows there were, how many values are in the open one, their first and last time. */
type Kept = [index: number, size: number, start: number, last: number, accumulators: unknown[]]

/** One result for each so many values of a key. The last one fills the window, and what becomes of the result is nothing to it. */
export function countWindows<V>(
  { size }: CountWindows,
  { accumulation }: WindowParts<V>,
  next: Next<object>,
  step: KeyedStep,
): KeyedHandlers<V> {
  return {
    take(value, item, state) {
      const { time } = step
      const known = (state.get(0) as Kept | undefined) ?? [0, 0, time, time, accumulation.init()]
      const [index, count, start, last] = known
      step.enter()
      if (!accumulation.isPure) step.join(item)
      const accumulators = accumulation.added(known[4], value, time)
      const [from, to] = [Math.min(start, time), Math.max(last, time)]
      if (count + 1 < size) {
        state.set(0, [index, count + 1, from, to, accumulators] satisfies Kept)
        return
      }
      state.set(0, [index + 1, 0, Number.MAX_SAFE_INTEGER, Number.MIN_SAFE_INTEGER, accumulation.init()] satisfies Kept)
      const result = resultOf(accumulation, state.key, from, to + 1, accumulators)
      step.derive(next, result, { key: state.key, at: index, time: to })
    },
  }
}

/** Results of all values so far, every so many of them or every so often. */
export function globalWindows<V>(
  { everyCount, everyMs }: GlobalWindows,
  { accumulation }: WindowParts<V>,
  next: Next<object>,
  step: KeyedStep,
): KeyedHandlers<V> {
  const give = (state: KeyedState, [index, , start, last, accumulators]: Kept) => {
    const result = resultOf(accumulation, state.key, start, last + 1, accumulators)
    step.derive(next, result, { key: state.key, at: index, time: last })
  }
  return {
    take(value, item, state) {
      const { time, watermark } = step
      const known = (state.get(0) as Kept | undefined) ?? [0, 0, time, time, accumulation.init()]
      const [index, count, start, last] = known
      step.enter()
      if (!accumulation.isPure) step.join(item)
      const accumulators = accumulation.added(known[4], value, time)
      const isFull = count + 1 === everyCount
      const kept: Kept = [
        isFull ? index + 1 : index,
        isFull ? 0 : count + 1,
        Math.min(start, time),
        Math.max(last, time),
        accumulators,
      ]
      const from = Math.max(time, watermark)
      const due = everyMs === undefined ? undefined : Math.floor(from / everyMs) * everyMs + everyMs
      state.set(0, kept, due)
      if (isFull) give(state, [index, ...kept.slice(1)] as Kept)
    },
    due(_at, value, state) {
      const [index, , start, last, accumulators] = value as Kept
      const kept: Kept = [index + 1, 0, start, last, accumulators]
      state.set(0, kept)
      give(state, [index, 0, start, last, accumulators])
    },
  }
}
