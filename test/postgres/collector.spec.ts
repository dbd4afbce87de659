import fc from 'fast-check'
import { expect, it } from 'vitest'
import { cleaned } from '../../src/postgres/collector.ts'

it('frees a text of what Postgres refuses, and cuts it', () => {
  const pair = String.fromCodePoint(0x1f600)
  expect(cleaned('a\0b', 10)).toBe('a\ufffdb')
  expect(cleaned(`${pair.charAt(0)}x`, 10)).toBe('\ufffdx')
  expect(cleaned(`ab${pair}`, 3)).toBe('ab\ufffd')
  expect(cleaned(pair, 2)).toBe(pair)
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), fc.nat(20), (text, length) => {
      const clean = cleaned(text, length)
      expect(clean.length).toBeLessThanOrEqual(length)
      expect(clean).not.toContain('\0')
      expect(Buffer.from(clean).toString()).toBe(clean)
    }),
  )
})
