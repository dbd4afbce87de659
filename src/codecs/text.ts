import type { Codec } from '../core/codec.ts'
import { ItemError } from '../core/errors.ts'
import { shown } from '../core/options.ts'
import { textExcerpt } from './excerpt.ts'
import { decodeUtf8, isWellFormed } from './utf8.ts'

/**
 * UTF-8 text. Nothing is replaced: bytes that are not UTF-8 and strings that UTF-8 cannot hold are errors.
 *
 * @example
 * topic('lines', text())
 *
 * Errors of one item: MR-DECODE-UTF8, MR-ENCODE-TEXT.
 */
export function text(): Codec<string> {
  return textCodec
}

const textCodec: Codec<string> = Object.freeze({ name: 'text', decode: decodeUtf8, encode })

function encode(value: string): Buffer {
  if (typeof value !== 'string') {
    throw new ItemError('MR-ENCODE-TEXT', {
      what: `text() writes strings, and was given ${shown(value)}`,
      fix: 'Make a string of it first, or use json().',
    })
  }
  if (!isWellFormed(value)) {
    throw new ItemError('MR-ENCODE-TEXT', {
      what: 'the string cannot be written as UTF-8',
      why: `It holds half of a surrogate pair, as a cut through an emoji leaves it: ${textExcerpt(value)}.`,
      fix: 'Cut strings between characters: [...value].slice(0, n).join("").',
    })
  }
  return Buffer.from(value)
}
