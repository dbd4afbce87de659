/**
 * UTF-8 in and out without loss. Node replaces what is not UTF-8 by U+FFFD in silence, so a text that holds
 * one is looked at again: written by the producer it stands, made by the decoder it is an error.
 */
import { ItemError } from '../core/errors.ts'
import { hexExcerpt } from './excerpt.ts'

const replacement = '\ufffd'

/** What Node's Buffer has and its types leave out; twice as fast as `subarray().toString()`. */
interface Utf8Sliceable {
  utf8Slice(start: number, end: number): string
}

/** The text of a range, in which U+FFFD stands for what is not UTF-8; see {@link invalidUtf8At}. */
export function sliceUtf8(bytes: Buffer, start: number, end: number): string {
  return (bytes as unknown as Utf8Sliceable).utf8Slice(start, end)
}

/** @throws ItemError MR-DECODE-UTF8 */
export function decodeUtf8(bytes: Buffer, start: number, end: number): string {
  const text = sliceUtf8(bytes, start, end)
  if (text.indexOf(replacement) !== -1) assertUtf8(bytes, start, end, text)
  return text
}

function assertUtf8(bytes: Buffer, start: number, end: number, text: string): void {
  const at = invalidUtf8At(bytes, start, text)
  if (at === -1) return
  throw new ItemError('MR-DECODE-UTF8', {
    what: `the text is not UTF-8 at byte ${at - start} of ${end - start}`,
    why: `From there on it has ${hexExcerpt(bytes, at, end)}. Decoding would put other characters in their place.`,
    fix: 'Let the producer write UTF-8, or read the topic with bytes() and decode its encoding yourself.',
  })
}

/** Where the first bytes stand that are not UTF-8; -1 when the text has no U+FFFD but those that were written. */
export function invalidUtf8At(bytes: Buffer, start: number, text: string): number {
  let position = start
  let from = 0
  for (;;) {
    const found = text.indexOf(replacement, from)
    if (found === -1) return -1
    // All before the first fault is valid, so its length in bytes follows from the text.
    position += Buffer.byteLength(text.slice(from, found))
    const genuine = bytes[position] === 0xef && bytes[position + 1] === 0xbf && bytes[position + 2] === 0xbd
    if (!genuine) return position
    position += 3
    from = found + 1
  }
}

/** Whether a text can be written as UTF-8: half of a surrogate pair cannot. */
export function isWellFormed(text: string): boolean {
  // In every Node that is supported, and in the types of ES2024 only.
  return (text as unknown as { isWellFormed(): boolean }).isWellFormed()
}
