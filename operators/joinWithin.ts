/** Joins values of two streams that have the same key and are near each other in event time. */
import { type Duration, durationMs, durationText } from '../src/core/duration.ts'
import type { KeyedHandlers, KeyedOperator, KeyedState, KeyedStep, KeyRule } from '../src/core/keyed.ts'
import { type OptionRules, validateOptions } from '../src/core/options.ts'
import type { Next } from '../src/core/step.ts'
import type { Combine, JoinKind } from './_shared/joins.ts'

export interface JoinWithinOptions {
  /** How much older than the left value the right one may be, this time included. */
  readonly before: Duration
  /** How much newer than the left value the right one may be, this time included. */
  readonly after: Duration
  /** How long behind that time a value may come and still be joined. Default: not at all. */
  readonly grace?: Duration
  /** Whose values are given alone when they have met no other. Default: `inner`. */
  readonly join?: JoinKind
}

const rules: OptionRules = {
  before: { type: 'object', required: true },
  after: { type: 'object', required: true },
  grace: { type: 'object' },
  join: { type: 'choice', of: ['inner', 'left', 'outer'] },
}

interface Span {
  readonly beforeMs: number
  readonly afterMs: number
  readonly graceMs: number
  /** Which sides give values that have met no other. */
  readonly join: JoinKind
}

/** Joins each left value with the right ones that lie within a span around it. */
export function joinWithin<L, R, N>(
  left: KeyRule<L>,
  right: KeyRule<R>,
  options: JoinWithinOptions,
  combine: Combine<L | undefined, R | undefined, N>,
): KeyedOperator<L, N> {
  validateOptions('joinWithin()', options, rules)
  const { before, after, grace, join = 'inner' } = options
  const span: Span = {
    beforeMs: durationMs('joinWithin(): "before"', before),
    afterMs: durationMs('joinWithin(): "after"', after),
    graceMs: grace === undefined ? 0 : durationMs('joinWithin(): "grace"', grace),
    join,
  }
  const { beforeMs, afterMs, graceMs } = span
  const reach = `from ${durationText(beforeMs)} before to ${durationText(afterMs)} after`
  return Object.freeze({
    mode: 'keyed',
    kind: 'joinWithin',
    detail: `${join}, ${reach}${graceMs === 0 ? '' : `, grace ${durationText(graceMs)}`}`,
    callbacks: [left.of, right.of, combine],
    key: left,
    otherKey: right,
    time: undefined,
    shape: `joinWithin; ${join}; ${reach}`,
    holdsBackMs: join === 'inner' ? 0 : Math.max(beforeMs, afterMs) + graceMs + 1,
    attach: (next, late, step) => new WithinHandlers(span, combine, next, late, step),
  } satisfies KeyedOperator<L, N>)
}

/** Values of one side and one millisecond, which of them have met another, and whether the others were given without one. */
type Kept = readonly [values: readonly unknown[], met: readonly boolean[], told: boolean]

/** One of the streams, as the other end sees it. */
interface Side {
  /** Tells its cells from those of the other at the same time. Right ones come first where both are given without a partner, as in Kafka Streams. */
  readonly parity: 0 | 1
  /** How much older than a value its partners may be. */
  readonly reachBackMs: number
  readonly reachOnMs: number
  /** Whether a value that has met none is given alone. */
  readonly givesAlone: boolean
  readonly pair: (own: unknown, other: unknown) => readonly [left: unknown, right: unknown]
}

/**
 * State of a key has a cell for each millisecond and side that has values: at twice the time, and one more for the left side. A cell is due when
 * none can come any more that would meet its values, and again when no late one could: then it goes.
 */
class WithinHandlers<L, R, N> implements KeyedHandlers<L> {
  readonly #left: Side
  readonly #right: Side
  readonly #span: Span
  readonly #combine: Combine<L | undefined, R | undefined, N>
  readonly #next: Next<N>
  readonly #late: Next<unknown>
  readonly #step: KeyedStep

  constructor(
    span: Span,
    combine: Combine<L | undefined, R | undefined, N>,
    next: Next<N>,
    late: Next<unknown>,
    step: KeyedStep,
  ) {
    const { beforeMs, afterMs, join } = span
    this.#span = span
    this.#left = {
      ...{ parity: 1, reachBackMs: beforeMs, reachOnMs: afterMs, givesAlone: join !== 'inner' },
      pair: (own, other) => [own, other],
    }
    this.#right = {
      ...{ parity: 0, reachBackMs: afterMs, reachOnMs: beforeMs, givesAlone: join === 'outer' },
      pair: (own, other) => [other, own],
    }
    this.#combine = combine
    this.#next = next
    this.#late = late
    this.#step = step
  }

  take(value: L, item: number, state: KeyedState): void {
    this.#take(this.#left, this.#right, value, item, state)
  }

  takeOther(value: unknown, item: number, state: KeyedState): void {
    this.#take(this.#right, this.#left, value, item, state)
  }

  due(at: number, value: unknown, state: KeyedState): void {
    const side = Math.abs(at % 2) === 1 ? this.#left : this.#right
    const time = (at - side.parity) / 2
    const [values, met, told] = value as Kept
    if (this.#goesAt(time) > this.#step.watermark) state.set(at, [values, met, true] satisfies Kept, this.#goesAt(time))
    if (told || !side.givesAlone) return
    for (const [nth, own] of values.entries()) {
      if (met[nth]) continue
      // Inside, so that a throw belongs to this value and not to the others.
      const give: Next<unknown> = (alone, owner) => this.#give(side, alone, undefined, owner)
      this.#step.derive(give, own, { key: state.key, at: time, nth: 2 * nth + side.parity, time })
    }
  }

  #take(own: Side, other: Side, value: unknown, item: number, state: KeyedState): void {
    const { time, watermark } = this.#step
    let hasMet = false
    for (const at of state.between(2 * (time - own.reachBackMs), 2 * (time + own.reachOnMs) + 1)) {
      if (Math.abs(at % 2) !== other.parity) continue
      hasMet = true
      const [partners, met, told] = state.get(at) as Kept
      if (other.givesAlone && !told && met.includes(false)) {
        const due = this.#closesAt(other, (at - other.parity) / 2)
        state.set(at, [partners, met.map(() => true), told] satisfies Kept, due)
      }
      for (const partner of partners) this.#give(own, value, partner, item)
    }
    const isOver = this.#closesAt(own, time) <= watermark
    const isGone = this.#goesAt(time) <= watermark
    if (!isGone) {
      const at = 2 * time + own.parity
      const [values, met] = (state.get(at) as Kept | undefined) ?? [[], []]
      const due = !own.givesAlone || isOver ? this.#goesAt(time) : this.#closesAt(own, time)
      state.set(at, [[...values, value], [...met, hasMet], isOver] satisfies Kept, due)
    }
    if (hasMet) return
    if (own.givesAlone && isOver) this.#give(own, value, undefined, item)
    else if (isGone) {
      this.#step.countLate()
      this.#late(value, item)
    }
  }

  #give(side: Side, own: unknown, other: unknown, owner: number): void {
    const [left, right] = side.pair(own, other)
    this.#step.enter()
    this.#next(this.#combine(left as L | undefined, right as R | undefined, this.#step.ctx), owner)
  }

  /** From when on none is expected that a value could meet. */
  #closesAt(side: Side, time: number): number {
    return time + side.reachOnMs + this.#span.graceMs + 1
  }

  /** From when on also none that comes late could meet it. */
  #goesAt(time: number): number {
    const { beforeMs, afterMs, graceMs } = this.#span
    return time + beforeMs + afterMs + graceMs + 1
  }
}
