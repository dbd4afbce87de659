import { describe, expect, it } from 'vitest'
import { ItemError } from '../../src/core/errors.ts'
import { UpsertBuffer } from '../../src/postgres/upsertBuffer.ts'
import { upsertMode } from '../../src/postgres/upsertPlan.ts'
import { boundTo, column, recordingLink } from './support.ts'

const everything = { asAppended: true, position: (owner: number) => owner }
const columns = [column('k', 'text', { notNull: true }), column('n', 'int8'), column('last', 'text')]
const options = { key: 'k', onConflict: { n: 'add' } } as const

async function sent(buffer: UpsertBuffer, selection: Parameters<UpsertBuffer['inTransactionFlush']>[1] = everything) {
  const { link, told } = recordingLink()
  await buffer.inTransactionFlush(link, selection)
  return told
}

describe('UpsertBuffer', () => {
  it('merges rows per key and sends them sorted, as arrays', async () => {
    const buffer = new UpsertBuffer(boundTo(columns, options))
    buffer.append({ k: 'b', n: 1, last: 'x' }, 0)
    buffer.append({ k: 'a', n: 2, last: 'y' }, 1)
    buffer.append({ k: 'b', n: 3, last: 'z' }, 2)
    const [only, ...more] = await sent(buffer)
    expect(more).toEqual([])
    expect(only?.data).toEqual(['{"a","b"}', '{"2","4"}', '{"y","z"}'])
    expect(only?.text.replace(/\s+/g, ' ')).toBe(
      'insert into public.t as old (k, n, last) select c0::text, c1::int8, c2::text ' +
        'from unnest($1::text[], $2::text[], $3::text[]) as given (c0, c1, c2) ' +
        'on conflict (k) do update set n = coalesce(old.n + excluded.n, old.n, excluded.n), last = excluded.last',
    )
  })

  it('does nothing to an existing row when told so, or when there is nothing but the key', async () => {
    const nothing = new UpsertBuffer(boundTo(columns, { key: 'k', onConflict: 'nothing' }))
    nothing.append({ k: 'a', last: 'first' }, 0)
    nothing.append({ k: 'a', last: 'second' }, 1)
    const [statement] = await sent(nothing)
    expect(statement?.text).toContain('do nothing')
    expect(statement?.data).toEqual(['{"a"}', '{"first"}'])
    const keyOnly = new UpsertBuffer(boundTo(columns, { key: 'k' }))
    keyOnly.append({ k: 'a' }, 0)
    expect((await sent(keyOnly))[0]?.text).toContain('do nothing')
  })

  it('drops undone owners before it merges, and merges in offset order', async () => {
    const buffer = new UpsertBuffer(boundTo(columns, options))
    for (const [last, owner] of [
      ['third', 3],
      ['second', 2],
      ['undone', 4],
      ['first', 1],
    ] as const) {
      buffer.append({ k: 'a', n: owner, last }, owner)
    }
    const selection = { asAppended: false, position: (owner: number) => (owner === 4 ? undefined : owner) }
    expect((await sent(buffer, selection))[0]?.data).toEqual(['{"a"}', '{"6"}', '{"third"}'])
  })

  it('goes back to a savepoint', async () => {
    const buffer = new UpsertBuffer(boundTo(columns, options))
    buffer.append({ k: 'a', n: 1 }, 0)
    const { length, byteSize } = buffer
    buffer.append({ k: 'b', last: 'x' }, 1)
    buffer.truncate(length)
    expect(buffer.byteSize).toBe(byteSize)
    buffer.append({ k: 'c', n: 2 }, 2)
    expect((await sent(buffer)).map(({ data }) => data)).toEqual([['{"a","c"}', '{"1","2"}']])
  })

  it('keeps nothing of a row with a value that does not fit, or without a key', async () => {
    const buffer = new UpsertBuffer(boundTo(columns, options))
    expect(() => buffer.append({ k: 'a', n: {} }, 0)).toThrow(ItemError)
    expect(() => buffer.append({ k: null, n: 1 }, 0)).toThrow('MR-SINK-NULL')
    expect(() => buffer.append({ n: 1 }, 0)).toThrow(ItemError)
    expect(buffer.length).toBe(0)
    buffer.append({ k: 'a', n: 1 }, 0)
    expect((await sent(buffer))[0]?.data).toEqual(['{"a"}', '{"1"}'])
  })

  it('leaves an undefined column as it is in the table', async () => {
    const buffer = new UpsertBuffer(boundTo(columns, options))
    buffer.append({ k: 'a', n: 1, last: 'x' }, 0)
    buffer.append({ k: 'a', n: 2, last: undefined }, 1)
    const statements = await sent(buffer)
    expect(statements.map(({ data }) => data)).toEqual([
      ['{"a"}', '{"1"}', '{"x"}'],
      ['{"a"}', '{"2"}'],
    ])
    expect(statements[1]?.text).not.toContain('last')
  })

  it('sends every row past the checks where a check looks beyond the key', async () => {
    const checked = { constraints: [{ kind: 'check', columns: ['n'], deferrable: false }] } as const
    const buffer = new UpsertBuffer(boundTo(columns, options, checked))
    for (const [k, n] of [
      ['b', 1],
      ['a', 2],
      ['b', -9],
    ] as const)
      buffer.append({ k, n }, n)
    const statements = await sent(buffer, { asAppended: true, position: () => 0 })
    expect(statements.map(({ data }) => data)).toEqual([
      ['{"a","b"}', '{"2","1"}'],
      ['{"b"}', '{"-9"}'],
    ])
  })

  it('sends every row past the database where a value may be refused for itself', async () => {
    const kinds = [column('k', 'text'), column('colour', 'colour')]
    const buffer = new UpsertBuffer(boundTo(kinds, { key: 'k' }))
    buffer.append({ k: 'a', colour: 'no such colour' }, 0)
    buffer.append({ k: 'a', colour: 'red' }, 1)
    expect(await sent(buffer)).toHaveLength(2)
  })

  it('never merges rows with a null in the key', async () => {
    const buffer = new UpsertBuffer(
      boundTo([column('k', 'text'), column('n', 'int4')], { key: 'k', onConflict: { n: 'add' } }),
    )
    buffer.append({ k: null, n: 1 }, 0)
    buffer.append({ k: null, n: 2 }, 1)
    expect((await sent(buffer))[0]?.data).toEqual(['{NULL,NULL}', '{"1","2"}'])
  })

  it('sends many rows in statements of a bounded size', async () => {
    const buffer = new UpsertBuffer(boundTo(columns, options))
    for (let index = 0; index < 10_001; index += 1) buffer.append({ k: `${index}`, n: 1 }, index)
    expect(await sent(buffer)).toHaveLength(2)
  })
})

