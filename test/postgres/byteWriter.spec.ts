import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { ByteWriter } from '../../src/postgres/byteWriter.ts'

const written = (write: (out: ByteWriter) => void) => {
  const out = new ByteWriter(1)
  write(out)
  return out.bytes.toString('utf8', 0, out.length)
}

/** What COPY reads: the inverse of its escapes. */
const unescaped = (text: string) =>
  text.replace(/\\(.)/g, (_, letter: string) => ({ n: '\n', r: '\r', t: '\t', '\\': '\\' })[letter] ?? `?${letter}`)

describe('ByteWriter', () => {
  it('writes any text so that COPY reads it back, without a tab or a line break in it', () => {
    const text = fc.oneof(
      fc.string({ unit: 'grapheme', maxLength: 100 }),
      fc.string({ unit: fc.constantFrom('\\', '\n', '\r', '\t', 'a', 'é', '€', '😀'), maxLength: 100 }),
    )
    fc.assert(
      fc.property(text, (value) => {
        const line = written((out) => out.escaped(value))
        expect(line).not.toMatch(/[\n\r\t]/)
        expect(unescaped(line)).toBe(value)
      }),
    )
  })

  it('writes nothing of a text that needs care where none is taken', () => {
    for (const text of ['a\\b', 'a\n', 'é', `${'x'.repeat(100)}\t`, '\u007f']) {
      expect(written((out) => expect(out.plain(text)).toBe(false))).toBe('')
    }
    expect(written((out) => expect(out.plain('plain')).toBe(true))).toBe('plain')
  })

  it('writes whole numbers', () => {
    fc.assert(
      fc.property(fc.integer(), (value) => {
        expect(written((out) => out.int(value))).toBe(String(value))
      }),
    )
    for (const value of [0, 9, 10, 99, 100, -1, 2 ** 31 - 1, -(2 ** 31)]) {
      expect(written((out) => out.int(value))).toBe(String(value))
    }
  })

  it('gives memory back when little was used of it', () => {
    const out = new ByteWriter()
    out.ascii('x'.repeat(4 << 20))
    out.clear()
    const full = out.bytes.length
    out.ascii('x')
    out.clear()
    expect(out.bytes.length).toBeLessThan(full)
    expect(out.length).toBe(0)
  })
})
