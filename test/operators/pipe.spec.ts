import { setImmediate as nextTurn } from 'node:timers/promises'
import {
  bufferCount,
  catchError,
  EMPTY,
  ignoreElements,
  map,
  mergeMap,
  Observable,
  type OperatorFunction,
  of,
  Subject,
  take,
} from 'rxjs'
import { describe, expect, it } from 'vitest'
import { table } from '../../sinks/table.ts'
import { signal } from '../../src/core/signal.ts'
import { stream } from '../../src/stream.ts'
import { testDriver } from '../../src/testing/testDriver.ts'
import { driverOf, numbers, outcomesOf, rowsOf, upTo } from './_cases.ts'

const side = table<{ n: number }>('side')

/** An operator that notes what it is given, and gives what the test says, when it says so. */
class Box {
  readonly given: number[] = []
  readonly #out = new Subject<number>()
  subscribed = 0

  readonly operator: OperatorFunction<number, number> = (source) =>
    new Observable((subscriber) => {
      this.subscribed++
      const inner = source.subscribe((n) => this.given.push(n))
      const outer = this.#out.subscribe(subscriber)
      return () => {
        this.subscribed--
        inner.unsubscribe()
        outer.unsubscribe()
      }
    })

  async give(...values: number[]): Promise<void> {
    for (const n of values) this.#out.next(n)
    for (let turn = 0; turn < 10; turn++) await nextTurn()
  }
}

describe('pipe', () => {
  it('gives nothing for nothing', async () => {
    const t = driverOf((base) => base.pipe(map((n) => n)))
    await t.sendAll(numbers, [])
    expect(rowsOf(t)).toEqual([])
  })

  it('hands values to RxJS and takes what comes back', async () => {
    const t = driverOf((base) => base.pipe(map((n) => n * 2)))
    await t.sendAll(numbers, upTo(100))
    expect(rowsOf(t)).toEqual(upTo(100).map((n) => n * 2))
    expect(t.counts()).toMatchObject({ done: 100 })
  })

  it('takes a chain of operators', async () => {
    const t = driverOf((base) =>
      base.pipe((values) =>
        values.pipe(
          mergeMap((n) => of(n, n + 1)),
          bufferCount(3),
          map((group) => group.reduce((sum, n) => sum + n, 0)),
        ),
      ),
    )
    await t.sendAll(numbers, [0, 10, 20])
    expect(rowsOf(t)).toEqual([11, 52])
  })

  it('counts items as done, whatever RxJS makes of them', async () => {
    const t = driverOf((base) => base.pipe(ignoreElements()))
    await t.sendAll(numbers, upTo(3))
    expect([rowsOf(t), outcomesOf(t)]).toEqual([[], ['0 done', '1 done', '2 done']])
  })

  it('takes what comes back late into a batch of its own', async () => {
    const box = new Box()
    const t = driverOf((base) => base.pipe(box.operator))
    await t.sendAll(numbers, [1, 2])
    expect([box.given, rowsOf(t)]).toEqual([[1, 2], []])
    await box.give(7, 8)
    expect(rowsOf(t)).toEqual([7, 8])
    await t.send(numbers, 3)
    await box.give(9)
    expect([box.given, rowsOf(t)]).toEqual([
      [1, 2, 3],
      [7, 8, 9],
    ])
    expect(t.counts()).toMatchObject({ done: 3 })
  })

  it('lets late values join the batch that is open', async () => {
    const box = new Box()
    const t = driverOf((base) => base.pipe(box.operator).batch({ maxWaitMs: 1_000 }).flatten())
    await t.send(numbers, 1)
    await box.give(7)
    await t.advanceBy(1_000)
    expect(rowsOf(t)).toEqual([7])
  })

  it('shows RxJS no item that fell before', async () => {
    const box = new Box()
    const t = driverOf((base) =>
      base
        .map((n) => (n === 1 ? signal.ignore() : n))
        .mapAsync(async (n) => {
          if (n === 2) throw new Error('two')
          return n
        })
        .pipe(box.operator),
    )
    await t.sendAll(numbers, upTo(4))
    expect(box.given).toEqual([0, 3])
  })

  it('shows RxJS each value once, however often the batch is replayed', async () => {
    const box = new Box()
    let failures = 0
    const base = stream('s').from(numbers)
    const t = testDriver([
      base.pipe(box.operator),
      base
        .batch({ max: 10 })
        .tap((group) => {
          if (group.includes(2)) throw new Error('two')
        })
        .tap(() => void (failures++ < 2 && signal.error('again'))),
    ])
    await t.sendAll(numbers, upTo(5))
    await t.advanceBy(60_000)
    expect(t.counts()).toMatchObject({ done: 4, collected: 1 })
    expect(box.given.filter((n) => n !== 2)).toEqual([0, 1, 3, 4])
  })

  it('shows RxJS each value once, also where the batch was cut before it', async () => {
    const box = new Box()
    let broken = 0
    const base = stream('s').from(numbers)
    const t = testDriver(
      [
        base.pipe(box.operator),
        base
          .batch({ max: 2 })
          .tap((group) => void (group.includes(2) && broken++ === 0 && signal.break('later', { resumeAfterMs: 10 }))),
        base.batch({ max: 5 }).to(side, ([n = 0]) => ({ n })),
      ],
      { refuses: (_, row) => (row.n === 0 ? '23514' : undefined) },
    )
    await t.sendAll(numbers, upTo(6))
    await t.advanceBy(60_000)
    expect(box.given).toEqual(upTo(6))
  })
})

