/**
 * Sliding windows: for each value one that ends at its time, and one that begins right behind it as soon as another value lies in
 * that. Both ends belong to a window. Windows with the same values as another one are not made.
 *
 * The semantics, and the order in which updates come, are those of Kafka Streams' SlidingWindows (KIP-450); the cases in
 * test/fixtures/windows.json were recorded with it.
 */
import type { KeyedHandlers, KeyedState, KeyedStep } from '../../src/core/keyed.ts'
import { decodeState, encodeState } from '../../src/core/stateCodec.ts'
import type { Next } from '../../src/core/step.ts'
import { resultOf, type WindowParts } from './windowParts.ts'
import type { SlidingWindows } from './windowSpecs.ts'

/** What is kept of a window at its start: the time of its newest value, and what is accumulated. */
type Kept = [newest: number, accumulators: unknown[]]

/** What a value finds among the windows of its key. */
interface Found {
  /** Windows that it lies in, the latest first. */
  readonly within: readonly number[]
  /** The time of the value before it; undefined for the first one. */
  readonly previous: number | undefined
  /** The latest window that ends before it. */
  readonly before: Kept | undefined
  /** The latest window that it lies in and that ends behind it. */
  readonly around: Kept | undefined
}

export class SlidingHandlers<V> implements KeyedHandlers<V> {
  readonly #differenceMs: number
  readonly #parts: WindowParts<V>
  readonly #next: Next<object>
  readonly #late: Next<V>
  readonly #step: KeyedStep

  constructor(
    { differenceMs }: SlidingWindows,
    parts: WindowParts<V>,
    next: Next<object>,
    late: Next<V>,
    step: KeyedStep,
  ) {
    this.#differenceMs = differenceMs
    this.#parts = parts
    this.#next = next
    this.#late = late
    this.#step = step
  }

  take(value: V, item: number, state: KeyedState): void {
    const step = this.#step
    const { time } = step
    if (this.#isClosed(time + 1)) {
      step.countLate()
      this.#late(value, item)
      return
    }
    step.enter()
    if (!this.#parts.accumulation.isPure) step.join(item)
    const { init } = this.#accumulation
    const starts = new Set(state.times())
    // Of times since the epoch no window begins before it: the first ones share one.
    const leftStart = time >= 0 && time < this.#differenceMs ? 0 : time - this.#differenceMs
    const found = this.#find(state, starts, time, leftStart)
    const add = (start: number, [newest, accumulators]: Kept) => {
      if (this.#isClosed(start)) step.countLate()
      else
        this.#put(
          state,
          start,
          [Math.max(newest, time), this.#parts.accumulation.added(accumulators, value, time)],
          item,
        )
    }
    const { previous, around } = found
    const isEarly = leftStart !== time - this.#differenceMs
    for (const start of found.within) if (!isEarly || start !== leftStart) add(start, state.get(start) as Kept)
    if (isEarly) this.#putRight(state, starts, time, around, item)
    if (previous !== undefined && !starts.has(previous + 1) && previous + 1 + this.#differenceMs >= time) {
      add(previous + 1, [time, init()])
    }
    if (starts.has(leftStart)) {
      if (isEarly) add(leftStart, state.get(leftStart) as Kept)
    } else if (found.before !== undefined && previous !== undefined && previous >= leftStart)
      add(leftStart, copied(found.before))
    else add(leftStart, [time, init()])
    if (!isEarly) this.#putRight(state, starts, time, around, item)
  }

  due(start: number, value: unknown, state: KeyedState): void {
    const { accumulation, emit } = this.#parts
    if (emit.kind === 'update') return
    const end = start + this.#differenceMs
    const result = resultOf(accumulation, state.key, start, end + 1, (value as Kept)[1])
    this.#step.derive(this.#next, result, { key: state.key, at: start, time: end })
  }

  get #accumulation(): { init(): unknown[] } {
    const { accumulation } = this.#parts
    return { init: () => accumulation.init() }
  }

  #find(state: KeyedState, starts: ReadonlySet<number>, time: number, leftStart: number): Found {
    const within: number[] = []
    let previous: number | undefined
    let before: Kept | undefined
    let around: Kept | undefined
    for (const start of [...starts].sort((a, b) => b - a)) {
      if (start > time) continue
      const kept = state.get(start) as Kept
      const end = start + this.#differenceMs
      if (end < time) {
        before = kept
        previous = kept[0]
        break
      }
      within.push(start)
      if (end > time && start !== leftStart) around ??= copied(kept)
      else if (start === leftStart) {
        if (kept[0] < time) previous = kept[0]
        else if (kept[0] > time) around ??= copied(kept)
      }
    }
    return { within, previous, before, around }
  }

  /** The window right behind the value, if another value lies in it: with what is in the window around both. */
  #putRight(
    state: KeyedState,
    starts: ReadonlySet<number>,
    time: number,
    around: Kept | undefined,
    item: number,
  ): void {
    if (around === undefined || around[0] <= time || starts.has(time + 1) || this.#isClosed(time + 1)) return
    this.#put(state, time + 1, copied(around), item)
  }

  #put(state: KeyedState, start: number, kept: Kept, item: number): void {
    const { accumulation, emit } = this.#parts
    const end = start + this.#differenceMs
    state.set(start, kept, this.#due(start))
    if (emit.kind === 'update') this.#next(resultOf(accumulation, state.key, start, end + 1, kept[1]), item)
  }

  #isClosed(start: number): boolean {
    return this.#due(start) <= this.#step.watermark
  }

  #due(start: number): number {
    return start + this.#differenceMs + 1 + this.#parts.graceMs
  }
}

/** Accumulators may be changed in place, so two windows never share them. */
function copied(kept: Kept): Kept {
  return decodeState(encodeState(kept)) as Kept
}
