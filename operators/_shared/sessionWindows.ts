/** Session windows: a value joins the sessions of its key that are no further away than the gap, and makes one of them. */
import type { KeyedHandlers, KeyedState, KeyedStep } from '../../src/core/keyed.ts'
import type { Next } from '../../src/core/step.ts'
import { resultOf, type WindowParts } from './windowParts.ts'
import type { SessionWindows } from './windowSpecs.ts'

/** What is kept of a session at its start: the time of its last value, and what is accumulated. */
type Session = [last: number, accumulators: unknown[]]

export class SessionHandlers<V> implements KeyedHandlers<V> {
  readonly #gapMs: number
  readonly #parts: WindowParts<V>
  readonly #next: Next<object>
  readonly #late: Next<V>
  readonly #step: KeyedStep

  constructor({ gapMs }: SessionWindows, parts: WindowParts<V>, next: Next<object>, late: Next<V>, step: KeyedStep) {
    this.#gapMs = gapMs
    this.#parts = parts
    this.#next = next
    this.#late = late
    this.#step = step
  }

  take(value: V, item: number, state: KeyedState): void {
    const step = this.#step
    const { time, watermark } = step
    const joined = this.#sessionsNear(state, time)
    const start = Math.min(time, joined[0] ?? time)
    const last = Math.max(time, ...joined.map((at) => (state.get(at) as Session)[0]))
    if (this.#due(last) <= watermark) {
      step.countLate()
      this.#late(value, item)
      return
    }
    step.enter()
    const { accumulation, emit } = this.#parts
    if (!accumulation.isPure) step.join(item)
    const before = joined.map((at) => (state.get(at) as Session)[1])
    const [first = accumulation.init(), ...others] = before
    const merged = others.reduce<unknown[]>((all, other) => accumulation.merge(all, other), first)
    const accumulators = accumulation.added(merged, value, time)
    for (const at of joined) {
      const end = (state.get(at) as Session)[0] + 1
      if (at === start && end === last + 1) continue
      state.delete(at)
      if (emit.kind === 'update') this.#retract(state, at, end, item)
    }
    state.set(start, [last, accumulators] satisfies Session, this.#due(last))
    if (emit.kind === 'update') this.#next(resultOf(accumulation, state.key, start, last + 1, accumulators), item)
  }

  due(start: number, value: unknown, state: KeyedState): void {
    const { accumulation, emit } = this.#parts
    if (emit.kind === 'update') return
    const [last, accumulators] = value as Session
    const result = resultOf(accumulation, state.key, start, last + 1, accumulators)
    this.#step.derive(this.#next, result, { key: state.key, at: start, time: last })
  }

  /** Where sessions begin that a value at this time belongs to. */
  #sessionsNear(state: KeyedState, time: number): number[] {
    return state.times().filter((start) => {
      const [last] = state.get(start) as Session
      return start <= time + this.#gapMs && last >= time - this.#gapMs
    })
  }

  /** A session that was given before is part of another one by now. */
  #retract(state: KeyedState, start: number, end: number, item: number): void {
    const window = { start: new Date(start), end: new Date(end) }
    this.#next({ key: state.key, window, retracted: true }, item)
  }

  #due(last: number): number {
    return last + 1 + this.#gapMs + this.#parts.graceMs
  }
}
