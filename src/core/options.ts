/** The one validator of options and settings: unknown names, missing ones, wrong types and ranges, each as a sentence. */
import { closest, distance } from 'fastest-levenshtein'
import { type MillraceError, PlanError, textOf } from './errors.ts'

/** What an option may be. Numbers are whole unless `fraction` is set. */
export type OptionRule = (
  | { readonly type: 'number'; readonly min?: number; readonly max?: number; readonly fraction?: boolean }
  | { readonly type: 'string' | 'boolean' | 'function' | 'object' | 'strings' | 'span' }
  | { readonly type: 'choice'; readonly of: readonly string[] }
) & {
  readonly required?: boolean
  /** The option will exist one day; naming it is refused with this sentence. */
  readonly later?: string
}

export type OptionRules = Readonly<Record<string, OptionRule>>

/** How the owner of the options words its error. */
export type OptionErrorMaker = (text: { what: string; why?: string; fix?: string }) => MillraceError

/**
 * Checks options against their rules.
 *
 * @param owner what the options belong to, as errors call it: `batch()`
 * @throws what `error` makes, by default a PlanError with code MR-PLAN-OPTION
 */
export function validateOptions(
  owner: string,
  options: object,
  rules: OptionRules,
  error: OptionErrorMaker = (text) => new PlanError('MR-PLAN-OPTION', text),
): void {
  // Types are gone at run time: null and a text have got here, too.
  if (!isOptions(options)) throw error({ what: `${owner}: options must be an object, but are ${shown(options)}` })
  for (const [name, value] of Object.entries(options)) {
    const rule = rules[name]
    if (rule === undefined) {
      const near = nearest(name, Object.keys(rules))
      throw error({
        what: `${owner} has no option "${name}"${near === undefined ? '' : `; did you mean "${near}"?`}`,
        why: `Its options are ${Object.keys(rules).join(', ')}.`,
      })
    }
    if (rule.later !== undefined) throw error({ what: `${owner}: ${rule.later}` })
    if (value === undefined) continue
    const complaint = violation(value, rule)
    if (complaint !== undefined) {
      throw error({ what: `${owner}: "${name}" must be ${complaint}, but is ${shown(value)}` })
    }
  }
  for (const [name, rule] of Object.entries(rules)) {
    if (rule.required && (options as Record<string, unknown>)[name] === undefined) {
      throw error({ what: `${owner} needs "${name}"` })
    }
  }
}

/** Whether something can be looked at as options. */
export function isOptions(options: unknown): options is object {
  return typeof options === 'object' && options !== null && !Array.isArray(options)
}

function violation(value: unknown, rule: OptionRule): string | undefined {
  switch (rule.type) {
    case 'number': {
      const { min = 0, max = Number.MAX_SAFE_INTEGER } = rule
      const fits =
        typeof value === 'number' && (rule.fraction || Number.isInteger(value)) && value >= min && value <= max
      if (fits) return undefined
      const range = rule.max === undefined ? `of at least ${min}` : `from ${min} to ${max}`
      return `${rule.fraction ? 'a' : 'a whole'} number ${range}`
    }
    case 'choice':
      return rule.of.includes(value as string) ? undefined : `one of ${rule.of.map((name) => `"${name}"`).join(', ')}`
    case 'strings':
      return Array.isArray(value) && value.length > 0 && value.every((entry) => typeof entry === 'string')
        ? undefined
        : 'a list of texts'
    case 'span': {
      const numbers: readonly unknown[] = Array.isArray(value) && value.length === 2 ? value : [value, value]
      const [from, to] = numbers
      const fits = typeof from === 'number' && typeof to === 'number' && from >= 0 && from <= to && Number.isFinite(to)
      return fits ? undefined : 'a number of at least 0, or two of which the second is not smaller'
    }
    case 'object':
      return typeof value === 'object' && value !== null ? undefined : 'an object'
    case 'string':
      if (typeof value !== 'string' || value === '') return 'a text that is not empty'
      return isCharacters(value)
        ? undefined
        : 'a text without the character U+0000 and without halves of surrogate pairs'
    default:
      return typeof value === rule.type ? undefined : `a ${rule.type}`
  }
}

/** Whether Postgres and Kafka can hold a text as it is: halves of surrogate pairs would all become one and the same character. */
export function isCharacters(text: string): boolean {
  return !/\0|\p{Surrogate}/u.test(text)
}

/** A value as errors show it, cut to a readable length. */
export function shown(value: unknown): string {
  if (typeof value === 'function') return 'a function'
  if (typeof value === 'bigint') return `${value}n`
  let text: string | undefined
  try {
    text = JSON.stringify(value)
  } catch {
    text = undefined
  }
  text ??= textOf(value)
  return text.length > 80 ? `${text.slice(0, 77)}...` : text
}

/** The candidate that somebody who typed `name` probably meant, if one is close. */
export function nearest(name: string, candidates: readonly string[]): string | undefined {
  if (candidates.length === 0) return undefined
  const best = closest(
    name.toLowerCase(),
    candidates.map((candidate) => candidate.toLowerCase()),
  )
  const found = candidates.find((candidate) => candidate.toLowerCase() === best)
  return found !== undefined && distance(name.toLowerCase(), best) <= Math.max(2, name.length / 3) ? found : undefined
}
