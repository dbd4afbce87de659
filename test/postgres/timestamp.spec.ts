import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { ByteWriter } from '../../src/postgres/byteWriter.ts'
import { dayText, hasPlainYear, instantText, isIsoTime, writeInstant } from '../../src/postgres/timestamp.ts'

const written = (ms: number) => {
  const out = new ByteWriter()
  writeInstant(out, ms)
  return out.bytes.toString('latin1', 0, out.length)
}

const plain = fc.date({
  min: new Date('0001-01-01T00:00:00Z'),
  max: new Date('9999-12-31T23:59:59.999Z'),
  noInvalidDate: true,
})

describe('timestamps', () => {
  it('writes the instant that was given', () => {
    fc.assert(
      fc.property(plain, (date) => {
        expect(new Date(written(date.getTime())).getTime()).toBe(date.getTime())
        expect(instantText(date.getTime())).toBe(date.toISOString())
      }),
    )
  })

  it('leaves milliseconds out where there are none', () => {
    expect(written(Date.parse('2001-01-01T00:01:00Z'))).toBe('2001-01-01T00:01:00Z')
    expect(written(Date.parse('1969-12-31T23:59:59.007Z'))).toBe('1969-12-31T23:59:59.007Z')
  })

  it('takes the day of a time in UTC', () => {
    fc.assert(
      fc.property(plain, (date) => {
        expect(dayText(date.getTime())).toBe(date.toISOString().slice(0, 10))
      }),
    )
  })

  it('writes years that ISO 8601 has signs for as Postgres reads them', () => {
    expect(instantText(Date.UTC(12_345, 0, 2))).toBe('12345-01-02T00:00:00.000Z')
    expect(instantText(Date.UTC(-43, 2, 15))).toBe('0044-03-15T00:00:00.000Z BC')
    expect(dayText(Date.UTC(-43, 2, 15))).toBe('0044-03-15 BC')
    expect(written(Date.UTC(12_345, 0, 2))).toBe('12345-01-02T00:00:00.000Z')
    expect(hasPlainYear(Date.UTC(12_345, 0, 2))).toBe(false)
  })

  it('knows a text that Postgres reads without fail', () => {
    fc.assert(
      fc.property(plain, (date) => {
        expect(isIsoTime(date.toISOString())).toBe(true)
      }),
    )
    for (const text of ['2001-02-28', '2000-02-29T10:11', '2001-01-01 10:11:12.5+02', '2001-01-01T10:11:12-0330']) {
      expect(isIsoTime(text), text).toBe(true)
    }
    for (const text of [
      '2001-02-29',
      '2001-13-01',
      '0000-01-01',
      '2001-01-01T24:00',
      'now',
      '1/2/2001',
      '2001-01-01T10:11+99',
    ]) {
      expect(isIsoTime(text), text).toBe(false)
    }
  })
})
