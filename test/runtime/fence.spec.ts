import { setImmediate as nextTurn } from 'node:timers/promises'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { FenceReleasedError } from '../../src/core/errors.ts'
import { base, numbers, Service, storeWith, toOut, upTo } from './_service.ts'

const sorted = (values: readonly number[]) => values.toSorted((a, b) => a - b)

describe('a task that lost its fence', () => {
  const losing = async () => {
    const service = new Service()
    const claims = { count: 0 }
    const store = storeWith(service.store, {
      claim(task, starts) {
        claims.count++
        return service.store.claim(task, starts)
      },
    })
    const { runner } = await service.start(toOut(base), { store })
    service.append(upTo(3))
    await service.settle()
    expect([service.rows, claims.count]).toEqual([upTo(3), 1])
    // Somebody else takes the task over behind the group's back.
    await service.store.claim({ app: 'app', stream: 's', partition: 0 }, [])
    service.append(upTo(3, 3))
    await service.advance(29_000)
    expect([service.rows, claims.count, runner.tasks]).toEqual([upTo(3), 1, []])
    return { service, claims }
  }

  it('ends, and commits nothing before the next group join', async () => {
    const { service, claims } = await losing()
    service.broker.rebalance('app')
    await service.until('the next join gave the partition back', () => service.rows.length === 6)
    await service.advance(60_000)
    expect([service.rows, claims.count]).toEqual([upTo(6), 2])
    await service.stop()
  })

  it('claims again when there is no group join and the other must have learnt that it has lost the partition', async () => {
    const { service, claims } = await losing()
    await service.advance(1_000)
    expect([service.rows, claims.count]).toEqual([upTo(6), 2])
    await service.stop()
  })

  it('claims at once where nobody has the partition', async () => {
    const service = new Service()
    let isTakenAway = true
    const store = storeWith(service.store, {
      commit(request) {
        if (!isTakenAway) return service.store.commit(request)
        isTakenAway = false
        return Promise.reject(new FenceReleasedError('MR-FENCE-RELEASED', { what: 'taken away' }))
      },
    })
    await service.start(toOut(base), { store })
    service.append(upTo(3))
    await service.advance(0)
    expect(service.rows).toEqual(upTo(3))
    await service.stop()
  })

  it('claims nothing any more when the service stops', async () => {
    const { service, claims } = await losing()
    await service.stop()
    await service.advance(60_000)
    expect([service.rows, claims.count]).toEqual([upTo(3), 1])
  })

  it('holds up no other partition', async () => {
    const service = new Service({ partitions: 2 })
    await service.start(toOut(base))
    await service.settle()
    await service.store.claim({ app: 'app', stream: 's', partition: 0 }, [])
    service.append(upTo(3), 0)
    service.append(upTo(3, 10), 1)
    await service.settle()
    expect(service.rows).toEqual(upTo(3, 10))
    await service.stop()
  })

  it('gives back what it held of the budget', async () => {
    const service = new Service({ partitions: 2, chunkRecords: 5 })
    await service.start(toOut(base), { buffer: { maxBytes: 2 ** 20, maxItems: 5 } })
    await service.settle()
    await service.store.claim({ app: 'app', stream: 's', partition: 0 }, [])
    service.append(upTo(50), 0)
    service.append(upTo(50, 100), 1)
    await service.advance(1_000)
    expect(service.rows).toEqual(upTo(50, 100))
    await service.stop()
  })
})

describe('a zombie', () => {
  it('reads on and is refused; its heir writes every row once', async () => {
    const service = new Service()
    service.append(upTo(20))
    let hold: (() => void) | undefined
    const slow = toOut(
      base.mapAsync(
        async (n) => {
          await new Promise<void>((resolve) => {
            hold = resolve
          })
          return n
        },
        { concurrency: 1 },
      ),
    )
    const zombie = await service.start(slow)
    await service.until('the zombie is in the middle of a batch', () => hold !== undefined)
    service.broker.expel(zombie.client)
    await service.start(toOut(base))
    await service.until('the heir is through', () => service.rows.length === 20)
    for (let call = 0; call < 20; call++) {
      hold?.()
      await nextTurn()
    }
    await service.settle()
    expect(zombie.reports).toEqual([])
    expect([service.rows, await service.progress()]).toEqual([upTo(20), { 0: 20 }])
    expect(zombie.runner.tasks).toEqual([])
    await service.stop()
  })
})

describe('members that come and go', () => {
  it('write every row once, whatever the order of joining, leaving and being thrown out', async () => {
    const move = fc.constantFrom('append', 'join', 'leave', 'expel', 'rebalance', 'turn', 'turn')
    await fc.assert(
      fc.asyncProperty(
        fc.array(move, { maxLength: 30 }),
        fc.integer({ min: 1, max: 7 }),
        async (moves, chunkRecords) => {
          const service = new Service({ partitions: 4, chunkRecords })
          const plan = toOut(
            base
              .mapAsync(async (n) => {
                for (let turn = n % 3; turn > 0; turn--) await nextTurn()
                return n
              })
              .batch({ max: 3 })
              .flatten(),
          )
          const join = () => service.start(plan, { limits: { everyMs: 1_000, maxItems: 4, maxBytes: 2 ** 20 } })
          let sent = 0
          let present = [await join()]
          for (const step of moves) {
            const [first] = present
            if (step === 'append') {
              for (const partition of upTo(4)) {
                service.append(upTo(3, sent), partition)
                sent += 3
              }
            } else if (step === 'join' && present.length < 3) present.push(await join())
            else if (step === 'rebalance') service.broker.rebalance('app')
            else if (step === 'turn') await nextTurn()
            else if (first !== undefined && present.length > 1) {
              present = present.slice(1)
              if (step === 'leave') void first.runner.stop(1_000)
              else service.broker.expel(first.client)
            }
          }
          const total = sent
          await service.until('every record was taken', () => new Set(service.rows).size === total)
          await service.settle()
          expect(sorted(service.rows)).toEqual(upTo(total))
          const partitions = total === 0 ? {} : Object.fromEntries(upTo(4).map((partition) => [partition, total / 4]))
          expect(await service.progress()).toMatchObject(partitions)
          for (const member of service.members) await Promise.race([member.runner.failed(), nextTurn()])
          await service.stop()
        },
      ),
      { numRuns: 60 },
    )
  }, 30_000)

  it('share partitions: each is read by one', async () => {
    const service = new Service({ partitions: 4 })
    const one = await service.start(toOut(base))
    const other = await service.start(toOut(base))
    for (const partition of upTo(4)) service.append(upTo(5, partition * 5), partition)
    await service.until('all rows are there', () => service.rows.length === 20)
    expect([one.runner.tasks.length, other.runner.tasks.length]).toEqual([2, 2])
    expect(sorted(service.rows)).toEqual(upTo(20))
    expect(service.broker.committed('app', { topic: numbers.name, partition: 0 })).toBe(5)
    await service.stop()
  })
})
