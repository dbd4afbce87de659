import type { Codec } from '../core/codec.ts'
import { ItemError, messageOf, PlanError } from '../core/errors.ts'
import { type OptionRules, validateOptions } from '../core/options.ts'
import { hexExcerpt, oneLine, textExcerpt } from './excerpt.ts'
import { hasProtoKey, isDeeperThan } from './jsonGuards.ts'
import { defaultMaxBytes, defaultMaxDepth, protoKey, tooDeep, tooLarge } from './limits.ts'
import {
  isStandardSchema,
  issueText,
  type StandardIssue,
  type StandardResult,
  type StandardSchema,
} from './standardSchema.ts'
import { decodeUtf8 } from './utf8.ts'

export interface JsonOptions {
  /** The largest value that is taken, in bytes. Default 16 MiB. */
  readonly maxBytes?: number
  /** The deepest nesting that is taken, in levels. Default 1,000. */
  readonly maxDepth?: number
}

const rules: OptionRules = { maxBytes: { type: 'number', min: 1 }, maxDepth: { type: 'number', min: 1 } }

/**
 * JSON in UTF-8.
 *
 * Without a schema the type is stated and nothing is checked. With one (zod, valibot, arktype or any other
 * Standard Schema v1, validating synchronously) every value is validated and the type is what the schema puts out.
 * A schema describes what is read: `encode` writes a value as JSON.stringify does and does not validate it.
 *
 * Numbers are doubles, as JSON.parse makes them: integers above 2^53 lose digits, so let the producer write
 * them as strings. A key `__proto__` is refused at any level.
 *
 * @example
 * topic('flights', json<Flight>())
 * topic('flights', json(z.object({ origin: z.string(), delay: z.number() })))
 *
 * Errors of one item: MR-DECODE-SIZE, MR-DECODE-DEPTH, MR-DECODE-UTF8, MR-DECODE-JSON, MR-DECODE-PROTO,
 * MR-DECODE-SCHEMA, MR-ENCODE-JSON; and what the schema itself throws.
 *
 * @throws PlanError MR-PLAN-OPTION
 */
export function json<T = unknown>(options?: JsonOptions): Codec<T>
export function json<T>(schema: StandardSchema<unknown, T>, options?: JsonOptions): Codec<T>
export function json(first: StandardSchema | JsonOptions = {}, second: JsonOptions = {}): Codec<unknown> {
  const schema = isStandardSchema(first) ? first : undefined
  const options = isStandardSchema(first) ? second : first
  validateOptions('json()', options, rules)
  const decode = parser(options.maxBytes ?? defaultMaxBytes, options.maxDepth ?? defaultMaxDepth)
  if (schema === undefined) return Object.freeze({ name: 'json', decode, encode })
  return Object.freeze({
    name: `json(${schema['~standard'].vendor})`,
    decode: (bytes: Buffer, start: number, end: number) =>
      validated(schema, decode(bytes, start, end), bytes, start, end),
    encode,
  })
}

/** The hot path: what it does beside JSON.parse is measured in nanoseconds. */
function parser(maxBytes: number, maxDepth: number): Codec<unknown>['decode'] {
  return (bytes, start, end) => {
    if (end - start > maxBytes) throw tooLarge('json()', end - start, maxBytes)
    const text = decodeUtf8(bytes, start, end)
    if (isDeeperThan(text, maxDepth)) throw tooDeep(maxDepth)
    let value: unknown
    try {
      value = JSON.parse(text)
    } catch (cause) {
      throw notJson(text, bytes, start, end, cause)
    }
    if (hasProtoKey(text, value)) throw protoKey()
    return value
  }
}

function notJson(text: string, bytes: Buffer, start: number, end: number, cause: unknown): ItemError {
  const what = 'the value is not JSON'
  if (text.trim() === '') {
    return new ItemError('MR-DECODE-JSON', {
      what: `${what}: it is ${text === '' ? 'empty' : 'blank'}`,
      fix: 'A record without a value (a tombstone) has null, not an empty value; look at the producer.',
      cause,
    })
  }
  if (text.startsWith('\0') || text.startsWith('\ufeff')) {
    const framed = text.startsWith('\0')
    return new ItemError('MR-DECODE-JSON', {
      what: `${what}: it begins with ${framed ? 'a zero byte' : 'a byte order mark'}`,
      why: `It begins with ${hexExcerpt(bytes, start, end)}.`,
      fix: framed
        ? 'So do values in Confluent framing: read Avro with avro(schema, { framing: { confluent: { … } } }).'
        : 'Let the producer write UTF-8 without a byte order mark.',
      cause,
    })
  }
  const message = messageOf(cause)
  const position = Number(/ at position (\d+)/.exec(message)?.[1] ?? 0)
  return new ItemError('MR-DECODE-JSON', {
    what: `${what}: ${oneLine(message)}`,
    why: `It has ${end - start} bytes and reads ${textExcerpt(text, Math.max(0, position - 20))}.`,
    fix: 'Look at what the producer writes; text() and bytes() take any value.',
    cause,
  })
}

/** What the schema throws goes on as it is: it may be a signal. */
function validated(schema: StandardSchema, value: unknown, bytes: Buffer, start: number, end: number): unknown {
  const standard = schema['~standard']
  const result = standard.validate(value)
  if (isPromise(result)) {
    // Nobody waits for it, and a rejection must not end the process.
    result.then(undefined, () => undefined)
    throw new PlanError('MR-PLAN-ASYNC-SCHEMA', {
      what: `the ${standard.vendor} schema given to json() validates asynchronously`,
      why: 'Values are decoded synchronously, so a schema with async checks or transforms cannot be used here.',
      fix: 'Take the async part out of the schema and do it in a step: .mapAsync(value => …).',
    })
  }
  if (result.issues === undefined) return result.value
  throw misfit(standard.vendor, result.issues, bytes.toString('utf8', start, Math.min(end, start + 400)))
}

function misfit(vendor: string, issues: readonly StandardIssue[], text: string): ItemError {
  const [first = 'it does not say why', ...others] = issues.slice(0, 3).map((issue) => oneLine(issueText(issue)))
  const more = issues.length - 1 - others.length
  return new ItemError('MR-DECODE-SCHEMA', {
    what: `the value does not fit its ${vendor} schema: ${first}`,
    why: [...others, ...(more > 0 ? [`and ${more} more`] : []), `It reads ${textExcerpt(text)}.`].join('\n'),
    fix: 'Correct the producer, or let the schema take such values.',
    cause: issues,
  })
}

function isPromise(result: unknown): result is Promise<StandardResult<unknown>> {
  return typeof (result as { then?: unknown }).then === 'function'
}

function encode(value: unknown): Buffer {
  let text: string | undefined
  let cause: unknown
  try {
    text = JSON.stringify(value)
  } catch (thrown) {
    cause = thrown
  }
  if (text !== undefined) return Buffer.from(text)
  throw new ItemError('MR-ENCODE-JSON', {
    what: `the value cannot be written as JSON${cause === undefined ? '' : `: ${oneLine(messageOf(cause))}`}`,
    why: 'JSON has no undefined, functions, symbols, bigints or cycles.',
    fix: 'Write a plain object: dates and bigints as strings, nothing that refers to itself.',
    cause,
  })
}
