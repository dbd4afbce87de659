import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { ItemError, StoreError } from '../../src/core/errors.ts'
import { CopyBuffer } from '../../src/postgres/copyBuffer.ts'
import type { Selection } from '../../src/postgres/tableBuffer.ts'
import { boundTo, column, recordingLink } from './support.ts'

const everything = { asAppended: true, position: (owner: number) => owner }

const columns = [column('id', 'int4'), column('name', 'text'), column('at', 'timestamptz', { hasDefault: true })]

async function copied(buffer: CopyBuffer, selection: Selection = everything) {
  const { link, told } = recordingLink()
  await buffer.inTransactionFlush(link, selection)
  return told.map(({ text, data }) => `${text}: ${String(data)}`)
}

/** The rows that COPY would make, in no order, without what is null. */
async function rowsOf(buffer: CopyBuffer) {
  const rows = (await copied(buffer)).flatMap((text) => {
    const [, names = '', lines = ''] = /\((.*)\) from stdin: (.*)\n$/s.exec(text) ?? []
    return lines.split('\n').map((line) => {
      const values = line.split('\t')
      const pairs = names.split(', ').map((name, index) => `${name}=${values[index]}`)
      return pairs
        .filter((pair) => !pair.endsWith('=\\N'))
        .sort()
        .join(' ')
    })
  })
  return rows.sort()
}

