/** Days, weeks and months of a time zone. */
import { Temporal } from 'temporal-polyfill'
import { PlanError } from '../../src/core/errors.ts'
import { shown } from '../../src/core/options.ts'

export const calendarUnits = ['day', 'week', 'month'] as const
export type CalendarUnit = (typeof calendarUnits)[number]

/** @throws PlanError MR-PLAN-OPTION for what is no zone of the IANA database */
export function requireZone(zone: string): void {
  try {
    Temporal.Instant.fromEpochMilliseconds(0).toZonedDateTimeISO(zone)
  } catch (cause) {
    throw new PlanError('MR-PLAN-OPTION', {
      what: `there is no time zone ${shown(zone)}`,
      fix: "Name one of the IANA database: 'Europe/Zurich', 'America/New_York', 'UTC'.",
      cause,
    })
  }
}

/** Bounds in milliseconds since the epoch; the end is the beginning of the next one. */
export interface Bounds {
  readonly start: number
  readonly end: number
}

/** The unit of the calendar that a time lies in. */
export function boundsOf(time: number, unit: CalendarUnit, zone: string): Bounds {
  const day = Temporal.Instant.fromEpochMilliseconds(time).toZonedDateTimeISO(zone).toPlainDate()
  const first = firstDay(day, unit)
  const next = first.add(unit === 'day' ? { days: 1 } : unit === 'week' ? { weeks: 1 } : { months: 1 })
  // Where a clock is put forward at midnight, a day begins at one o'clock.
  const begin = (date: Temporal.PlainDate) => date.toZonedDateTime(zone).epochMilliseconds
  return { start: begin(first), end: begin(next) }
}

function firstDay(day: Temporal.PlainDate, unit: CalendarUnit): Temporal.PlainDate {
  if (unit === 'day') return day
  return unit === 'week' ? day.subtract({ days: day.dayOfWeek - 1 }) : day.with({ day: 1 })
}
