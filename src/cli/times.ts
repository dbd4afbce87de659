/** Times and lengths of time as the command line takes and prints them. */
import { SettingsError } from '../core/errors.ts'

const isoTime = /^\d{4}-\d{2}-\d{2}(T\d{2}:\d{2}(:\d{2}(\.\d+)?)?(Z|[+-]\d{2}:\d{2}))?$/

/** A time with its zone; a date alone begins in UTC. Undefined for what is none. */
export function timeOf(text: string): Date | undefined {
  const time = isoTime.test(text) ? new Date(text) : undefined
  return time === undefined || Number.isNaN(time.getTime()) ? undefined : time
}

const unitMs = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000, w: 7 * 86_400_000 } as const

/** `30m`, `1h`, `2d` in milliseconds. Undefined for what is none. */
function lengthMs(text: string): number | undefined {
  const [, count, unit] = /^(\d{1,6})([smhdw])$/.exec(text) ?? []
  return unit === undefined ? undefined : Number(count) * unitMs[unit as keyof typeof unitMs]
}

/** A time, or how long ago it was. @throws SettingsError */
export function instantOf(flag: string, text: string, now: number): Date {
  const ms = lengthMs(text)
  const time = ms === undefined ? timeOf(text) : new Date(now - ms)
  if (time !== undefined) return time
  throw new SettingsError('MR-CLI-SETTING', {
    what: `${flag} must be a time or how long ago it was, but is "${text}"`,
    fix: 'Write 30m, 1h or 2d, or a time with its zone, as 2026-11-01T08:30:00Z or 2026-11-01T08:30+01:00.',
  })
}

/** To the second, in UTC. */
export function timeText(time: Date): string {
  return `${time.toISOString().slice(0, 19)}Z`
}
