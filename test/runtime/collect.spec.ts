import { describe, expect, it } from 'vitest'
import { stream } from '../../src/stream.ts'
import { testDriver } from '../../src/testing/testDriver.ts'
import { base, numbers, upTo } from './_service.ts'

const hostile = Object.assign(new Error('x'), { name: 5, message: Object.create(null), stack: {}, code: 7 })

const closed = Object.defineProperty(new Error('x'), 'message', {
  get() {
    throw new Error('nobody may look')
  },
})

describe('what a callback throws', () => {
  const thrown: readonly (readonly [unknown, { name: string; message: string; code?: string | null }])[] = [
    [new TypeError('t'), { name: 'TypeError', message: 't', code: null }],
    [Object.assign(new Error('e'), { code: 'E1' }), { name: 'Error', message: 'e', code: 'E1' }],
    ['text', { name: 'string', message: 'text' }],
    [null, { name: 'object', message: 'null' }],
    [undefined, { name: 'undefined', message: 'undefined' }],
    [Object.create(null), { name: 'object', message: '[object Object]' }],
    [{ code: 'C' }, { name: 'object', message: '[object Object]', code: 'C' }],
    [Symbol('s'), { name: 'symbol', message: 'Symbol(s)' }],
    [closed, { name: 'Error', message: 'undefined' }],
    [hostile, { name: '5', message: '[object Object]', code: null }],
  ]

  it('is collected, whatever it is', async () => {
    const t = testDriver(
      base.map((n): number => {
        throw thrown[n]?.[0]
      }),
    )
    await t.sendAll(numbers, upTo(thrown.length))
    expect(t.errors().map(({ error }) => error)).toMatchObject(thrown.map(([, error]) => error))
  })

  it('is collected, whatever a call rejects with', async () => {
    const t = testDriver(base.mapAsync((n) => Promise.reject(thrown[n]?.[0])))
    await t.sendAll(numbers, upTo(thrown.length))
    expect(t.errors().map(({ error }) => error)).toMatchObject(thrown.map(([, error]) => error))
  })

  it('stops the stream where it is the plan that is wrong', async () => {
    const t = testDriver(
      base.map(() => {
        stream('')
        return 1
      }),
    )
    await expect(t.sendAll(numbers, upTo(3))).rejects.toThrow('stream() needs a name that is not empty')
    expect(t.errors()).toEqual([])
  })
})

describe('the error collector', () => {
  it('has an item once, though several of its ways failed', async () => {
    const boom = (message: string) => () => {
      throw new Error(message)
    }
    const t = testDriver([base.tap(boom('one')), base.tap(boom('two')), base.mapAsync(boom('three'))])
    await t.sendAll(numbers, upTo(2))
    expect(t.errors().map(({ offset, error }) => [offset, error.message])).toEqual([
      [0, 'one'],
      [1, 'one'],
    ])
  })

  it('commits with its batch: nothing of a batch that failed is in it', async () => {
    let tries = 0
    const t = testDriver(
      base
        .tap((n) => {
          if (n === 0) throw new Error('zero')
        })
        .batch({ max: 10 })
        .tap(() => {
          tries++
          throw new SyntaxError('all')
        }),
    )
    await t.sendAll(numbers, upTo(1))
    expect([t.errors().length, tries]).toEqual([1, 0])
  })
})
