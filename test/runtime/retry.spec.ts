import { describe, expect, it } from 'vitest'
import { table } from '../../sinks/table.ts'
import { StoreError, UnavailableError } from '../../src/core/errors.ts'
import { signal } from '../../src/core/signal.ts'
import type { CommitRequest, Store } from '../../src/core/store.ts'
import { base, numbers, Service, storeWith, toOut, upTo } from './_service.ts'

const away = () => new UnavailableError('MR-STORE-AWAY', { what: 'the database is away' })

/** A store whose commits fail before the given number of tries. */
function failing(service: Service, fails: (attempt: number) => Error | undefined, methods: Partial<Store> = {}) {
  const attempts: number[] = []
  const store = storeWith(service.store, {
    async commit(request: CommitRequest) {
      attempts.push(service.clock.now())
      const error = fails(attempts.length)
      if (error !== undefined) throw error
      await service.store.commit(request)
    },
    ...methods,
  })
  return { attempts, store }
}

describe('a batch that fails as a whole', () => {
  it('is tried 3 times, after 200 ms and after 400 ms, when the database is away', async () => {
    const service = new Service()
    service.append(upTo(3))
    const { attempts, store } = failing(service, (attempt) => (attempt < 3 ? away() : undefined))
    await service.start(toOut(base), { store })
    await service.advance(199)
    expect([attempts, service.rows]).toEqual([[0], []])
    await service.advance(1)
    expect([attempts, service.rows]).toEqual([[0, 200], []])
    await service.advance(400)
    expect([attempts, service.rows]).toEqual([[0, 200, 600], upTo(3)])
    await service.stop()
  })

  it('does not call callbacks again when only the commit failed', async () => {
    const service = new Service()
    service.append(upTo(3))
    let calls = 0
    const { store } = failing(service, (attempt) => (attempt < 3 ? away() : undefined))
    await service.start(toOut(base.tap(() => void calls++)), { store })
    await service.advance(1_000)
    expect([service.rows, calls]).toEqual([upTo(3), 3])
    await service.stop()
  })

  it('stops its stream after the third try; nothing is committed', async () => {
    const service = new Service()
    service.append(upTo(3))
    const { attempts, store } = failing(service, away)
    const { runner } = await service.start(toOut(base), { store })
    const failed = expect(runner.failed()).rejects.toThrow('the database is away')
    await service.advance(60_000)
    await failed
    expect([attempts.length, service.rows, await service.progress()]).toEqual([3, [], { 0: 0 }])
    await service.stop()
  })

  it('stops at once where another try would not help', async () => {
    const service = new Service()
    service.append(upTo(3))
    const { attempts, store } = failing(service, () => new StoreError('MR-STORE-X', { what: 'the table is gone' }))
    const { runner } = await service.start(toOut(base), { store })
    await expect(runner.failed()).rejects.toThrow('the table is gone')
    expect(attempts.length).toBe(1)
    await service.stop()
  })

  it('counts the tries of each batch by themselves', async () => {
    const service = new Service()
    service.append(upTo(6))
    const { store } = failing(service, (attempt) => (attempt % 3 === 0 ? undefined : away()))
    await service.start(toOut(base), { store, limits: { everyMs: 1_000, maxItems: 2, maxBytes: 2 ** 20 } })
    await service.advance(60_000)
    expect(service.rows).toEqual(upTo(6))
    await service.stop()
  })

  it('is given up at once when its partition is taken away', async () => {
    const service = new Service()
    service.append(upTo(3))
    const { attempts, store } = failing(service, (attempt) => (attempt === 1 ? away() : undefined))
    const { runner } = await service.start(toOut(base), { store })
    await service.settle()
    const [before] = runner.tasks
    expect(before?.state).toBe('retrying')
    service.broker.rebalance('app')
    await service.until('the next assignment read it again', () => service.rows.length === 3)
    expect([attempts.length, before?.state]).toEqual([2, 'ended'])
    await service.stop()
  })

  it('waits out a database that is away where a sink is written for the first time', async () => {
    const service = new Service()
    service.append(upTo(3))
    const side = table<{ n: number }>('side')
    let opened = 0
    const { store } = failing(service, () => undefined, {
      async open(sinks) {
        if (sinks.some((sink) => sink.name === side.name) && opened++ === 0) throw away()
      },
    })
    await service.start(toOut(base.tap((n, ctx) => ctx.write(side, { n }))), { store })
    await service.advance(60_000)
    expect([service.store.rows('side').length, service.rows]).toEqual([3, upTo(3)])
    await service.stop()
  })
})

describe('signal.error', () => {
  it('undoes the whole batch, the items before it included, and calls everything again', async () => {
    const service = new Service()
    service.append(upTo(3))
    const seen: number[] = []
    let failures = 0
    const plan = toOut(
      base.tap((n) => {
        seen.push(n)
        if (n === 1 && failures++ < 1) signal.error(new Error('not now'))
      }),
    )
    await service.start(plan)
    await service.advance(199)
    expect([service.rows, service.store.commits]).toEqual([[], 0])
    await service.advance(1)
    expect([service.rows, seen]).toEqual([upTo(3), [0, 1, 0, 1, 2]])
    await service.stop()
  })

  it('forgets who had fallen in the try before', async () => {
    const service = new Service()
    service.append(upTo(3))
    let tries = 0
    const plan = toOut(
      base
        .tap((n) => {
          if (n === 0 && tries === 0) throw new Error('only at first')
        })
        .tap((n) => void (n === 2 && tries++ === 0 && signal.error('again'))),
    )
    await service.start(plan)
    await service.advance(60_000)
    expect([service.rows, service.store.collected]).toEqual([upTo(3), []])
    await service.stop()
  })

  it('stops its stream after the third try, with the cause', async () => {
    const service = new Service()
    service.append(upTo(3))
    const cause = new Error('the service is down')
    const { runner } = await service.start(toOut(base.tap(() => signal.error(cause))))
    const failed = expect(runner.failed()).rejects.toMatchObject({ code: 'MR-SIGNAL-ERROR', cause })
    await service.advance(60_000)
    await failed
    expect(await service.progress()).toEqual({ 0: 0 })
    await service.stop()
  })
})

describe('decoding', () => {
  it('gives a replay values of its own: what a callback did to one does not show', async () => {
    const service = new Service()
    service.append([1, 2])
    let tries = 0
    const objects = {
      ...numbers,
      codec: {
        name: 'box',
        decode: (bytes: Buffer, from: number, to: number) => [Number(bytes.subarray(from, to))],
        encode: () => Buffer.alloc(0),
      },
    }
    const { stream } = await import('../../src/stream.ts')
    const plan = toOut(
      stream('s')
        .from(objects)
        .map((box) => {
          box[0] = (box[0] ?? 0) * 10
          return box[0]
        })
        .tap((n) => void (n === 20 && tries++ === 0 && signal.error('again'))),
    )
    await service.start(plan)
    await service.advance(60_000)
    expect(service.rows).toEqual([10, 20])
    await service.stop()
  })
})
