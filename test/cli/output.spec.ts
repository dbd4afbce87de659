import { describe, expect, test } from 'vitest'
import { exitCodeOf } from '../../src/cli/exitCodes.ts'
import { columns, errorText } from '../../src/cli/output.ts'
import {
  InternalError,
  PlanError,
  SettingsError,
  SourceError,
  StoreError,
  UnavailableError,
} from '../../src/core/errors.ts'
import { brokenOff, nothingDone, stalled } from '../../src/service/serviceErrors.ts'
import { Statistics } from '../../src/service/statistics.ts'

const text = { what: 'it is so', cause: new TypeError('because of this') }

describe('an error is printed', () => {
  test('as its message when it is ours, with its cause at level debug', () => {
    const error = new StoreError('MR-X', text)
    expect(errorText(error, false)).toBe('millrace: it is so  MR-X')
    expect(errorText(error, true)).toMatch(
      /^millrace: it is so {2}MR-X\n {2}cause: TypeError: because of this\n {6}at /,
    )
    expect(errorText(new StoreError('MR-X', { what: 'it is so' }), true)).toBe('millrace: it is so  MR-X')
  })

  test('with its stack when it is not, whatever was thrown', () => {
    expect(errorText(new TypeError('oh'), false)).toMatch(/^millrace: TypeError: oh\n {4}at /)
    expect(errorText('oh', false)).toBe('millrace: oh')
  })
})

describe('the exit code of', () => {
  const stalledError = stalled({ topic: 't', partition: 0 } as never, 1, 2, 1_000)
  test.each([
    [new SettingsError('MR-X', text), 2],
    [new PlanError('MR-X', text), 2],
    [new UnavailableError('MR-PG-LOST', text), 3],
    [new UnavailableError('MR-SIGNAL-ERROR', text), 1],
    [brokenOff([{ topic: 't', partition: 0, offset: 1, reason: undefined }]), 4],
    [new SourceError('MR-X', text), 5],
    [new StoreError('MR-X', text), 5],
    [new InternalError('MR-X', text), 1],
    [stalledError, 1],
    [new TypeError('oh'), 1],
    ['oh', 1],
  ])('%s', (error, code) => {
    expect(exitCodeOf(error)).toBe(code)
  })
})

describe('a run to the end has failed', () => {
  const stats = (outcomes: object, collected: object) => {
    const totals = new Statistics().totals()
    return {
      ...totals,
      outcomes: { ...totals.outcomes, ...outcomes },
      collected: collected as typeof totals.collected,
      lag: 0,
      partitions: [],
    }
  }
  const reason = { 'MR-X': { count: 1, first: 'no such thing' } }

  test('when items were collected and none went through', () => {
    expect(nothingDone(stats({ collected: 1, filtered: 5 }, reason))?.message).toMatch(
      /^millrace: nothing was written: 1 item was put into the error collector, and none went through\n.*\n {2}no such thing\n/,
    )
  })

  test('but not when something went through, or nothing was collected', () => {
    expect(nothingDone(stats({ collected: 1, done: 1 }, reason))).toBeUndefined()
    expect(nothingDone(stats({ collected: 1, continued: 1 }, reason))).toBeUndefined()
    expect(nothingDone(stats({ filtered: 5, ignored: 3 }, {}))).toBeUndefined()
  })
})

test('columns line up, numbers to the right', () => {
  expect(
    columns(
      ['stream', 'offset', 'x'],
      [
        ['a', 1, 'y'],
        ['longer', 1_000_000_000, 'z'],
      ],
    ),
  ).toBe(['stream      offset  x', 'a                1  y', 'longer  1000000000  z'].join('\n'))
  expect(columns(['a', 'b'], [])).toBe('a  b')
})
