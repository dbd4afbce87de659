/**
 * What became of an item. There is exactly one outcome per item and stream, and they add up:
 * items in = sum over outcomes.
 *
 * An item may have several paths (flatMap, branch, several leaves). Its outcome is the one with the highest
 * rank among them, so the numbers below are an order: failed, broken, ignored, collected, deferred, done,
 * continued, filtered.
 */
export const Outcome = {
  /** No path reached an end: a filter dropped it, flatMap gave nothing, or its value was null. */
  filtered: 0,
  /** `signal.continue()` on every path that did not end in a filter. */
  continued: 1,
  /** Some path reached an end. */
  done: 2,
  /** Put off until later. */
  deferred: 3,
  /** Undone and put into the error collector. */
  collected: 4,
  /** Undone by `signal.ignore()`. */
  ignored: 5,
  /** The item at which `signal.break()` stopped the batch; it is read again. */
  broken: 6,
  /** The batch was undone as a whole and the stream stopped. */
  failed: 7,
} as const

export type OutcomeName = keyof typeof Outcome
export type OutcomeRank = (typeof Outcome)[OutcomeName]

/** Outcome names by rank. */
export const outcomeNames = Object.keys(Outcome) as readonly OutcomeName[]

/** Items of one outcome leave no trace when this is true. */
export function isUndone(rank: number): boolean {
  return rank >= Outcome.deferred
}

/** Number of items per outcome. */
export type OutcomeCounts = Record<OutcomeName, number>

export function noOutcomes(): OutcomeCounts {
  return { filtered: 0, continued: 0, done: 0, deferred: 0, collected: 0, ignored: 0, broken: 0, failed: 0 }
}
