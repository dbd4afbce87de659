/** What every store has to do with what a batch emits. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { CommittedEmit, Emit } from '../../src/core/emit.ts'
import { FenceLostError } from '../../src/core/errors.ts'
import { RowsRefused, type Store } from '../../src/core/store.ts'
import { text } from '../../src/index.ts'
import { Member, type StoreHarness, sinks, task } from './store.ts'

function emit(sequence: number, more: Partial<Emit> = {}): Emit {
  const record = { topic: 'out', partition: 0, key: Buffer.from('k'), value: Buffer.from(`v${sequence}`) }
  return { sequence, ...record, timestamp: 1_700_000_000_000, headers: [], ...more }
}

const committed = (emits: readonly Emit[]): CommittedEmit[] => emits.map((one) => ({ ...one, owner: 0, codec: text() }))

export function outboxContract(name: string, createHarness: () => Promise<StoreHarness>): void {
  describe(`${name} keeps what was emitted`, () => {
    let harness: StoreHarness
    let store: Store
    let member: Member
    let offset: number
    beforeEach(async () => {
      harness = await createHarness()
      store = await harness.openStore(sinks)
      member = await Member.claim(store)
      offset = 0
    })
    afterEach(() => harness.close())

    const commit = (emits: readonly Emit[], sent = 0) =>
      member.commit(++offset, { emits: { sent, take: () => committed(emits) } })
    const left = async () => (await store.outbox.left(task)).emits.map(({ sequence }) => sequence)

    it('a task that never emitted has nothing', async () => {
      expect(await left()).toEqual([])
    })

    it('with all that a record has', async () => {
      const emits = [
        emit(1, { key: null, timestamp: 0 }),
        emit(2, { value: null, partition: 7 }),
        emit(3, { key: Buffer.from([0, 9, 10, 13, 92, 255]), value: Buffer.alloc(0) }),
        emit(4, {
          headers: [
            { key: 'a "b" \\ é\n\t', value: Buffer.from([0, 92, 255]) },
            { key: 'twice', value: Buffer.from('1') },
            { key: 'twice', value: Buffer.from('2') },
          ],
        }),
      ]
      await commit(emits)
      const found = await store.outbox.left(task)
      expect(found.sequence).toBeGreaterThanOrEqual(4)
      expect(
        found.emits.map(({ sequence, topic, partition, key, value, timestamp, headers }) => {
          return { sequence, topic, partition, key, value, timestamp, headers }
        }),
      ).toEqual(emits)
    })

    it('until a commit says that it was sent, with or without more', async () => {
      await commit([emit(1), emit(2)])
      await commit([emit(3)], 2)
      expect(await left()).toEqual([3])
      await commit([], 3)
      expect(await left()).toEqual([])
      expect((await store.outbox.left(task)).sequence).toBeGreaterThanOrEqual(3)
    })

    it('until it is forgotten, by whomever and however often', async () => {
      await commit([emit(1), emit(2), emit(3)])
      const other = await harness.openStore(sinks)
      await other.outbox.forget(task, 2)
      await store.outbox.forget(task, 2)
      expect(await left()).toEqual([3])
      await store.outbox.forget({ ...task, stream: 'another' }, 9)
      expect(await left()).toEqual([3])
    })

    it('for each task by itself', async () => {
      await commit([emit(1)])
      const other = { ...task, partition: 1 }
      expect((await store.outbox.left(other)).emits).toEqual([])
    })

    it('and nothing of a batch that did not commit', async () => {
      await Member.claim(store)
      await expect(commit([emit(1)])).rejects.toThrow(FenceLostError)
      expect(await left()).toEqual([])
    })

    it('asks for what is emitted when the rows have been taken', async () => {
      member.rows.append({ id: 1, size: -1 }, 0)
      let asked = 0
      const take = () => {
        asked++
        return committed([emit(1)])
      }
      await expect(member.commit(1, { emits: { sent: 0, take } })).rejects.toThrow(RowsRefused)
      expect(asked).toBe(0)
      expect(await left()).toEqual([])
    })

    it('and nothing of a trial', async () => {
      await member.commit(1, { isTrial: true, emits: { sent: 0, take: () => committed([emit(1)]) } })
      expect(await left()).toEqual([])
    })

    it('while a claim by another owner leaves it there', async () => {
      await commit([emit(1)])
      await Member.claim(store)
      expect(await left()).toEqual([1])
    })
  })
}
