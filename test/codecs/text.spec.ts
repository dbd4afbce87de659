import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { text } from '../../src/codecs/text.ts'
import { codecContract, decodeError, errorOf } from './codecContract.ts'

codecContract('text()', { codec: text(), values: fc.string({ unit: 'binary' }) })

describe('text()', () => {
  it('is called text', () => {
    expect(text().name).toBe('text')
  })

  it('reads an empty value as an empty string', () => {
    expect(text().decode(Buffer.from('abc'), 1, 1)).toBe('')
  })

  it('keeps a byte order mark and a U+FFFD that were written', () => {
    const value = '\ufeffa\ufffdb\ufffd'
    const bytes = Buffer.from(value)
    expect(text().decode(bytes, 0, bytes.length)).toBe(value)
  })

  it('names the byte that is not UTF-8 instead of replacing it', () => {
    expect(decodeError(text(), Buffer.from('Düsseldorf \xfc', 'latin1')).message).toBe(
      [
        'millrace: the text is not UTF-8 at byte 1 of 12',
        '  From there on it has fc 73 73 65 6c 64 6f 72 66 20 fc. Decoding would put other characters in their place.',
        '  Let the producer write UTF-8, or read the topic with bytes() and decode its encoding yourself.  MR-DECODE-UTF8',
      ].join('\n'),
    )
  })

  it.each([
    ['a lone continuation byte', [0x61, 0x80], 1],
    ['a character cut short', [0xf0, 0x9f, 0x98], 0],
    ['an overlong form', [0xc0, 0xaf], 0],
    ['half of a surrogate pair', [0x61, 0xed, 0xa0, 0x80], 1],
    ['a fault behind a genuine U+FFFD', [0xc3, 0xbc, 0xef, 0xbf, 0xbd, 0xff], 5],
  ])('refuses %s', (_name, bytes, at) => {
    const error = decodeError(text(), Buffer.from(bytes))
    expect(error.code).toBe('MR-DECODE-UTF8')
    expect(error.message).toContain(`at byte ${at} of ${bytes.length}`)
  })

  it('refuses to write what UTF-8 cannot hold', () => {
    expect(errorOf(() => text().encode('a\ud800')).message).toBe(
      [
        'millrace: the string cannot be written as UTF-8',
        '  It holds half of a surrogate pair, as a cut through an emoji leaves it: "a\\ud800".',
        '  Cut strings between characters: [...value].slice(0, n).join("").  MR-ENCODE-TEXT',
      ].join('\n'),
    )
    expect(errorOf(() => text().encode(5 as unknown as string)).code).toBe('MR-ENCODE-TEXT')
  })
})