describe('CopyBuffer', () => {
  it('writes rows of one shape by one COPY, with the columns of the first', async () => {
    const buffer = new CopyBuffer(boundTo(columns))
    buffer.append({ name: 'a', id: 1 }, 0)
    buffer.append({ name: 'b', id: 2 }, 1)
    expect(await copied(buffer)).toEqual(['copy public.t (name, id) from stdin: a\t1\nb\t2\n'])
    expect(buffer.length).toBe(2)
    expect(buffer.byteSize).toBeGreaterThan(8)
  })

  it('sends nothing for no row', async () => {
    expect(await copied(new CopyBuffer(boundTo(columns)))).toEqual([])
  })

  it('takes properties in any order', async () => {
    const buffer = new CopyBuffer(boundTo(columns))
    buffer.append({ id: 1, name: 'a' }, 0)
    buffer.append({ name: 'b', id: 2 }, 1)
    expect(await copied(buffer)).toEqual(['copy public.t (id, name) from stdin: 1\ta\n2\tb\n'])
  })

  it('writes null for a column that is left out and has no default', async () => {
    const buffer = new CopyBuffer(boundTo(columns))
    buffer.append({ id: 1, name: 'a' }, 0)
    buffer.append({ id: 2 }, 1)
    buffer.append({ id: 3, name: undefined }, 2)
    buffer.append({ id: 4, name: null }, 3)
    expect(await copied(buffer)).toEqual(['copy public.t (id, name) from stdin: 1\ta\n2\t\\N\n3\t\\N\n4\t\\N\n'])
  })

  it('leaves out a column with a default, by a COPY of its own', async () => {
    const buffer = new CopyBuffer(boundTo(columns))
    buffer.append({ id: 1, at: new Date(0) }, 0)
    buffer.append({ id: 2, at: undefined }, 1)
    buffer.append({ id: 3, at: new Date(1) }, 2)
    buffer.append({ id: 4, at: null }, 3)
    expect(await copied(buffer)).toEqual([
      'copy public.t (id, at) from stdin: 1\t1970-01-01T00:00:00Z\n3\t1970-01-01T00:00:00.001Z\n4\t\\N\n',
      'copy public.t (id) from stdin: 2\n',
    ])
  })

  it('writes only the stated columns', async () => {
    const buffer = new CopyBuffer(boundTo(columns, { columns: ['id'] }))
    buffer.append({ id: 1, name: 'a', other: {} }, 0)
    buffer.append({ id: 2, name: undefined, other: undefined }, 1)
    expect(await copied(buffer)).toEqual(['copy public.t (id) from stdin: 1\n2\n'])
  })

  it('names the column that the table lacks, what is written and what there is', () => {
    const buffer = new CopyBuffer(boundTo(columns))
    const append = () => buffer.append({ id: 1, delayed: true }, 0)
    expect(append).toThrow(StoreError)
    expect(append).toThrow(
      'millrace: table "t" has no column "delayed"\n' +
        '  The plan writes id, delayed; the table has id, name, at.\n' +
        "  Add the column, or choose what is written: .to(table('t'), t => ({ … })).  MR-SINK-COLUMN",
    )
  })

  it('keeps nothing of a row with a value that does not fit', async () => {
    const buffer = new CopyBuffer(boundTo(columns))
    expect(() => buffer.append({ id: 1, name: {} }, 0)).toThrow(ItemError)
    buffer.append({ id: 2, name: 'b' }, 1)
    expect(() => buffer.append({ name: 'c', id: Number.NaN }, 2)).toThrow(ItemError)
    expect(() => buffer.append({}, 3)).toThrow('no value at all')
    expect(buffer.length).toBe(1)
    expect(await copied(buffer)).toEqual(['copy public.t (id, name) from stdin: 2\tb\n'])
  })

  it('refuses null and nothing for a column that must not be null, unless a trigger may fill it in', async () => {
    const strict = [column('id', 'int4', { notNull: true }), column('name', 'text')]
    const buffer = new CopyBuffer(boundTo(strict))
    expect(() => buffer.append({ id: null, name: 'a' }, 0)).toThrow('must not be null, and the row has null for it')
    expect(() => buffer.append({ name: 'a' }, 0)).toThrow('must not be null, and the row has nothing for it')
    expect(buffer.length).toBe(0)
    const filled = new CopyBuffer(boundTo(strict, {}, { hasTriggers: true }))
    filled.append({ id: null, name: 'a' }, 0)
    filled.append({ name: 'b' }, 1)
    expect(await copied(filled)).toHaveLength(2)
  })

  it('refuses a generated column', () => {
    const buffer = new CopyBuffer(boundTo([column('id', 'int4', { generated: true })]))
    expect(() => buffer.append({ id: 1 }, 0)).toThrow('MR-SINK-GENERATED')
  })

  it('drops the rows of undone owners, and writes in offset order', async () => {
    const buffer = new CopyBuffer(boundTo(columns))
    for (const [id, owner] of [
      [1, 5],
      [2, 3],
      [3, 5],
      [4, 9],
      [5, -1],
    ] as const)
      buffer.append({ id }, owner)
    const positions = new Map([
      [5, 5],
      [3, 3],
      [-1, 4],
    ])
    const selection = { asAppended: false, position: (owner: number) => positions.get(owner) }
    expect(await copied(buffer, selection)).toEqual(['copy public.t (id) from stdin: 2\n5\n1\n3\n'])
  })

  it('goes back to any savepoint: what is left is what was appended before it', async () => {
    const row = fc.oneof(
      fc.record({ id: fc.nat() }),
      fc.record({ id: fc.nat(), at: fc.constant(new Date(0)) }),
      fc.record({ name: fc.string(), id: fc.nat() }),
    )
    const step = fc.oneof(fc.record({ row }), fc.record({ back: fc.double({ min: 0, max: 1, noNaN: true }) }))
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 60 }), async (steps) => {
        const buffer = new CopyBuffer(boundTo(columns))
        const kept: object[] = []
        for (const next of steps) {
          if ('row' in next) {
            buffer.append(next.row, kept.length)
            kept.push(next.row)
          } else {
            kept.length = Math.floor(next.back * kept.length)
            buffer.truncate(kept.length)
          }
        }
        const fresh = new CopyBuffer(boundTo(columns))
        kept.forEach((each, owner) => {
          fresh.append(each, owner)
        })
        expect(buffer.length).toBe(kept.length)
        expect(await rowsOf(buffer)).toEqual(await rowsOf(fresh))
      }),
    )
  })

  it('is empty again after a commit', async () => {
    const buffer = new CopyBuffer(boundTo(columns))
    buffer.append({ id: 1 }, 0)
    buffer.truncate(0)
    expect(buffer.length).toBe(0)
    expect(buffer.byteSize).toBe(0)
    buffer.append({ id: 2 }, 0)
    expect(await copied(buffer)).toEqual(['copy public.t (id) from stdin: 2\n'])
  })
})
