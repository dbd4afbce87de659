import { describe, expect, it } from 'vitest'
import { table } from '../../sinks/table.ts'
import { PlanError } from '../../src/core/errors.ts'

/** Plans written in JavaScript can hand over anything. */
const untyped = table as unknown as (name: unknown, options?: unknown) => unknown

function refusalOf(name: unknown, options?: unknown): string {
  try {
    untyped(name, options)
  } catch (error) {
    if (error instanceof PlanError) return error.message
    throw error
  }
  return 'accepted'
}

describe('table', () => {
  it('describes a table that rows are added to', () => {
    expect(table('flights')).toEqual({
      kind: 'table',
      name: 'flights',
      key: [],
      columns: undefined,
      onConflict: {},
      create: undefined,
      track: false,
    })
  })

  it('makes an upsert of a key, one column or several', () => {
    expect(table<{ origin: string }>('totals', { key: 'origin' }).key).toEqual(['origin'])
    expect(table<{ a: string; b: Date }>('totals', { key: ['a', 'b'] }).key).toEqual(['a', 'b'])
  })

  it('keeps rules, columns and the create statement', () => {
    const sink = table<{ origin: string; flights: number }>('totals', {
      key: 'origin',
      columns: ['origin', 'flights'],
      onConflict: { flights: 'add' },
      create: 'create table totals (origin text primary key, flights bigint)',
    })
    expect(sink.onConflict).toEqual({ flights: 'add' })
    expect(sink.columns).toEqual(['origin', 'flights'])
    expect(sink.create).toMatch(/^create table/)
    expect(table<{ origin: string }>('totals', { key: 'origin', onConflict: 'nothing' }).onConflict).toBe('nothing')
  })

  it('is frozen, and holds no array of the caller', () => {
    const key: ('a' | 'b')[] = ['a']
    const sink = table<{ a: string; b: string }>('t', { key })
    key.push('b')
    expect(sink.key).toEqual(['a'])
    expect(Object.isFrozen(sink)).toBe(true)
    expect(Object.isFrozen(sink.key)).toBe(true)
  })

  it('prints a refusal whole', () => {
    expect(refusalOf('totals', { keys: 'origin' })).toBe(
      'millrace: table("totals"): unknown option "keys"\n' +
        '  Valid options are key, columns, onConflict, create, track.  MR-TABLE-OPTION',
    )
  })

  it.each([
    ['no name', ' ', {}, 'MR-TABLE-NAME'],
    ['an empty key', 't', { key: [] }, 'MR-TABLE-KEY'],
    ['a word for track', 't', { track: 'yes' }, 'MR-TABLE-TRACK'],
    ['rules without a key', 't', { onConflict: { a: 'add' } }, 'onConflict needs a key'],
    ['an unknown rule', 't', { key: 'k', onConflict: { a: 'sum' } }, 'onConflict.a cannot be "sum"'],
    ['rules that are no object', 't', { key: 'k', onConflict: 'ignore' }, 'MR-TABLE-RULE'],
    ['a rule for the key', 't', { key: 'k', onConflict: { k: 'keep' } }, 'part of the key'],
    [
      'a rule for a column that is not written',
      't',
      { key: 'k', columns: ['k'], onConflict: { a: 'add' } },
      'columns leaves out',
    ],
    ['a key that is not written', 't', { key: 'k', columns: ['a'] }, 'columns leaves out "k"'],
    ['a column named twice', 't', { columns: ['a', 'a'] }, 'names "a" twice'],
    ['no columns', 't', { columns: [] }, 'empty list'],
    ['a create statement that is none', 't', { create: 'flights (a int)' }, 'MR-TABLE-CREATE'],
  ])('refuses %s', (_, name, options, text) => {
    expect(refusalOf(name, options)).toContain(text)
  })

  it('types the key by the row', () => {
    // @ts-expect-error: not a column of the row
    table<{ origin: string }>('t', { key: 'orign' })
    // @ts-expect-error: not a rule
    expect(() => table<{ origin: string; n: number }>('t', { key: 'origin', onConflict: { n: 'sum' } })).toThrow()
    // A row whose type was not stated may have any column.
    expect(table('t', { key: 'anything', onConflict: { other: 'max' } }).key).toEqual(['anything'])
  })
})
