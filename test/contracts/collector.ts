/** What every store has to do with its error collector, and with what the command line and the runtime ask of it. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { FenceLostError } from '../../src/core/errors.ts'
import type { CollectedItem, Settlement, Store } from '../../src/core/store.ts'
import { failed, Member, type StoreHarness, sinks, task } from './store.ts'

const anHour = 3_600_000

/** Runs the contract. A harness is made for each test. */
export function collectorContract(name: string, createHarness: () => Promise<StoreHarness>): void {
  describe(`the error collector of ${name}`, () => {
    let harness: StoreHarness
    let store: Store
    let member: Member

    beforeEach(async () => {
      harness = await createHarness()
      store = await harness.openStore(sinks)
      member = await Member.claim(store)
    })
    afterEach(() => harness.close())

    const collect = (...collected: CollectedItem[]) => member.commit(0, { collected })
    const settle = (...settled: Settlement[]) => member.commit(0, { settled })
    const waiting = async (limit = 100) =>
      (await store.takeWaiting(member.claim, limit)).map(({ kind, offset }) => `${kind} ${offset}`)
    const states = async () => (await harness.kept()).map(({ offset, state }) => `${offset} ${state}`)
    const idOf = async (offset: number) => {
      const item = (await store.takeWaiting(member.claim, 100)).find((one) => one.offset === offset)
      if (item === undefined) throw new Error(`nothing waits at ${offset}`)
      return item.id
    }

    describe('takes', () => {
      const half = String.fromCodePoint(0x1f600).charAt(0)
      const hostile = `a\0b${half}c\\"'{},\n`
      const bytes = Buffer.from(Array.from({ length: 256 }, (_, index) => index))
      const items = [
        failed(0, {
          value: bytes,
          key: bytes,
          headers: [
            { key: hostile, value: bytes },
            { key: '', value: null },
          ],
        }),
        failed(1, { value: null, key: null, timestamp: null }),
        failed(2, { timestamp: new Date(Number.NaN), attempts: 2 ** 40 }),
        failed(3, { timestamp: new Date(-8.64e15), value: Buffer.alloc(0) }),
        failed(4, { timestamp: new Date(8.64e15), step: hostile, topic: hostile, stream: hostile }),
        failed(5, {
          error: {
            name: hostile,
            message: hostile.repeat(10_000),
            code: hostile,
            stack: `${hostile.repeat(100)}\n    at f (/srv/${hostile.replace('\n', '')}.ts:1:1)\n${hostile.repeat(10_000)}`,
          },
        }),
        failed(6, { state: 'deferred', retryInMs: Number.POSITIVE_INFINITY, remembered: hostile }),
        failed(7, { state: 'deferred', retryInMs: Number.NaN, remembered: 'a"\\{},b' }),
        failed(8, { state: 'deferred', retryInMs: -1e300, key: Buffer.from(noise(5_000)) }),
      ]

      it('any bytes, any text and any number', async () => {
        await collect(...items)
        const kept = await harness.collected()
        expect(kept.map(({ offset, value }) => ({ offset, value }))).toEqual(
          items.map(({ offset, value }) => ({ offset, value })),
        )
        expect(kept[5]?.message).toContain('c\\"\'{},\n')
        expect(await waiting()).toEqual(['deferred 7', 'deferred 8'])
      })

      it('the same of items that fail again', async () => {
        await collect(...items.map((_, offset) => failed(offset, { state: 'deferred', retryInMs: 0 })))
        const before = await store.takeWaiting(member.claim, 100)
        await settle(
          ...items.flatMap((failure, index): Settlement[] => {
            const { id } = before[index] ?? { id: '' }
            return [{ id, outcome: 'failed', failure }]
          }),
        )
        const again = (await store.takeWaiting(member.claim, 100)).map(({ id }) => id)
        await settle({ id: again[0] ?? '', outcome: 'failed', failure: items[5] as CollectedItem })
        const kept = await harness.kept()
        expect(kept.map(({ former }) => former.length)).toEqual([1, 1, 1, 1, 1, 1, 1, 2, 1])
        expect(await states()).toEqual(expect.arrayContaining(['0 open', '5 open', '6 deferred', '8 deferred']))
      })
    })

    describe('hands out', () => {
      const parked = (offset: number, key = 'k') => failed(offset, { state: 'parked', key: Buffer.from(key) })
      const deferred = (offset: number, retryInMs: number, more: Partial<CollectedItem> = {}) =>
        failed(offset, { state: 'deferred', retryInMs, ...more })

      it('nothing that nobody has asked for', async () => {
        await collect(failed(0), failed(1, { state: 'open', key: null }))
        expect(await waiting()).toEqual([])
        expect(await store.waitingTasks(task.app)).toEqual([])
      })

      it('what somebody has asked for, with its bytes', async () => {
        const headers = [
          { key: 'a', value: Buffer.from([0, 255]) },
          { key: 'b', value: null },
        ]
        const item = failed(3, { timestamp: new Date(1_234), headers, stream: 'receipts', key: Buffer.from([0, 200]) })
        await collect(item, failed(4))
        await harness.askForReplay(3)
        expect(await store.waitingTasks(task.app)).toEqual([{ stream: task.stream, partition: 0 }])
        const { topic, partition, offset, timestamp, key, value } = item
        expect(await store.takeWaiting(member.claim, 10)).toMatchObject([
          { kind: 'replay', stream: 'receipts', topic, partition, offset, timestamp, key, value, attempts: 1 },
        ])
      })

      it('what was put off when its time has come, with what it remembers', async () => {
        await collect(deferred(1, anHour))
        expect(await waiting()).toEqual([])
        expect(await store.waitingTasks(task.app)).toEqual([])
        await collect(deferred(2, 0, { remembered: 'answers' }))
        expect(await store.takeWaiting(member.claim, 10)).toMatchObject([
          { kind: 'deferred', offset: 2, remembered: 'answers' },
        ])
        expect(await store.waitingTasks(task.app)).toEqual([{ stream: task.stream, partition: 0 }])
      })

      it('in offset order, as many as are wanted', async () => {
        await collect(deferred(5, 0), deferred(2, 0), deferred(9, 0), deferred(2, 0))
        expect(await waiting()).toEqual(['deferred 2', 'deferred 2', 'deferred 5', 'deferred 9'])
        expect(await waiting(3)).toEqual(['deferred 2', 'deferred 2', 'deferred 5'])
      })

      it('no parked item while one before it of its key has to go on waiting', async () => {
        await collect(failed(1, { key: Buffer.from('k') }), parked(2), parked(3, 'other'), deferred(4, anHour))
        expect(await waiting()).toEqual(['parked 3'])
        await collect(deferred(5, anHour, { key: Buffer.from('late') }), parked(6, 'late'))
        expect(await waiting()).toEqual(['parked 3'])
      })

      it('parked items with those that they wait for', async () => {
        await collect(
          failed(1, { key: Buffer.from('k') }),
          parked(2),
          parked(3),
          failed(4, { key: Buffer.from('k') }),
          parked(5),
        )
        await harness.askForReplay(1)
        expect(await waiting()).toEqual(['replay 1', 'parked 2', 'parked 3'])
        expect(await waiting(2)).toEqual(['replay 1', 'parked 2'])
        await collect(deferred(7, 0, { key: Buffer.from('late') }), parked(8, 'late'))
        expect(await waiting()).toEqual(['replay 1', 'parked 2', 'parked 3', 'deferred 7', 'parked 8'])
      })

      it('parked items when those that they wait for are settled', async () => {
        await collect(deferred(1, 0, { key: Buffer.from('k') }), parked(2), parked(3))
        await settle({ id: await idOf(1), outcome: 'done' })
        expect(await waiting()).toEqual(['parked 2', 'parked 3'])
        // Whoever has settled it looks for them by itself.
        expect(await store.waitingTasks(task.app)).toEqual([])
      })

      it('to nobody else', async () => {
        await collect(deferred(1, 0, { key: Buffer.from('k') }), parked(2, 'own'))
        const other = await store.claim({ ...task, partition: 1 }, [
          { source: 'from:flights', nextOffset: 0, fingerprint: null },
        ])
        const stranger = await store.claim({ ...task, app: 'another' }, [
          { source: 'from:flights', nextOffset: 0, fingerprint: null },
        ])
        expect(await store.takeWaiting(other, 10)).toEqual([])
        expect(await store.takeWaiting(stranger, 10)).toEqual([])
        expect(await store.waitingTasks('another')).toEqual([])
        expect(await store.held({ ...task, partition: 1 })).toEqual({ keys: [], parked: 0 })
        // An item of the same key in another partition holds nobody up.
        await store.commit({
          claim: other,
          progress: [],
          buffers: [],
          position: (owner) => owner,
          allInOrder: true,
          collected: [failed(0, { partition: 1, key: Buffer.from('own') })],
          settled: [],
          budget: null,
          halted: null,
        })
        expect(await waiting()).toEqual(['deferred 1', 'parked 2'])
      })
    })

    it('knows the keys that hold up others: of all that is not settled', async () => {
      const key = (text: string) => Buffer.from(text, 'latin1')
      await collect(
        failed(1, { key: key('open\xff') }),
        failed(2, { key: key('parked'), state: 'parked' }),
        failed(3, { key: key('put off'), state: 'deferred', retryInMs: anHour }),
        failed(4, { key: key('done'), state: 'deferred', retryInMs: 0 }),
        failed(5, { key: null }),
      )
      await settle({ id: await idOf(4), outcome: 'ignored' })
      const { keys, parked } = await store.held(task)
      expect([...keys].sort()).toEqual(['open\xff', 'parked', 'put off'])
      expect(parked).toBe(1)
    })

    describe('settles', () => {
      const due = (offset: number) => failed(offset, { state: 'deferred', retryInMs: 0 })

      it('what is done and what is ignored', async () => {
        await collect(due(1), due(2), due(3))
        await settle({ id: await idOf(1), outcome: 'done' }, { id: await idOf(3), outcome: 'ignored' })
        expect(await states()).toEqual(['1 done', '2 deferred', '3 ignored'])
        expect(await waiting()).toEqual(['deferred 2'])
      })

      it('what fails again: it is the same item, and its failure before goes into its history', async () => {
        await collect(due(1))
        const id = await idOf(1)
        const again = (message: string, attempts: number, more: Partial<CollectedItem>): Settlement => {
          const error = { name: 'Error', message, code: null, stack: null }
          return { id, outcome: 'failed', failure: failed(1, { error, attempts, ...more }) }
        }
        await settle(again('second', 2, { state: 'deferred', retryInMs: 0, remembered: 'answers' }))
        expect(await store.takeWaiting(member.claim, 10)).toMatchObject([{ id, attempts: 2, remembered: 'answers' }])
        await settle(again('third', 3, {}))
        expect(await harness.kept()).toEqual([
          { offset: 1, state: 'open', message: 'third', attempts: 3, former: ['broken', 'second'] },
        ])
      })

      it('together with the batch or not at all', async () => {
        await collect(due(1))
        const id = await idOf(1)
        const zombie = member
        member = await Member.claim(store)
        await expect(zombie.commit(5, { settled: [{ id, outcome: 'done' }] })).rejects.toBeInstanceOf(FenceLostError)
        expect(await states()).toEqual(['1 deferred'])
      })

      it('nothing that was settled before, or is not there', async () => {
        await collect(due(1))
        const id = await idOf(1)
        await settle({ id, outcome: 'ignored' })
        await settle({ id, outcome: 'done' }, { id: '987654321', outcome: 'done' })
        await settle(
          { id, outcome: 'failed', failure: failed(1) },
          { id: '987654321', outcome: 'failed', failure: failed(9) },
        )
        expect(await states()).toEqual(['1 ignored'])
        expect(await harness.kept()).toMatchObject([{ former: [] }])
      })
    })

    it('deletes what was settled long ago, some at a time', async () => {
      const other = await store.claim({ ...task, app: 'another' }, [
        { source: 'from:flights', nextOffset: 0, fingerprint: null },
      ])
      await collect(...[1, 2, 3, 4].map((offset) => failed(offset, { state: 'deferred', retryInMs: 0 })))
      const ids = (await store.takeWaiting(member.claim, 10)).map(({ id }) => id)
      await settle(...ids.slice(0, 3).map((id): Settlement => ({ id, outcome: 'done' })))
      expect(await store.pruneErrors(task.app, anHour, 10)).toBe(0)
      expect(await store.pruneErrors(other.task.app, -anHour, 10)).toBe(0)
      expect(await store.pruneErrors(task.app, -anHour, 2)).toBe(2)
      expect(await store.pruneErrors(task.app, -anHour, 2)).toBe(1)
      expect(await states()).toEqual(['4 deferred'])
    })

    it('keeps error counters and a halt with the progress', async () => {
      expect(member.claim).toMatchObject({ budget: null, halted: null })
      const halted = { reason: "it's over", plan: 'abc' }
      await member.commit(1, { budget: 'counted', halted })
      expect((await Member.claim(store)).claim).toMatchObject({ budget: 'counted', halted })
      member = await Member.claim(store)
      await member.commit(2)
      expect((await Member.claim(store)).claim).toMatchObject({ budget: null, halted: null })
    })

    it('notes what is started, again and again', async () => {
      const plan = { stream: 'flights', hash: 'abc', description: 'a\0b', orderSteps: ['to:x: "the last" {wins}\0'] }
      await store.recordPlans(task.app, [plan, { ...plan, stream: 'alerts', orderSteps: [] }])
      await Promise.all([1, 2, 3].map(() => store.recordPlans(task.app, [{ ...plan, hash: 'def' }])))
    })
  })
}

/** Bytes that no index could make shorter. */
function noise(length: number): number[] {
  let state = 12_345
  return Array.from({ length }, () => {
    state = (state * 1_103_515_245 + 12_345) % 2 ** 31
    return state >> 16
  })
}
