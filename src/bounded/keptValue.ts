/** What is kept of a value that was handed over as it is: JSON, or its text where JSON would lose a part of it. */
import { inspect } from 'node:util'
import type { Codec } from '../core/codec.ts'
import { ItemError, messageOf, textOf } from '../core/errors.ts'

export interface KeptValue {
  readonly bytes: Buffer
  /** Why it is no JSON; undefined where it is. */
  readonly lost: string | undefined
}

/** The longest text that is kept of what JSON cannot hold, in characters. */
const maxTextLength = 100_000

/** A part of the value that JSON would leave out, or make something else of. */
class Lost extends Error {}

export function keptValue(value: unknown): KeptValue {
  try {
    const json = JSON.stringify(value, refuseLoss)
    if (json !== undefined) return { bytes: Buffer.from(json), lost: undefined }
    return { bytes: Buffer.from(textual(value)), lost: `JSON has no ${typeof value}` }
  } catch (error) {
    const lost = error instanceof Lost ? error.message : messageOf(error)
    return { bytes: Buffer.from(textual(value)), lost }
  }
}

/** Throws where JSON.stringify would be silent. A property without a value is no loss: it is read as undefined again. */
function refuseLoss(this: unknown, _key: string, value: unknown): unknown {
  const kind = lostKindOf(value) ?? (value === undefined && Array.isArray(this) ? 'undefined' : undefined)
  if (kind !== undefined) throw new Lost(`JSON has no ${kind}`)
  return value
}

function lostKindOf(value: unknown): string | undefined {
  switch (typeof value) {
    case 'bigint':
    case 'symbol':
    case 'function':
      return typeof value
    case 'number':
      return Number.isFinite(value) ? undefined : String(value)
    case 'object':
      if (value instanceof Map || value instanceof Set || value instanceof RegExp || value instanceof Error) {
        return value.constructor.name
      }
      return ArrayBuffer.isView(value) ? 'bytes' : undefined
    default:
      return undefined
  }
}

function textual(value: unknown): string {
  try {
    return inspect(value, { depth: 20, breakLength: 120 }).slice(0, maxTextLength)
  } catch {
    return textOf(value)
  }
}

/** Writes what is kept of values, and reads it when they come back from the error collector. */
export function keptValueCodec<T>(): Codec<T> {
  return keptCodec as Codec<T>
}

const keptCodec: Codec<unknown> = Object.freeze({
  name: 'values',
  encode: (value: unknown) => keptValue(value).bytes,
  decode(bytes: Buffer, start: number, end: number) {
    try {
      return JSON.parse(bytes.toString('utf8', start, end))
    } catch (cause) {
      throw new ItemError('MR-DECODE-KEPT', {
        what: 'the value was kept as text, from which it cannot be made again',
        why: 'JSON could not hold it: it had a bigint, a function, a Map, or referred to itself.',
        fix: 'Run it again from where it came.',
        cause,
      })
    }
  },
})