describe('upsertMode', () => {
  const unique = (names: readonly string[] | undefined) => ({
    columns: names,
    arbiter: true,
    deferrable: false,
    nullsEqual: false,
  })
  const modeWith = (more: Parameters<typeof boundTo>[2]) => upsertMode(boundTo(columns, options, more))

  it('merges where nothing but the key is looked at', () => {
    expect(modeWith({})).toBe('merge')
    expect(modeWith({ uniques: [unique(['k']), unique(['n', 'k'])] })).toBe('merge')
    expect(modeWith({ constraints: [{ kind: 'foreign', columns: ['k'], deferrable: false }] })).toBe('merge')
  })

  it('sends rows one round after the other where more is looked at', () => {
    expect(modeWith({ constraints: [{ kind: 'foreign', columns: ['n'], deferrable: false }] })).toBe('rounds')
    expect(modeWith({ constraints: [{ kind: 'check', columns: undefined, deferrable: false }] })).toBe('rounds')
    expect(modeWith({ hasTriggers: true })).toBe('rounds')
    expect(upsertMode(boundTo([...columns, column('d', 'text', { isDomain: true })], options))).toBe('rounds')
  })

  it('sends rows in offset order where rows of different keys may clash', () => {
    expect(modeWith({ uniques: [unique(['k']), unique(['n'])] })).toBe('inOrder')
    expect(modeWith({ uniques: [unique(['k']), unique(undefined)] })).toBe('inOrder')
    expect(modeWith({ constraints: [{ kind: 'exclusion', columns: ['n'], deferrable: false }] })).toBe('inOrder')
  })
})
