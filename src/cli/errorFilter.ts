/** Flags that say which items of the error collector are meant. */
import { SettingsError } from '../core/errors.ts'
import { type ErrorFilter, type ErrorState, errorStates } from '../postgres/errorFilter.ts'
import { keyBytes } from './readable.ts'
import { requireGroup } from './required.ts'
import type { CliSettings } from './settings.ts'
import { instantOf } from './times.ts'

/** Which items, as flags say it. */
export interface FilterOptions {
  readonly stream?: string
  readonly step?: string
  readonly fingerprint?: string
  readonly state?: string
  readonly since?: string
  readonly until?: string
  readonly key?: string
  readonly partition?: string
  readonly id?: string
}

/**
 * The filter that the flags stand for.
 *
 * @param usual states that are meant where nothing is said; undefined for all
 * @throws SettingsError that names the flag
 */
export function filterOf(
  settings: CliSettings,
  options: FilterOptions,
  usual: readonly ErrorState[] | undefined,
): ErrorFilter {
  const { stream, step, fingerprint, state, since, until, key, partition, id } = options
  const now = Date.now()
  return {
    app: requireGroup(settings),
    stream,
    step,
    fingerprint: fingerprint === undefined ? undefined : digits(fingerprint),
    states: state === undefined ? usual : statesOf(state),
    since: since === undefined ? undefined : instantOf('--since', since, now),
    until: until === undefined ? undefined : instantOf('--until', until, now),
    key: key === undefined ? undefined : keyBytes(key),
    partition: partition === undefined ? undefined : wholeNumber('--partition', partition, 2 ** 31 - 1),
    ids: id === undefined ? undefined : id.split(',').map((one) => idOf('--id', one.trim())),
  }
}

/** @throws SettingsError */
export function idOf(name: string, text: string): string {
  return String(wholeNumber(name, text, Number.MAX_SAFE_INTEGER))
}

/** @throws SettingsError */
export function wholeNumber(name: string, text: string, max: number): number {
  if (/^\d{1,16}$/.test(text) && Number(text) <= max) return Number(text)
  throw refused(`${name} must be a whole number of at least 0, but is "${text}"`)
}

function digits(text: string): string {
  if (/^[0-9a-f]{1,16}$/i.test(text)) return text.toLowerCase()
  throw refused(`--fingerprint must be the first hexadecimal digits of one, up to 16, but is "${text}"`)
}

function statesOf(text: string): readonly ErrorState[] | undefined {
  if (text === 'all') return undefined
  return text.split(',').map((one) => {
    const state = errorStates.find((known) => known === one.trim())
    if (state !== undefined) return state
    throw refused(
      `--state must be all, or some of ${errorStates.join(', ')} with commas between them, but is "${text}"`,
    )
  })
}

function refused(what: string): SettingsError {
  return new SettingsError('MR-CLI-SETTING', { what })
}
