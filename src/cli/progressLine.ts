import type { Clock } from '../core/clock.ts'
import type { Output } from './output.ts'

/** How far something is, of how much. */
export interface Passed {
  readonly passed: number
  readonly total: number
  readonly items: number
}

/** Without a terminal there is a line this often. */
const lineEveryMs = 10_000
const barEveryMs = 100
const barWidth = 24

/** Shows how far something is: one line that moves on a terminal, else a line now and then. */
export class ProgressLine {
  readonly #output: Output & { readonly terminal?: boolean | undefined }
  readonly #clock: Clock
  #began: { readonly at: number; readonly passed: number } | undefined
  #shownAt = Number.NEGATIVE_INFINITY
  #isOpen = false

  constructor(output: Output & { readonly terminal?: boolean | undefined }, clock: Clock) {
    this.#output = output
    this.#clock = clock
  }

  show(now: Passed): void {
    const at = this.#clock.now()
    this.#began ??= { at, passed: now.passed }
    const isBar = this.#output.terminal === true
    if (at - this.#shownAt < (isBar ? barEveryMs : lineEveryMs) && now.passed < now.total) return
    this.#shownAt = at
    const text = progressText(now, { ms: at - this.#began.at, passed: now.passed - this.#began.passed })
    if (isBar) {
      const full = now.total === 0 ? barWidth : Math.floor((now.passed / now.total) * barWidth)
      this.#output.err(`\r\x1b[K${'█'.repeat(full)}${'░'.repeat(barWidth - full)} ${text}`)
      this.#isOpen = true
    } else this.#output.err(`${text}\n`)
  }

  /** Leaves the line as it is. */
  end(): void {
    if (this.#isOpen) this.#output.err('\n')
    this.#isOpen = false
  }
}

/** `45%  12,000 of 27,000 records  8,000/s  2 s left` */
function progressText({ passed, total }: Passed, since: { readonly ms: number; readonly passed: number }): string {
  const percent = total === 0 ? 100 : Math.floor((passed / total) * 100)
  const parts = [`${percent}%`, `${count(passed)} of ${count(total)} records`]
  const perSecond = since.ms > 0 ? (since.passed * 1_000) / since.ms : 0
  if (perSecond > 0) {
    parts.push(`${count(Math.round(perSecond))}/s`)
    if (passed < total) parts.push(`${duration((total - passed) / perSecond)} left`)
  }
  return parts.join('  ')
}

function duration(seconds: number): string {
  if (seconds < 90) return `${Math.ceil(seconds)} s`
  const minutes = Math.ceil(seconds / 60)
  return minutes < 90 ? `${minutes} min` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`
}

export function count(number: number): string {
  return number.toLocaleString('en-US')
}
