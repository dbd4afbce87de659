/** Keys that state is kept by, and their text in the store. */
import { ItemError } from './errors.ts'
import { isCharacters, shown } from './options.ts'

/** What a stream can be keyed by. Keys of different types are different: `1` is not `'1'`. */
export type Key = string | number | bigint | boolean

/** Begins the text of a key that is no text, and of a text that begins so itself. */
const mark = '\u0001'
const marks = { string: 's', number: 'n', bigint: 'i', boolean: 'b' } as const

/** The longest text of a key, in characters: an index of the database has to hold it. */
const maxKeyLength = 512

/**
 * The text of a key in the store: a text is itself.
 *
 * @throws ItemError MR-KEY for a value that is no key
 */
export function textOfKey(key: Key): string {
  if (typeof key === 'string') return key.startsWith(mark) ? `${mark}${marks.string}${key}` : key
  if (typeof key === 'number' && !Number.isFinite(key)) throw noKey(key)
  const type: string | undefined = marks[typeof key as keyof typeof marks]
  if (type === undefined) throw noKey(key)
  return `${mark}${type}${key}`
}

/** The key that a text stands for. */
export function keyOfText(text: string): Key {
  if (!text.startsWith(mark)) return text
  const rest = text.slice(2)
  switch (text[1]) {
    case marks.number:
      return Number(rest)
    case marks.bigint:
      return BigInt(rest)
    case marks.boolean:
      return rest === 'true'
    default:
      return rest
  }
}

/** @throws ItemError MR-KEY for a text that the store could not keep, or would take for another one */
export function requireStorable(text: string): void {
  if (text.length <= maxKeyLength && isCharacters(text)) return
  throw new ItemError('MR-KEY', {
    what:
      text.length > maxKeyLength
        ? `a key has ${text.length} characters; ${maxKeyLength} are possible`
        : `the key ${shown(text)} holds the character U+0000 or half of a surrogate pair`,
    why: 'State is kept by it in Postgres.',
    fix: 'Key by something shorter and readable: an id, a name, or a hash.',
  })
}

function noKey(value: unknown): ItemError {
  return new ItemError('MR-KEY', {
    what: `a key must be a text, a finite number, a bigint or a boolean, but is ${shown(value)}`,
    why: 'State is kept by it, and another item of the same key has to find it again.',
    fix: 'Filter such values before keyBy(), or key them by something else.',
  })
}
