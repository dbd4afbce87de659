import type { ByteWriter } from './byteWriter.ts'

const dayMs = 86_400_000
/** Between these, ISO 8601 has four digits of year and no sign, as Postgres reads it. */
const firstPlainMs = Date.parse('0001-01-01T00:00:00Z')
const lastPlainMs = Date.parse('9999-12-31T23:59:59.999Z')

const colon = 0x3a
const dot = 0x2e
const upperT = 0x54
const upperZ = 0x5a

let cachedDay = Number.NaN
let cachedText = ''

/** `2001-01-31` of a day since the epoch. The days of a stream come mostly one after the other, so the last one is kept. */
function plainDayText(day: number): string {
  if (day !== cachedDay) {
    cachedDay = day
    cachedText = new Date(day * dayMs).toISOString().slice(0, 10)
  }
  return cachedText
}

export function hasPlainYear(ms: number): boolean {
  return ms >= firstPlainMs && ms <= lastPlainMs
}

/** The UTC day of a time in milliseconds, as Postgres reads it. */
export function dayText(ms: number): string {
  if (hasPlainYear(ms)) return plainDayText(Math.floor(ms / dayMs))
  return farText(ms, (iso) => iso.slice(0, iso.indexOf('T')))
}

/** The instant of a time in milliseconds, as Postgres reads it. */
export function instantText(ms: number): string {
  const known = knownInstants.get(ms)
  if (known !== undefined) return known
  const text = hasPlainYear(ms) ? new Date(ms).toISOString() : farText(ms, (iso) => iso)
  if (knownInstants.size === maxKnownInstants) knownInstants.clear()
  knownInstants.set(ms, text)
  return text
}

/** Rows of windows have the same few over and over. */
const knownInstants = new Map<number, string>()
const maxKnownInstants = 64

/** Writes the instant of a time in milliseconds; several times faster than making its text. */
export function writeInstant(out: ByteWriter, ms: number): void {
  if (!hasPlainYear(ms)) {
    out.escaped(instantText(ms))
    return
  }
  const day = Math.floor(ms / dayMs)
  let rest = ms - day * dayMs
  const milliseconds = rest % 1000
  rest = (rest - milliseconds) / 1000
  const seconds = rest % 60
  rest = (rest - seconds) / 60
  const minutes = rest % 60
  out.plain(plainDayText(day))
  out.byte(upperT)
  out.two((rest - minutes) / 60)
  out.byte(colon)
  out.two(minutes)
  out.byte(colon)
  out.two(seconds)
  if (milliseconds > 0) {
    out.byte(dot)
    const hundreds = (milliseconds / 100) | 0
    out.int(hundreds)
    out.two(milliseconds - hundreds * 100)
  }
  out.byte(upperZ)
}

// JavaScript writes years beyond four digits with a sign, and those before the year 1 as 0 and negative.
function farText(ms: number, cut: (iso: string) => string): string {
  const iso = new Date(ms).toISOString()
  const [, sign, digits = '', rest = ''] = /^([+-]?)(\d+)(-.*)$/.exec(iso) ?? []
  const year = sign === '-' ? -Number(digits) : Number(digits)
  if (year > 0) return cut(`${year}${rest}`)
  return `${cut(`${String(1 - year).padStart(4, '0')}${rest}`)} BC`
}

const iso =
  /^(\d{4})-(\d\d)-(\d\d)(?:[T ](\d\d):(\d\d)(?::(\d\d)(?:\.\d{1,6})?)?(?:Z|[+-](?:0\d|1[0-4])(?::?[0-5]\d)?)?)?$/

/** Whether a text is a time that Postgres reads without fail: the plain ISO forms of days that exist. */
export function isIsoTime(text: string): boolean {
  const parts = iso.exec(text)
  if (parts === null) return false
  const [year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0] = parts
    .slice(1)
    .map((part) => Number(part ?? 0))
  if (year === 0 || hour > 23 || minute > 59 || second > 59) return false
  const midnight = new Date(Date.UTC(2000, month - 1, day))
  midnight.setUTCFullYear(year, month - 1, day)
  return midnight.getUTCMonth() === month - 1 && midnight.getUTCDate() === day
}
