/** What every store has to do with keyed state. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { PlanError } from '../../src/core/errors.ts'
import type { StateChanges, StateOf, StateStep } from '../../src/core/stateStore.ts'
import { RowsRefused, StateStaleError, type Store } from '../../src/core/store.ts'
import { Member, type StoreHarness, sinks, task } from './store.ts'

const counts: StateStep = { stream: task.stream, step: 'counts', shape: 'count' }
const of: StateOf = { task, step: counts.step }

type Change = readonly [key: string, at: number, value: string | null, due: number | null, version: number]

function changed(...changes: readonly Change[]): StateChanges {
  return {
    step: counts.step,
    keys: changes.map(([key]) => key),
    ats: changes.map(([, at]) => at),
    values: changes.map(([, , value]) => value),
    dues: changes.map(([, , , due]) => due),
    versions: changes.map(([, , , , version]) => version),
  }
}

export function stateContract(name: string, createHarness: () => Promise<StoreHarness>): void {
  describe(`${name} keeps state`, () => {
    let harness: StoreHarness
    let store: Store
    let member: Member
    beforeEach(async () => {
      harness = await createHarness()
      store = await harness.openStore(sinks)
      await store.state.open(task.app, [counts])
      member = await Member.claim(store)
    })
    afterEach(() => harness.close())

    const commit = (...changes: readonly Change[]) => member.commit(1, { state: [changed(...changes)] })
    const read = async (...keys: string[]) =>
      [...(await store.state.read(of, keys))]
        .sort((a, b) => (a.key < b.key ? -1 : a.key > b.key ? 1 : a.at - b.at))
        .map(({ key, at, value, due, version }) => [key, at, value, due, version])

    it('which is there after the commit, by key', async () => {
      expect(await store.state.extent(of)).toEqual({ isEmpty: true, firstDue: null })
      const odd = 'a "b" \\ {c,d}\n é\u0001n1'
      await commit(['a', 0, '1', null, 0], ['a', -5, '"x"', 70, 0], [odd, 2 ** 52, '{}', 60, 0])
      expect(await read('a', 'b')).toEqual([
        ['a', -5, '"x"', 70, 1],
        ['a', 0, '1', null, 1],
      ])
      expect(await read(odd)).toEqual([[odd, 2 ** 52, '{}', 60, 1]])
      expect(await store.state.extent(of)).toEqual({ isEmpty: false, firstDue: 60 })
      await commit(['a', 0, '2', 5, 1], ['a', -5, null, null, 1])
      expect(await read('a')).toEqual([['a', 0, '2', 5, 2]])
    })

    it('of each partition, step, stream and application apart', async () => {
      await store.state.open(task.app, [{ ...counts, step: 'others' }])
      await store.state.open('other', [counts])
      await commit(['a', 0, '1', null, 0])
      expect(await store.state.read({ ...of, step: 'others' }, ['a'])).toEqual([])
      expect(await store.state.read({ ...of, task: { ...task, partition: 1 } }, ['a'])).toEqual([])
      expect(await store.state.read({ ...of, task: { ...task, app: 'other' } }, ['a'])).toEqual([])
    })

    it('that commits with the rows, or not at all', async () => {
      member.rows.append({ id: 1 }, 0)
      member.rows.append({ id: 1 }, 1)
      await expect(commit(['a', 0, '1', null, 0])).rejects.toThrow(RowsRefused)
      expect(await read('a')).toEqual([])
    })

    it('and notices that it is not as the batch knew it', async () => {
      await commit(['a', 0, '1', null, 0])
      for (const stale of [
        ['a', 0, '2', null, 0],
        ['a', 0, '2', null, 7],
        ['a', 0, null, null, 7],
        ['b', 0, '2', null, 1],
        ['b', 0, null, null, 1],
      ] as const) {
        await expect(commit(stale)).rejects.toThrow(StateStaleError)
      }
      expect(await read('a', 'b')).toEqual([['a', 0, '1', null, 1]])
      await commit(['a', 0, '2', null, 1])
    })

    it('and takes out all that has ended by a time, unless that is not what the batch knew', async () => {
      await commit(['a', 1, 'a1', 10, 0], ['a', 2, 'a2', 20, 0], ['b', 1, 'b1', 15, 0], ['c', 0, 'c0', null, 0])
      await commit(['b', 1, 'b2', 15, 1])
      const end = (upTo: number, cells: number, versions: number, ...changes: readonly Change[]) =>
        member.commit(1, { state: [{ ...changed(...changes), ended: { upTo, cells, versions } }] })
      await expect(end(15, 1, 3)).rejects.toThrow(StateStaleError)
      await expect(end(15, 2, 2)).rejects.toThrow(StateStaleError)
      expect(await read('a', 'b')).toHaveLength(3)
      await end(15, 2, 3, ['b', 2, 'b3', 30, 0])
      expect(await read('a', 'b', 'c')).toEqual([
        ['a', 2, 'a2', 20, 1],
        ['b', 2, 'b3', 30, 1],
        ['c', 0, 'c0', null, 1],
      ])
    })

    it('and finds what is due in its order, some at a time', async () => {
      await commit(
        ['c', 1, 'c1', 30, 0],
        ['a', 1, 'a1', 10, 0],
        ['a', 2, 'a2', 40, 0],
        ['b', 1, 'b1', 10, 0],
        ['d', 1, 'd1', null, 0],
      )
      const first = await store.state.readDue(of, { upTo: 30, after: undefined, limit: 1 })
      expect(first.rows.map(({ value }) => value).sort()).toEqual(['a1', 'a2'])
      expect(first).toMatchObject({ last: { due: 10, key: 'a' }, next: 10 })
      const second = await store.state.readDue(of, { upTo: 30, after: first.last, limit: 10 })
      expect(second.rows.map(({ value }) => value).sort()).toEqual(['b1', 'c1'])
      expect(second).toMatchObject({ last: { due: 30, key: 'c' }, next: 40 })
      const none = await store.state.readDue(of, { upTo: 30, after: second.last, limit: 10 })
      expect(none).toEqual({ rows: [], last: second.last, next: 40 })
      const rest = await store.state.readDue(of, { upTo: 40, after: second.last, limit: 10 })
      expect(rest).toMatchObject({ last: { due: 40, key: 'a' }, next: null })
    })

    it('and the watermarks, with the claim', async () => {
      await member.commit(1, { watermarks: '{"counts":5}' })
      await member.commit(2)
      expect((await Member.claim(store)).claim.watermarks).toBe('{"counts":5}')
    })

    it('and refuses a step whose state is made of something else, while there is any', async () => {
      await store.state.open(task.app, [{ ...counts, shape: 'sum' }])
      await store.state.open(task.app, [counts])
      await commit(['a', 0, '1', null, 0])
      await store.state.open(task.app, [counts])
      const again = store.state.open(task.app, [{ ...counts, shape: 'sum' }])
      await expect(again).rejects.toThrow(PlanError)
      await expect(again).rejects.toThrow(/made by: count\. The plan says: sum.*MR-STATE-CHANGED/s)
    })
  })
}
