import type { Clock } from '../core/clock.ts'

/** Time as a value: it stands still until it is moved, and then everything that was scheduled happens in order. */
export class VirtualClock implements Clock {
  #now: number
  #timers: { readonly due: number; readonly callback: () => void }[] = []

  /** @param startMs milliseconds since the epoch */
  constructor(startMs = 0) {
    this.#now = startMs
  }

  now(): number {
    return this.#now
  }

  schedule(ms: number, callback: () => void): () => void {
    const timer = { due: this.#now + ms, callback }
    this.#timers.push(timer)
    return () => {
      this.#timers = this.#timers.filter((other) => other !== timer)
    }
  }

  /** Moves to the next thing scheduled up to `limitMs`, and lets it happen. False when there is none: time is then at the limit. */
  step(limitMs: number): boolean {
    const next = this.#timers.reduce<{ due: number; callback: () => void } | undefined>(
      (earliest, timer) => (earliest === undefined || timer.due < earliest.due ? timer : earliest),
      undefined,
    )
    if (next === undefined || next.due > limitMs) {
      this.#now = Math.max(this.#now, limitMs)
      return false
    }
    this.#timers = this.#timers.filter((timer) => timer !== next)
    this.#now = Math.max(this.#now, next.due)
    next.callback()
    return true
  }
}
