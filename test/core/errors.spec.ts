import { describe, expect, it } from 'vitest'
import {
  FenceLostError,
  InternalError,
  ItemError,
  MillraceError,
  messageOf,
  type Place,
  PlanError,
  SettingsError,
  SourceError,
  StoreError,
  UnavailableError,
} from '../../src/core/errors.ts'

describe('an error', () => {
  it('is printed as what, why, fix and code', () => {
    const error = new StoreError('MR-SINK-COLUMN', {
      what: 'table "flights" has no column "delayed"',
      why: 'The plan writes origin, delayed;\nthe table has origin.',
      fix: 'Add the column.',
      place: { stream: 'flights', step: 'to:flights', topic: 'flights', partition: 2, offset: 17 },
    })
    expect(String(error)).toBe(
      [
        'StoreError: millrace: table "flights" has no column "delayed" (stream "flights", step "to:flights", flights[2]@17)',
        '  The plan writes origin, delayed;',
        '  the table has origin.',
        '  Add the column.  MR-SINK-COLUMN',
      ].join('\n'),
    )
  })

  it('is one line where there is nothing but what happened', () => {
    expect(new PlanError('MR-X', { what: 'it happened' }).message).toBe('millrace: it happened  MR-X')
  })

  it('has a code, a place, its cause and a name of its own', () => {
    const cause = new Error('below')
    const error = new ItemError('MR-X', { what: 'x', place: { offset: 0 }, cause })
    expect(error).toMatchObject({ code: 'MR-X', place: { offset: 0 }, cause, name: 'ItemError' })
    expect(error).toBeInstanceOf(MillraceError)
    expect(new ItemError('MR-X', { what: 'x' })).not.toHaveProperty('cause')
    expect(error.stack?.split('\n')[0]).toContain('millrace: x')
  })

  it('says whether another try may help', () => {
    const lasting = [PlanError, SettingsError, ItemError, SourceError, StoreError, FenceLostError, InternalError]
    for (const Kind of lasting) expect(new Kind('MR-X', { what: 'x' }).retryable).toBe(false)
    expect(new UnavailableError('MR-X', { what: 'x' }).retryable).toBe(true)
  })
})

describe('a place', () => {
  it('is printed as far as it is known', () => {
    const printed = (place: Place) => new PlanError('MR-X', { what: 'x', place }).message
    expect(printed({})).toBe('millrace: x  MR-X')
    expect(printed({ stream: 's' })).toBe('millrace: x (stream "s")  MR-X')
    expect(printed({ topic: 't' })).toBe('millrace: x (t)  MR-X')
    expect(printed({ topic: 't', partition: 0 })).toBe('millrace: x (t[0])  MR-X')
    expect(printed({ step: 'map', topic: 't', partition: 0, offset: 0 })).toBe('millrace: x (step "map", t[0]@0)  MR-X')
  })
})

it('anything that was thrown has a message', () => {
  expect([new Error('e'), 'text', 5, undefined, null, Object.create(null)].map(messageOf)).toEqual([
    'e',
    'text',
    '5',
    'undefined',
    'null',
    '[object Object]',
  ])
})
