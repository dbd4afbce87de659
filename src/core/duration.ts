/** Spans of time as plans say them: `{ hours: 1, minutes: 30 }`. */
import { PlanError } from './errors.ts'
import { isOptions, type OptionRules, shown, validateOptions } from './options.ts'

/** A span of time: the sum of its parts. */
export interface Duration {
  readonly days?: number
  readonly hours?: number
  readonly minutes?: number
  readonly seconds?: number
  readonly milliseconds?: number
}

const msOf = { days: 86_400_000, hours: 3_600_000, minutes: 60_000, seconds: 1_000, milliseconds: 1 } as const
type Unit = keyof typeof msOf
const units = Object.keys(msOf) as readonly Unit[]

const rules: OptionRules = Object.fromEntries(units.map((unit) => [unit, { type: 'number', min: 0, fraction: true }]))

/**
 * Milliseconds of a duration.
 *
 * @param owner how errors call it: `tumbling(): "grace"`
 * @throws PlanError MR-PLAN-OPTION when it is none, is no whole number of milliseconds, or is shorter than `min`
 */
export function durationMs(owner: string, duration: Duration, min = 0): number {
  if (!isOptions(duration) || Object.keys(duration).length === 0) {
    throw new PlanError('MR-PLAN-OPTION', {
      what: `${owner} must be a duration, but is ${shown(duration)}`,
      fix: 'Write it as { hours: 1 }, { minutes: 5 } or { days: 1, hours: 12 }.',
    })
  }
  validateOptions(owner, duration, rules)
  const ms = units.reduce((sum, unit) => sum + (duration[unit] ?? 0) * msOf[unit], 0)
  if (Number.isSafeInteger(ms) && ms >= min) return ms
  throw new PlanError('MR-PLAN-OPTION', {
    what: `${owner} must be ${min === 0 ? 'a whole number of milliseconds' : `at least ${min} ms, in whole milliseconds`}, but is ${ms} ms`,
  })
}

/** A span in the largest units that divide it: `1h30m`, `250ms`. */
export function durationText(ms: number): string {
  if (ms === 0) return '0'
  const short: readonly (readonly [Unit, string])[] = [
    ['days', 'd'],
    ['hours', 'h'],
    ['minutes', 'm'],
    ['seconds', 's'],
    ['milliseconds', 'ms'],
  ]
  let rest = ms
  const parts = short.map(([unit, name]) => {
    const count = Math.floor(rest / msOf[unit])
    rest -= count * msOf[unit]
    return count === 0 ? '' : `${count}${name}`
  })
  return parts.join('')
}
