/** What `from()` makes of an input that ends. */
import { PlanError } from '../core/errors.ts'
import { isOptions, type OptionRules, shown, validateOptions } from '../core/options.ts'
import type { BoundedInput, BoundedSource } from '../core/source.ts'
import { keptValueCodec } from './keptValue.ts'
import type { Query } from './query.ts'

export interface FromOptions {
  /** What the items are called in errors and progress. Default `array` or `iterable`. */
  readonly name?: string
}

const rules: OptionRules = { name: { type: 'string' } }

/**
 * @throws PlanError MR-PLAN-INPUT for what cannot be read, MR-PLAN-OPTION
 */
export function boundedSourceOf<T>(
  input: BoundedSource<T> | Query<T> | Iterable<T> | AsyncIterable<T>,
  options: FromOptions = {},
): BoundedSource<T> {
  validateOptions('from()', options, rules)
  if (isKind(input, 'bounded') || isKind(input, 'query')) {
    const { name } = options
    const source = input.kind === 'query' ? sourceOfQuery(input) : input
    return name === undefined ? source : Object.freeze({ ...source, name })
  }
  if (isKind(input, 'lookup')) throw onlyForLookup()
  const isArray = Array.isArray(input)
  if (!isArray && !isIterable(input)) throw unreadable(input)
  const kind = isArray ? 'array' : 'iterable'
  return sourceOf(options.name ?? kind, kind, { kind, values: input } as BoundedInput)
}

function sourceOfQuery<Row>({ name, sql, params }: Query<Row>): BoundedSource<Row> {
  const words = sql.replace(/\s+/g, ' ')
  return sourceOf(name, words.length > 60 ? `${words.slice(0, 59)}…` : words, { kind: 'query', sql, params })
}

function sourceOf<T>(name: string, detail: string, input: BoundedInput): BoundedSource<T> {
  // What is there is handed over, null too: it is no tombstone.
  const codec = keptValueCodec<T>()
  return Object.freeze({ kind: 'bounded', name, codec, tombstones: 'pass', detail, input: Object.freeze(input) })
}

function isKind<Kind extends string>(input: unknown, kind: Kind): input is { readonly kind: Kind } {
  return isOptions(input) && 'kind' in input && input.kind === kind
}

function isIterable(input: unknown): boolean {
  return typeof input === 'object' && input !== null && (Symbol.iterator in input || Symbol.asyncIterator in input)
}

function onlyForLookup(): PlanError {
  return new PlanError('MR-PLAN-INPUT', {
    what: 'from() cannot read a query() with "by"',
    why: 'It is asked for the rows of keys, and has no others: lookup() is what asks it.',
    fix: 'Leave "by" out to read all rows of a query.',
  })
}

function unreadable(input: unknown): PlanError {
  return new PlanError('MR-PLAN-INPUT', {
    what: `from() cannot read ${shown(input)}`,
    why: 'It takes a topic(), an array, an iterable, an asynchronous iterable, lines() of a file, or a query().',
    fix:
      typeof input === 'string'
        ? 'Read a file with from(lines(path, codec)); put a text into a list: from([text]).'
        : typeof input === 'function'
          ? 'Call the function: from(generator()).'
          : undefined,
  })
}
