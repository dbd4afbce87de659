import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { bytesAsJson, bytesAsSeen, keyBytes, keyText, lineOf, textOf } from '../../src/cli/readable.ts'

/** What makes a terminal do something else than show a character. */
const acting = /(?![\t\n])[\p{Cc}\u202a-\u202e\u2066-\u2069]/u

test('no text makes a terminal do anything', () => {
  expect(textOf('\u001b[2Jgone\u0007\r\u009b1m\u202eabc')).toBe('\\u001b[2Jgone\\u0007\\u000d\\u009b1m\\u202eabc')
  expect(textOf('two\n\tlines, ä and 😀')).toBe('two\n\tlines, ä and 😀')
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), (text) => {
      expect(textOf(text)).not.toMatch(acting)
      expect(bytesAsSeen(Buffer.from(text)).text).not.toMatch(acting)
      expect(keyText(Buffer.from(text))).not.toMatch(acting)
    }),
  )
})

test('a text becomes one line of a length', () => {
  expect(lineOf(' a\n  b\tc ', 10)).toBe('a b c')
  expect(lineOf('0123456789', 5)).toBe('0123…')
  expect(lineOf('\u001b'.repeat(100), 10)).toHaveLength(10)
})

describe('a key', () => {
  test('is written as text, or as digits where it is none', () => {
    expect(keyText(Buffer.from('customer 17'))).toBe('customer 17')
    expect(keyText(Buffer.from([0, 255]))).toBe('\\x00ff')
    expect(keyText(Buffer.from('a\nb'))).toBe('\\x610a62')
    expect(keyText(Buffer.from('\\x61'))).toBe('\\x5c783631')
    expect(keyText(null)).toBe('')
  })

  test('is read back as it was, whatever it is', () => {
    fc.assert(
      fc.property(
        fc.oneof(
          fc.uint8Array(),
          fc.string().map((text) => Buffer.from(text)),
        ),
        (bytes) => {
          expect(keyBytes(keyText(Buffer.from(bytes)))).toEqual(Buffer.from(bytes))
        },
      ),
    )
  })
})

describe('bytes are shown', () => {
  test('as JSON or text where they are, with every digit', () => {
    expect(bytesAsSeen(Buffer.from('{"id":12345678901234567890}'))).toEqual({
      kind: 'JSON',
      text: '{"id":12345678901234567890}',
    })
    expect(bytesAsSeen(Buffer.from('{"id":'))).toEqual({ kind: 'text', text: '{"id":' })
    expect(bytesAsSeen(Buffer.alloc(0))).toEqual({ kind: 'text', text: '' })
  })

  test('as hexadecimal digits where they are none, the first of many', () => {
    expect(bytesAsSeen(Buffer.from([0, 1, 0x41]))).toEqual({
      kind: 'bytes',
      text: `00000000  ${'00 01 41'.padEnd(47)}  ..A`,
    })
    const lines = bytesAsSeen(Buffer.alloc(1_000, 0xff)).text.split('\n')
    expect(lines).toHaveLength(33)
    expect(lines.at(-1)).toBe('… 488 bytes more')
  })

  test('in JSON as text, or in base64', () => {
    expect(bytesAsJson(Buffer.from('ä'))).toEqual({ text: 'ä' })
    expect(bytesAsJson(Buffer.from([0xff]))).toEqual({ base64: '/w==' })
    expect(bytesAsJson(null)).toBeNull()
  })
})
