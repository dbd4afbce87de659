import { setImmediate as nextTurn } from 'node:timers/promises'
import fc from 'fast-check'
import { describe, expect, it, vi } from 'vitest'
import { table } from '../../sinks/table.ts'
import type { AsyncItemContext } from '../../src/core/context.ts'
import { signal } from '../../src/core/signal.ts'
import { slot } from '../../src/core/slot.ts'
import { stream } from '../../src/stream.ts'
import { assertOperatorLaws, testDriver } from '../../src/testing/index.ts'
import { driverOf, fewRuns, itemwiseCases, numbers, outcomesOf, rowsOf, upTo } from './_cases.ts'

const side = table<{ n: number }>('side')

/** Calls that end when the test says so. */
class Calls {
  readonly started: number[] = []
  readonly ctxs: AsyncItemContext[] = []
  readonly #open = new Map<number, { resolve: (n: number) => void; reject: (error: unknown) => void }>()

  readonly call = (n: number, ctx: AsyncItemContext): Promise<number> => {
    this.started.push(n)
    this.ctxs.push(ctx)
    return new Promise((resolve, reject) => this.#open.set(n, { resolve, reject }))
  }

  get open(): number[] {
    return [...this.#open.keys()]
  }

  async begun(count: number): Promise<void> {
    await vi.waitFor(() => expect(this.started.length).toBeGreaterThanOrEqual(count), { interval: 1 })
  }

  async end(n: number, result: number | Error = n): Promise<void> {
    const call = this.#open.get(n)
    this.#open.delete(n)
    if (result instanceof Error) call?.reject(result)
    else call?.resolve(result)
    await nextTurn()
  }
}

describe('mapAsync', () => {
  itemwiseCases({ step: 'mapAsync', apply: (base, act) => base.mapAsync(async (n, ctx) => act(n, ctx)) })

  describe('whose callback waits first', () => {
    itemwiseCases({
      step: 'mapAsync',
      apply: (base, act) =>
        base.mapAsync(
          async (n, ctx) => {
            await Promise.resolve()
            return act(n, ctx)
          },
          { order: 'none' },
        ),
    })
  })

  describe('whose callback is not asynchronous', () => {
    itemwiseCases({
      step: 'mapAsync',
      apply: (base, act) => base.mapAsync((n, ctx) => act(n, ctx), { concurrency: 1 }),
    })
  })

  it('gives values in offset order, whatever order the calls end in', async () => {
    const calls = new Calls()
    const t = driverOf((base) => base.mapAsync(calls.call))
    const sent = t.sendAll(numbers, upTo(3))
    await calls.begun(3)
    for (const n of [2, 0, 1]) await calls.end(n, n * 10)
    await sent
    expect(rowsOf(t)).toEqual([0, 10, 20])
  })

  it('rejects: the item is collected, the others stand', async () => {
    const calls = new Calls()
    const t = driverOf((base) => base.mapAsync(calls.call))
    const sent = t.sendAll(numbers, upTo(3))
    await calls.begun(3)
    await calls.end(1, new RangeError('no'))
    await calls.end(0)
    await calls.end(2)
    await sent
    expect([rowsOf(t), outcomesOf(t)]).toEqual([
      [0, 2],
      ['0 done', '1 collected', '2 done'],
    ])
    expect(t.errors()).toMatchObject([{ step: 'mapAsync', error: { name: 'RangeError', message: 'no' } }])
  })

  it('keeps the laws of operators', () =>
    assertOperatorLaws((values) => values.mapAsync(async (n) => n + 1), fc.integer(), fewRuns))

  it('keeps them where calls end in any order', () =>
    assertOperatorLaws(
      (values) =>
        values.mapAsync(
          async (n) => {
            for (let turn = n; turn > 0; turn--) await Promise.resolve()
            if (n === 3) throw new Error('three')
            return n
          },
          { order: 'none', concurrency: 3 },
        ),
      fc.nat(5),
      fewRuns,
    ))
})

describe('the concurrency of mapAsync', () => {
  it('is the number of calls in flight, 16 unless it is said', async () => {
    for (const concurrency of [1, 3, undefined]) {
      const calls = new Calls()
      const t = driverOf((base) =>
        base.mapAsync(calls.call, { order: 'none', ...(concurrency === undefined ? {} : { concurrency }) }),
      )
      const sent = t.sendAll(numbers, upTo(40))
      const bound = concurrency ?? 16
      await calls.begun(bound)
      for (let ended = 0; ended < 40; ended++) {
        expect(calls.open.length).toBe(Math.min(bound, 40 - ended))
        await calls.end(calls.open[0] as number)
      }
      await sent
      expect(rowsOf(t)).toEqual(upTo(40))
    }
  })

  it('is checked', () => {
    const base = stream('s').from(numbers)
    expect(() => base.mapAsync(async (n) => n, { concurrency: 0 })).toThrow(
      /"concurrency" must be a whole number from 1/,
    )
    expect(() => base.mapAsync(async (n) => n, { order: 'any' } as never)).toThrow(
      '"order" must be one of "key", "none"',
    )
    expect(() => base.mapAsync(async (n) => n, { retry: {} } as never)).toThrow('"retry" is not in this release')
  })
})

describe("order: 'key'", () => {
  it('keeps one call in flight for each key, started in offset order', async () => {
    const calls = new Calls()
    const t = driverOf((base) => base.mapAsync(calls.call, { concurrency: 10 }))
    const sent = t.sendAll(numbers, upTo(6), (n) => ({ key: n % 2 === 0 ? 'even' : 'odd' }))
    await calls.begun(2)
    expect(calls.started).toEqual([0, 1])
    await calls.end(1)
    expect(calls.started).toEqual([0, 1, 3])
    await calls.end(3)
    await calls.end(5)
    expect(calls.started).toEqual([0, 1, 3, 5])
    for (const n of [0, 2, 4]) await calls.end(n)
    await sent
    expect(rowsOf(t)).toEqual(upTo(6))
  })

  it('promises nothing for records without a key', async () => {
    const calls = new Calls()
    const t = driverOf((base) => base.mapAsync(calls.call, { concurrency: 10 }))
    const sent = t.sendAll(numbers, upTo(3))
    await calls.begun(3)
    for (const n of upTo(3)) await calls.end(n)
    await sent
    expect(rowsOf(t)).toEqual(upTo(3))
  })

  it('goes on with a key whose call failed', async () => {
    const t = driverOf((base) =>
      base.mapAsync(async (n) => {
        if (n === 1) throw new Error('one')
        return n
      }),
    )
    await t.sendAll(numbers, upTo(4), { key: 'k' })
    expect(rowsOf(t)).toEqual([0, 2, 3])
  })
})

describe('the timeout of mapAsync', () => {
  it('collects an item whose call does not settle, and aborts the call', async () => {
    const calls = new Calls()
    const t = driverOf((base) => base.mapAsync(calls.call, { timeoutMs: 2_000 }))
    const sent = t.sendAll(numbers, upTo(2))
    await calls.begun(2)
    await calls.end(0)
    await t.advanceBy(1_999)
    expect(calls.ctxs[1]?.abortSignal.aborted).toBe(false)
    await t.advanceBy(1)
    await sent
    expect(calls.ctxs[1]?.abortSignal.aborted).toBe(true)
    expect(rowsOf(t)).toEqual([0])
    expect(t.errors()).toMatchObject([{ offset: 1, step: 'mapAsync', error: { code: 'MR-ASYNC-TIMEOUT' } }])
    expect(t.errors()[0]?.error.message).toContain('the callback did not settle within 2000 ms')
  })

  it('is 30 s unless it is said', async () => {
    const calls = new Calls()
    const t = driverOf((base) => base.mapAsync(calls.call))
    const sent = t.send(numbers, 0)
    await calls.begun(1)
    await t.advanceBy(29_999)
    expect(t.errors()).toEqual([])
    await t.advanceBy(1)
    await sent
    expect(t.errors()).toMatchObject([{ error: { code: 'MR-ASYNC-TIMEOUT' } }])
  })

  it('lets a result that comes too late have no effect', async () => {
    const calls = new Calls()
    const t = driverOf((base) => base.mapAsync(calls.call, { timeoutMs: 10 }))
    const sent = t.sendAll(numbers, upTo(2))
    await calls.begun(2)
    await calls.end(1)
    await t.advanceBy(10)
    await calls.end(0)
    await sent
    expect([rowsOf(t), outcomesOf(t)]).toEqual([[1], ['0 collected', '1 done']])
  })
})

describe('the context of a call', () => {
  it('is sealed when the call has settled', async () => {
    const late: unknown[] = []
    let finish = () => {}
    const t = driverOf((base) =>
      base.mapAsync(async (n, ctx) => {
        void new Promise<void>((resolve) => {
          finish = resolve
        }).then(() => {
          for (const use of [() => ctx.write(side, { n }), () => ctx.record, () => ctx.scope.item.get(counted)]) {
            try {
              use()
            } catch (error) {
              late.push(error)
            }
          }
        })
        return n
      }),
    )
    await t.send(numbers, 1)
    finish()
    await nextTurn()
    expect(late).toHaveLength(3)
    for (const error of late)
      expect(String(error)).toMatch(/a ctx was used after its callback had ended.*MR-CTX-SEALED/s)
    expect(t.rows(side)).toEqual([])
  })

  it('is sealed when the call has timed out', async () => {
    const calls = new Calls()
    const t = driverOf((base) => base.mapAsync(calls.call, { timeoutMs: 5 }))
    const sent = t.send(numbers, 1)
    await calls.begun(1)
    await t.advanceBy(5)
    await sent
    expect(() => calls.ctxs[0]?.write(side, { n: 1 })).toThrow('MR-CTX-SEALED')
  })

  const counted = slot('counted', () => 0)

  it('has the scope of its item, before and behind the call', async () => {
    const t = testDriver(
      stream('s')
        .from(numbers)
        .tap((n, ctx) => ctx.scope.item.set(counted, n))
        .mapAsync(async (n, ctx) => {
          await nextTurn()
          ctx.scope.item.update(counted, (known) => known + 100)
          return n
        })
        .to(side, (_, ctx) => ({ n: ctx.scope.item.get(counted) })),
    )
    await t.sendAll(numbers, upTo(3))
    expect(t.rows(side)).toEqual([{ n: 100 }, { n: 101 }, { n: 102 }])
  })

  it("writes in the item's turn: rows of several calls stand in offset order", async () => {
    const t = driverOf((base) =>
      base.mapAsync(
        async (n, ctx) => {
          for (let turn = 5 - n; turn > 0; turn--) await Promise.resolve()
          ctx.write(side, { n })
          return n
        },
        { order: 'none' },
      ),
    )
    await t.sendAll(numbers, upTo(5))
    expect(t.rows(side)).toEqual(upTo(5).map((n) => ({ n })))
  })

  it('keeps what a continuing call wrote, and undoes what an ignoring one did', async () => {
    const t = driverOf((base) =>
      base.mapAsync(async (n, ctx) => {
        ctx.write(side, { n })
        await nextTurn()
        if (n === 1) signal.continue()
        if (n === 2) signal.ignore()
        return n
      }),
    )
    await t.sendAll(numbers, upTo(4))
    expect(t.rows(side)).toEqual([{ n: 0 }, { n: 1 }, { n: 3 }])
    expect(rowsOf(t)).toEqual([0, 3])
  })

  it('has a key that is the same for every try of a call, and different for any other', async () => {
    const keys = new Map<string, Set<string>>()
    let failures = 0
    const t = testDriver(
      stream('s')
        .from(numbers)
        .flatMap((n) => [n, n + 1])
        .batch({ max: 1 })
        .flatten()
        .mapAsync(async (n, ctx) => {
          const call = `${ctx.records.map(({ offset }) => offset)}/${n}`
          keys.set(call, (keys.get(call) ?? new Set()).add(ctx.idempotencyKey))
          return n
        })
        .tap(() => void (failures++ < 2 && signal.error('again'))),
    )
    await t.sendAll(numbers, [10, 20])
    await t.advanceBy(60_000)
    expect(t.counts()).toMatchObject({ done: 2 })
    expect(keys.size).toBe(4)
    for (const own of keys.values()) expect(own.size).toBe(1)
    expect(new Set([...keys.values()].flatMap((own) => [...own])).size).toBe(4)
  })
})

describe('a call that was made', () => {
  const counting = () => {
    const made: number[] = []
    const call = async (n: number) => {
      made.push(n)
      return n
    }
    return { made, call }
  }

  it('is not made again when the batch is replayed without another item', async () => {
    const { made, call } = counting()
    const t = driverOf((base) =>
      base
        .mapAsync(call)
        .batch({ max: 4 })
        .tap((group) => {
          if (group.includes(2)) throw new Error('two')
        })
        .flatten(),
    )
    await t.sendAll(numbers, upTo(4))
    expect([rowsOf(t), made]).toEqual([[0, 1, 3], upTo(4)])
  })

  it('is not made again when the batch is tried again', async () => {
    const { made, call } = counting()
    let failures = 0
    const t = driverOf((base) => base.mapAsync(call).tap(() => void (failures++ < 1 && signal.error('again'))))
    await t.sendAll(numbers, upTo(3))
    await t.advanceBy(60_000)
    expect([rowsOf(t), made]).toEqual([upTo(3), upTo(3)])
  })

  it('is not made again for items behind a break', async () => {
    const { made, call } = counting()
    let broken = 0
    const t = driverOf((base) =>
      base.mapAsync(call).tap((n) => void (n === 1 && broken++ === 0 && signal.break('later', { resumeAfterMs: 10 }))),
    )
    await t.sendAll(numbers, upTo(4))
    await t.advanceBy(10)
    expect([rowsOf(t), made]).toEqual([upTo(4), upTo(4)])
  })

  it('is made again when its input is another one', async () => {
    const { made, call } = counting()
    let tries = 0
    const t = driverOf((base) =>
      base
        .map((n) => n + tries * 100)
        .mapAsync(call)
        .tap(() => void (tries++ < 1 && signal.error('again'))),
    )
    await t.sendAll(numbers, [1])
    await t.advanceBy(60_000)
    expect(made).toEqual([1, 101])
  })

  it('is made again when it broke off or failed the batch', async () => {
    const made: number[] = []
    const t = driverOf((base) =>
      base.mapAsync(
        async (n) => {
          made.push(n)
          if (n === 2 && made.filter((other) => other === 2).length === 1) signal.break('later', { resumeAfterMs: 10 })
          return n
        },
        { concurrency: 1 },
      ),
    )
    await t.sendAll(numbers, upTo(4))
    await t.advanceBy(10)
    expect([rowsOf(t), made]).toEqual([upTo(4), [0, 1, 2, 3, 2]])
  })
})

describe('an asynchronous signal', () => {
  it('that is swallowed in one call is not blamed on another', async () => {
    const t = driverOf((base) =>
      base.mapAsync(
        async (n) => {
          try {
            if (n === 1) signal.ignore()
          } catch {}
          await nextTurn()
          return n
        },
        { order: 'none' },
      ),
    )
    await t.sendAll(numbers, upTo(4))
    expect(rowsOf(t)).toEqual([0, 2, 3])
    expect(t.errors()).toMatchObject([{ offset: 1, error: { code: 'MR-SIGNAL-SWALLOWED' } }])
  })

  it('works at any depth of promises', async () => {
    const deep = async (depth: number): Promise<never> => {
      await nextTurn()
      return depth === 0 ? signal.ignore('deep') : deep(depth - 1)
    }
    const t = driverOf((base) => base.mapAsync(async (n) => (n === 1 ? deep(3) : n)))
    await t.sendAll(numbers, upTo(3))
    expect([rowsOf(t), t.outcomes()[1]?.reason]).toEqual([[0, 2], 'deep'])
  })
})

describe('a call that never ends', () => {
  it('is aborted and given up when its stream is stopped; nothing of its batch is committed', async () => {
    const calls = new Calls()
    const t = driverOf((base) => base.mapAsync(calls.call))
    const sent = t.send(numbers, 0)
    await calls.begun(1)
    const stopped = t.stop()
    await t.advanceBy(10_000)
    await stopped
    expect(calls.ctxs[0]?.abortSignal.aborted).toBe(true)
    expect([rowsOf(t), t.commits()]).toEqual([[], []])
    void sent.catch(() => {})
  })
})
