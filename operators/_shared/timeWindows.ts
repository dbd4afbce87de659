/** Tumbling, hopping and calendar windows. */
import type { KeyedHandlers, KeyedState, KeyedStep } from '../../src/core/keyed.ts'
import type { Next } from '../../src/core/step.ts'
import { type Bounds, boundsOf } from './calendar.ts'
import { resultOf, type WindowParts } from './windowParts.ts'
import type { AlignedWindows, CalendarWindows } from './windowSpecs.ts'

/** Which windows there are: each begins where the one before says. */
interface Windows {
  /** Where the first window begins that a time lies in. */
  firstStart(time: number): number
  /** Where the next one begins; beyond the time when there is none. */
  nextStart(start: number): number
  endOf(start: number): number
}

function aligned({ sizeMs, advanceMs }: AlignedWindows): Windows {
  return {
    firstStart(time) {
      const earliest = time - sizeMs + advanceMs
      // Of times since the epoch no window begins before it, as in Kafka Streams.
      const from = time >= 0 && earliest < 0 ? 0 : earliest
      return Math.floor(from / advanceMs) * advanceMs
    },
    nextStart: (start) => start + advanceMs,
    endOf: (start) => start + sizeMs,
  }
}

function calendar({ unit, zone }: CalendarWindows): Windows {
  // Times are mostly in the window of the last one.
  let known: Bounds = { start: 0, end: 0 }
  const boundsAt = (time: number) => {
    if (time < known.start || time >= known.end) known = boundsOf(time, unit, zone)
    return known
  }
  return {
    firstStart: (time) => boundsAt(time).start,
    nextStart: (start) => boundsAt(start).end,
    endOf: (start) => boundsAt(start).end,
  }
}

/** What is kept of a window where results are given every so often: what is accumulated, and whether it has changed since. */
type Paced = [accumulators: unknown[], changed: boolean]

export function timeWindows<V>(
  spec: AlignedWindows | CalendarWindows,
  parts: WindowParts<V>,
  next: Next<object>,
  late: Next<V>,
  step: KeyedStep,
): KeyedHandlers<V> {
  const windows = spec.kind === 'aligned' ? aligned(spec) : calendar(spec)
  const { accumulation, emit } = parts
  if (emit.kind === 'every') return new PacedWindows(windows, parts, emit.ms, next, late, step)
  const { graceMs } = parts
  const isUpdate = emit.kind === 'update'
  return {
    take(value, item, state) {
      const { time, watermark } = step
      let isInOne = false
      for (let start = windows.firstStart(time); start <= time; start = windows.nextStart(start)) {
        const end = windows.endOf(start)
        const due = end + graceMs
        if (due <= watermark) {
          step.countLate()
          continue
        }
        isInOne = true
        step.enter()
        const known = state.get(start) as unknown[] | undefined
        const before = known === undefined ? undefined : accumulation.copyOf(known)
        const accumulators = accumulation.add(known ?? accumulation.init(), value, time)
        state.set(start, accumulators, due, before)
        if (isUpdate) next(resultOf(accumulation, state.key, start, end, accumulators), item)
      }
      if (!isInOne) late(value, item)
    },
    due(start, value, state) {
      if (isUpdate) return
      const end = windows.endOf(start)
      const result = resultOf(accumulation, state.key, start, end, value as unknown[])
      step.derive(next, result, { key: state.key, at: start, time: end - 1 })
    },
  }
}

/** Gives results at each multiple of a time at which they have changed, and when a window closes. */
class PacedWindows<V> implements KeyedHandlers<V> {
  readonly #windows: Windows
  readonly #parts: WindowParts<V>
  readonly #everyMs: number
  readonly #next: Next<object>
  readonly #late: Next<V>
  readonly #step: KeyedStep

  constructor(
    windows: Windows,
    parts: WindowParts<V>,
    everyMs: number,
    next: Next<object>,
    late: Next<V>,
    step: KeyedStep,
  ) {
    this.#windows = windows
    this.#parts = parts
    this.#everyMs = everyMs
    this.#next = next
    this.#late = late
    this.#step = step
  }

  take(value: V, item: number, state: KeyedState): void {
    const { accumulation } = this.#parts
    const step = this.#step
    const { time, watermark } = step
    let isInOne = false
    for (let start = this.#windows.firstStart(time); start <= time; start = this.#windows.nextStart(start)) {
      if (this.#closesAt(start) <= watermark) {
        step.countLate()
        continue
      }
      isInOne = true
      step.enter()
      const kept: Paced = (state.get(start) as Paced | undefined) ?? [accumulation.init(), true]
      const copy = accumulation.copyOf(kept[0])
      const before = copy === undefined ? undefined : [copy, kept[1]]
      accumulation.add(kept[0], value, time)
      kept[1] = true
      state.set(start, kept, this.#nextAt(start, watermark), before)
    }
    if (!isInOne) this.#late(value, item)
  }

  due(start: number, value: unknown, state: KeyedState): void {
    const [accumulators, changed] = value as Paced
    const step = this.#step
    const { watermark } = step
    if (this.#closesAt(start) > watermark) state.set(start, [accumulators, false], this.#nextAt(start, watermark))
    if (!changed) return
    const end = this.#windows.endOf(start)
    const result = resultOf(this.#parts.accumulation, state.key, start, end, accumulators)
    step.derive(this.#next, result, { key: state.key, at: start, time: end - 1 })
  }

  #closesAt(start: number): number {
    return this.#windows.endOf(start) + this.#parts.graceMs
  }

  /** When results are given next: at a multiple of the pace, and when the window closes. */
  #nextAt(start: number, watermark: number): number {
    const everyMs = this.#everyMs
    const from = Math.max(start, watermark)
    return Math.min(Math.floor(from / everyMs) * everyMs + everyMs, this.#closesAt(start))
  }
}