describe('behind pipe', () => {
  it('a value that throws is collected without a record, and the others stand', async () => {
    const t = driverOf((base) =>
      base.pipe(map((n) => n)).tap((n) => {
        if (n === 1) throw new Error('one')
      }),
    )
    await t.sendAll(numbers, upTo(3))
    expect(rowsOf(t)).toEqual([0, 2])
    expect(outcomesOf(t)).toEqual(['0 done', '1 done', '2 done'])
    expect(t.errors()).toMatchObject([{ step: 'tap', offset: -1, value: null, error: { message: 'one' } }])
  })

  it('signal.ignore() undoes a value, and signal.continue() ends it', async () => {
    const t = driverOf((base) =>
      base
        .pipe(map((n) => n))
        .to(side, (n) => ({ n }))
        .tap((n) => {
          if (n === 1) signal.ignore()
          if (n === 2) signal.continue()
        }),
    )
    await t.sendAll(numbers, upTo(4))
    expect([t.rows(side), rowsOf(t)]).toEqual([
      [{ n: 0 }, { n: 2 }, { n: 3 }],
      [0, 3],
    ])
  })

  it('signal.error() fails the batch, and what RxJS gave is not lost by the next try', async () => {
    let failures = 0
    const t = driverOf((base) => base.pipe(map((n) => n)).tap(() => void (failures++ < 1 && signal.error('again'))))
    await t.sendAll(numbers, upTo(3))
    await t.advanceBy(60_000)
    expect(rowsOf(t)).toEqual(upTo(3))
  })

  it('a row that the table refuses stops the stream: no item can be put aside for it', async () => {
    const t = driverOf((base) => base.pipe(map((n) => n)), { refuses: () => '23514' })
    await expect(t.sendAll(numbers, [1])).rejects.toThrow(/refused a row that was made behind pipe.*MR-RX-ROW/s)
    expect(t.commits()).toEqual([])
  })

  it('rows may be grouped', async () => {
    const t = driverOf((base) =>
      base
        .pipe(map((n) => n))
        .batch({ max: 2 })
        .flatten(),
    )
    await t.sendAll(numbers, upTo(3))
    expect(rowsOf(t)).toEqual(upTo(3))
  })
})

describe('an RxJS operator', () => {
  it('that fails stops the stream by name', async () => {
    const t = driverOf((base) =>
      base.pipe(
        map((n) => {
          if (n === 1) throw new Error('inside')
          return n
        }),
      ),
    )
    await expect(t.sendAll(numbers, upTo(3))).rejects.toThrow(
      /the RxJS operator ended with an error.*step "pipe".*MR-RX-ERROR/s,
    )
    expect(t.commits()).toEqual([])
  })

  it('that raises a signal is told that it is not in an item', async () => {
    const t = driverOf((base) => base.pipe(map((n) => (n === 1 ? signal.ignore() : n))))
    await expect(t.sendAll(numbers, upTo(3))).rejects.toThrow(/signal\.ignore\(\).*MR-RX-ERROR/s)
  })

  it('that catches a signal of its own blames no item for it', async () => {
    const t = driverOf((base) =>
      base.pipe(
        mergeMap((n) =>
          of(n).pipe(
            map((n) => (n === 1 ? signal.ignore() : n)),
            catchError(() => EMPTY),
          ),
        ),
      ),
    )
    await t.sendAll(numbers, upTo(3))
    await t.sendAll(numbers, upTo(3))
    expect([rowsOf(t), t.counts()]).toMatchObject([[0, 2, 0, 2], { done: 6, collected: 0 }])
  })

  it('that ends early takes nothing more, and items go on being done', async () => {
    const t = driverOf((base) => base.pipe(take(2)))
    await t.sendAll(numbers, upTo(5))
    await t.sendAll(numbers, upTo(5))
    expect([rowsOf(t), t.counts()]).toMatchObject([[0, 1], { done: 10 }])
  })

  it('that never ends is unsubscribed when its stream is stopped', async () => {
    const box = new Box()
    const t = driverOf((base) => base.pipe(box.operator))
    await t.send(numbers, 1)
    expect(box.subscribed).toBe(1)
    await t.stop()
    expect(box.subscribed).toBe(0)
  })
})
