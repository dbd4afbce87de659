import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { table } from '../../sinks/table.ts'
import { SettingsError } from '../../src/core/errors.ts'
import { nearest, type OptionRules, shown, validateOptions } from '../../src/core/options.ts'

const rules: OptionRules = {
  count: { type: 'number', min: 1, max: 10 },
  ratio: { type: 'number', fraction: true, min: 0 },
  name: { type: 'string' },
  mode: { type: 'choice', of: ['fast', 'safe'] },
  names: { type: 'strings' },
  fn: { type: 'function' },
  retry: { type: 'object', later: '"retry" is not in this release' },
  box: { type: 'object' },
}
const check =
  (options: object, own: OptionRules = rules) =>
  () =>
    validateOptions('thing()', options, own)

describe('options', () => {
  it('that fit their rules pass', () => {
    check({ count: 1, ratio: 0.5, name: 'x', mode: 'safe', names: ['a'], fn: () => {}, box: {} })()
    check({ count: undefined })()
  })

  it('of another type or range are refused with what they should be and are', () => {
    const complaints: readonly (readonly [object, string])[] = [
      [{ count: 0 }, 'thing(): "count" must be a whole number from 1 to 10, but is 0'],
      [{ count: 11 }, 'a whole number from 1 to 10'],
      [{ count: 1.5 }, 'a whole number from 1 to 10'],
      [{ count: '1' }, 'but is "1"'],
      [{ count: Number.NaN }, 'but is null'],
      [{ ratio: -0.1 }, '"ratio" must be a number of at least 0'],
      [{ name: '' }, '"name" must be a text that is not empty'],
      [{ name: 'a\0' }, '"name" must be a text without the character U+0000'],
      [{ name: '\ud800' }, 'halves of surrogate pairs'],
      [{ mode: 'slow' }, '"mode" must be one of "fast", "safe", but is "slow"'],
      [{ names: [] }, '"names" must be a list of texts'],
      [{ names: ['a', 1] }, '"names" must be a list of texts'],
      [{ fn: {} }, '"fn" must be a function, but is {}'],
      [{ box: null }, '"box" must be an object, but is null'],
    ]
    for (const [options, complaint] of complaints) expect(check(options)).toThrow(complaint)
  })

  it('that do not exist are refused with the nearest name', () => {
    expect(check({ cuont: 1 })).toThrow('thing() has no option "cuont"; did you mean "count"?')
    expect(check({ Count: 1 })).toThrow('did you mean "count"?')
    expect(check({ entirely: 1 })).toThrow(/has no option "entirely"\n {2}Its options are count, ratio,/)
  })

  it('of a later release are refused by name', () => {
    expect(check({ retry: {} })).toThrow('thing(): "retry" is not in this release')
  })

  it('that are needed are asked for', () => {
    expect(check({}, { url: { type: 'string', required: true } })).toThrow('thing() needs "url"')
  })

  it('make the error that their owner wants', () => {
    const refuse = () => validateOptions('thing()', { x: 1 }, rules, (text) => new SettingsError('MR-SETTINGS', text))
    expect(refuse).toThrow(SettingsError)
  })
})

describe('a value in an error', () => {
  it('is shown at readable length, whatever it is', () => {
    expect([shown(5n), shown(() => 1), shown('a'), shown(undefined), shown(Symbol('s'))]).toEqual([
      '5n',
      'a function',
      '"a"',
      'undefined',
      'Symbol(s)',
    ])
    const cyclic: { self?: unknown } = {}
    cyclic.self = cyclic
    expect(shown(cyclic)).toBe('[object Object]')
    expect(shown('x'.repeat(200))).toHaveLength(80)
  })

  it('never throws', () => {
    fc.assert(
      fc.property(fc.anything({ withBigInt: true, withNullPrototype: true, withDate: true }), (value) => {
        expect(shown(value).length).toBeLessThanOrEqual(80)
      }),
    )
  })
})

it('the nearest name is close, or there is none', () => {
  expect(nearest('concurency', ['concurrency', 'order'])).toBe('concurrency')
  expect(nearest('xyz', ['concurrency', 'order'])).toBeUndefined()
  expect(nearest('x', [])).toBeUndefined()
})

it.each([[null], ['text'], [[1]], [7]])('refuses %j, which is no options at all', (options) => {
  expect(() => validateOptions('batch()', options as unknown as object, {})).toThrow(
    expect.objectContaining({ code: 'MR-PLAN-OPTION', message: expect.stringContaining('options must be an object') }),
  )
  expect(() => table('t', options as object)).toThrow(expect.objectContaining({ code: 'MR-TABLE-OPTION' }))
})
