/** Descriptions of windows: `tumbling({ hours: 1 })`. */
import { type Duration, durationMs, durationText } from '../../src/core/duration.ts'
import { PlanError } from '../../src/core/errors.ts'
import { isOptions, shown, validateOptions } from '../../src/core/options.ts'
import { type CalendarUnit, calendarUnits, requireZone } from './calendar.ts'

/** Windows of event time that a value falls into by its time alone. */
export interface AlignedWindows {
  readonly kind: 'aligned'
  readonly text: string
  readonly sizeMs: number
  readonly advanceMs: number
}

/** Days, weeks or months of a time zone. */
export interface CalendarWindows {
  readonly kind: 'calendar'
  readonly text: string
  readonly unit: CalendarUnit
  readonly zone: string
}

/** A window for each set of values that are no further apart than a time. */
export interface SlidingWindows {
  readonly kind: 'sliding'
  readonly text: string
  readonly differenceMs: number
}

/** A window lasts as long as values come. */
export interface SessionWindows {
  readonly kind: 'session'
  readonly text: string
  readonly gapMs: number
}

/** A window is full after some values. */
export interface CountWindows {
  readonly kind: 'count'
  readonly text: string
  readonly size: number
}

/** One window for all time. */
export interface GlobalWindows {
  readonly kind: 'global'
  readonly text: string
  readonly everyMs: number | undefined
  readonly everyCount: number | undefined
}

/** Windows that close when event time has passed them. */
export type TimeWindows = AlignedWindows | CalendarWindows | SlidingWindows | SessionWindows

export type WindowSpec = TimeWindows | CountWindows | GlobalWindows

/**
 * Windows of one size, one after the other: from a multiple of the size, counted from the epoch, to before the next one.
 *
 * @example
 * tumbling({ hours: 1 })
 */
export function tumbling(size: Duration): AlignedWindows {
  const sizeMs = durationMs('tumbling()', size, 1)
  return Object.freeze({ kind: 'aligned', text: `tumbling ${durationText(sizeMs)}`, sizeMs, advanceMs: sizeMs })
}

/**
 * Windows of one size that begin at each multiple of `every`, counted from the epoch: a value is in several of them.
 *
 * @example
 * hopping({ hours: 1 }, { every: { minutes: 10 } })
 */
export function hopping(size: Duration, options: { readonly every: Duration }): AlignedWindows {
  validateOptions('hopping()', options, { every: { type: 'object', required: true } })
  const sizeMs = durationMs('hopping(): size', size, 1)
  const advanceMs = durationMs('hopping(): "every"', options.every, 1)
  if (advanceMs > sizeMs) {
    throw new PlanError('MR-PLAN-OPTION', {
      what: `hopping(): "every" (${durationText(advanceMs)}) is longer than the windows (${durationText(sizeMs)})`,
      why: 'Values between two windows would be in none.',
    })
  }
  const text = `hopping ${durationText(sizeMs)} every ${durationText(advanceMs)}`
  return Object.freeze({ kind: 'aligned', text, sizeMs, advanceMs })
}

/**
 * A window for each set of values of a key that are no further apart than `difference`: one ends at each value's time, and one
 * begins behind each, as Kafka Streams' SlidingWindows.
 *
 * @example
 * sliding({ minutes: 5 })
 */
export function sliding(difference: Duration): SlidingWindows {
  const differenceMs = durationMs('sliding()', difference)
  return Object.freeze({ kind: 'sliding', text: `sliding ${durationText(differenceMs)}`, differenceMs })
}

/**
 * A window for each run of values of a key with no longer gap between two of them.
 *
 * @example
 * session({ minutes: 30 })
 */
export function session(gap: Duration): SessionWindows {
  const gapMs = durationMs('session()', gap)
  return Object.freeze({ kind: 'session', text: `session ${durationText(gapMs)}`, gapMs })
}

/**
 * A window for each so many values of a key, in the order in which they come.
 *
 * @example
 * countWindow(100)
 */
export function countWindow(size: number): CountWindows {
  if (!Number.isInteger(size) || size < 1) {
    throw new PlanError('MR-PLAN-OPTION', {
      what: `countWindow() takes a whole number of at least 1, but was given ${shown(size)}`,
    })
  }
  return Object.freeze({ kind: 'count', text: `count ${size}`, size })
}

/**
 * One window for all time, which never closes. It emits what it has so far, every so many values of the key, or at each multiple of
 * a time at which it has changed.
 *
 * @example
 * globalWindow({ every: { hours: 1 } })
 */
export function globalWindow(trigger: { readonly every: Duration } | { readonly count: number }): GlobalWindows {
  if (!isOptions(trigger) || Object.keys(trigger).length !== 1) {
    throw new PlanError('MR-PLAN-OPTION', {
      what: `globalWindow() needs a trigger, but was given ${shown(trigger)}`,
      fix: 'Write { count: 100 } or { every: { hours: 1 } }.',
    })
  }
  validateOptions('globalWindow()', trigger, { every: { type: 'object' }, count: { type: 'number', min: 1 } })
  const everyCount = 'count' in trigger ? trigger.count : undefined
  const everyMs = 'every' in trigger ? durationMs('globalWindow(): "every"', trigger.every, 1) : undefined
  const text = `global, every ${everyMs === undefined ? everyCount : durationText(everyMs)}`
  return Object.freeze({ kind: 'global', text, everyMs, everyCount })
}

/**
 * The days, weeks (from Monday) or months of a time zone: 23 or 25 hours where a clock is changed.
 *
 * @example
 * calendarWindow('day', { zone: 'Europe/Zurich' })
 */
export function calendarWindow(unit: CalendarUnit, options: { readonly zone: string }): CalendarWindows {
  validateOptions(
    'calendarWindow()',
    { unit, ...options },
    {
      unit: { type: 'choice', of: calendarUnits },
      zone: { type: 'string', required: true },
    },
  )
  requireZone(options.zone)
  return Object.freeze({ kind: 'calendar', text: `${unit} in ${options.zone}`, unit, zone: options.zone })
}
