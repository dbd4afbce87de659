/**
 * What every store has to do. A store is tested by calling `storeContract` with a harness for its database; the texts of
 * the tests are the contract.
 */
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { table } from '../../sinks/table.ts'
import { FenceLostError } from '../../src/core/errors.ts'
import type { RowBuffer, Sink } from '../../src/core/sink.ts'
import {
  type Claim,
  type CollectedItem,
  type CommitRequest,
  RowsRefused,
  type SourceProgress,
  type Store,
  type TaskId,
} from '../../src/core/store.ts'

/** An item as the collector holds it. */
export interface KeptItem {
  readonly offset: number
  readonly state: string
  readonly message: string
  readonly attempts: number
  readonly former: readonly string[]
}

/** A database to test against. */
export interface StoreHarness {
  /** An opened store. All stores of a harness see the same data. */
  openStore(sinks: readonly Sink<never>[]): Promise<Store>
  /** Rows of a table in any order; columns that hold null may be left out. */
  rows(table: string): Promise<readonly object[]>
  /** What the error collector holds, in the order in which it came. */
  collected(): Promise<readonly { offset: number; value: Buffer | null; message: string }[]>
  /** The same with what has become of them: their state, and the messages of earlier failures. */
  kept(): Promise<readonly KeptItem[]>
  /** Asks for an open item to be run again, as somebody does at the command line. */
  askForReplay(offset: number): Promise<void>
  /** Closes the stores too. */
  close(): Promise<void>
}

/** Refuses a second row of the same id with 23505, and a size below 0 with 23514. */
const contractRows = table<{ id: number; label?: string; size?: number }>('contract_rows', {
  create: 'create table contract_rows (id integer primary key, label text, size integer check (size >= 0))',
})

const contractTotals = table<{
  k: string
  n?: number
  low?: number
  high?: number
  first?: string
  last?: string
}>('contract_totals', {
  key: 'k',
  onConflict: { n: 'add', low: 'min', high: 'max', first: 'keep' },
  create:
    'create table contract_totals (k text primary key, n integer, low integer, high integer, first text, last text)',
})

export const sinks = [contractRows, contractTotals]
export const task: TaskId = { app: 'app', stream: 'flights', partition: 0 }
const at = (nextOffset: number, source = 'from:flights', fingerprint: string | null = null): SourceProgress => ({
  source,
  nextOffset,
  fingerprint,
})

export const failed = (offset: number, more: Partial<CollectedItem> = {}): CollectedItem => ({
  stream: task.stream,
  step: 'map',
  topic: 'flights',
  partition: task.partition,
  offset,
  timestamp: new Date(0),
  key: null,
  value: Buffer.from('value'),
  headers: [],
  error: { name: 'Error', message: 'broken', code: null, stack: null },
  attempts: 1,
  taskStream: task.stream,
  state: 'open',
  retryInMs: null,
  remembered: null,
  ...more,
})

/** A task with its claim and buffers. */
export class Member {
  readonly claim: Claim
  readonly rows: RowBuffer
  readonly totals: RowBuffer
  readonly #store: Store

  private constructor(store: Store, claim: Claim) {
    this.#store = store
    this.claim = claim
    const [rows, totals] = store.createBuffers(sinks)
    if (rows === undefined || totals === undefined) throw new Error('two buffers were asked for')
    this.rows = rows
    this.totals = totals
  }

  static async claim(store: Store, start = 0): Promise<Member> {
    return new Member(store, await store.claim(task, [at(start)]))
  }

  /** Commits what the buffers hold, and empties them when that went well. `left` names owners that are left out. */
  async commit(nextOffset: number, more: Partial<CommitRequest> & { left?: readonly number[] } = {}): Promise<void> {
    const { left = [], ...rest } = more
    await this.#store.commit({
      claim: this.claim,
      progress: [at(nextOffset)],
      buffers: [this.rows, this.totals],
      position: (owner) => (left.includes(owner) ? undefined : owner),
      allInOrder: left.length === 0,
      collected: [],
      settled: [],
      budget: null,
      halted: null,
      ...rest,
    })
    this.rows.truncate(0)
    this.totals.truncate(0)
  }
}

/** Runs the contract. A harness is made for each test. */
export function storeContract(name: string, createHarness: () => Promise<StoreHarness>): void {
  describe(`${name} keeps the contract of a store`, () => {
    let harness: StoreHarness
    let store: Store

    beforeEach(async () => {
      harness = await createHarness()
      store = await harness.openStore(sinks)
    })
    afterEach(() => harness.close())

    const rowsOf = async (sink: { name: string }) =>
      (await harness.rows(sink.name))
        .map((row) => Object.fromEntries(Object.entries(row).filter(([, value]) => value !== null)))
        .sort((a, b) => (JSON.stringify(a) < JSON.stringify(b) ? -1 : 1))
    const idsOf = async () => (await rowsOf(contractRows)).map(({ id }) => id)
    const progress = async () =>
      (await store.readProgress(task.app)).map(({ source, nextOffset }) => ({ source, nextOffset }))

    describe('claim', () => {
      it('gives inputs without progress their start, which is committed with the claim', async () => {
        const { claim } = await Member.claim(store, 5)
        expect(claim).toMatchObject({ task, progress: [at(5)] })
        expect(await store.readProgress(task.app)).toEqual([{ ...at(5), stream: 'flights', partition: 0 }])
      })

      it('keeps what was committed, whatever start is given then', async () => {
        const member = await Member.claim(store, 5)
        await member.commit(9, { progress: [at(9, 'from:flights', 'last record')] })
        expect((await Member.claim(store, 0)).claim.progress).toEqual([at(9, 'from:flights', 'last record')])
      })

      it('is a new owner at the next version', async () => {
        const first = await Member.claim(store)
        const second = await Member.claim(store)
        expect(second.claim.owner).not.toBe(first.claim.owner)
        expect(second.claim.version).toBe(first.claim.version + 1)
      })

      it('gives an input that is new its start beside one that is known', async () => {
        await (await Member.claim(store)).commit(7)
        const claim = await store.claim(task, [at(0), at(3, 'from:airports')])
        expect([...claim.progress].sort((a, b) => (a.source < b.source ? -1 : 1))).toEqual([
          at(3, 'from:airports'),
          at(7),
        ])
      })

      it('tells applications, streams and partitions apart', async () => {
        await (await Member.claim(store)).commit(7)
        for (const other of [
          { ...task, app: 'b' },
          { ...task, stream: 'b' },
          { ...task, partition: 1 },
        ]) {
          expect((await store.claim(other, [at(0)])).progress).toEqual([at(0)])
        }
        expect(await store.readProgress('b')).toHaveLength(1)
      })
    })

    describe('commit', () => {
      it('commits rows, collected items and progress, and moves the version on', async () => {
        const member = await Member.claim(store)
        const { version } = member.claim
        member.rows.append({ id: 1, label: 'a' }, 0)
        member.totals.append({ k: 'a', n: 1 }, 0)
        await member.commit(2, { collected: [failed(1)] })
        expect(await rowsOf(contractRows)).toEqual([{ id: 1, label: 'a' }])
        expect(await rowsOf(contractTotals)).toEqual([{ k: 'a', n: 1 }])
        expect(await harness.collected()).toEqual([{ offset: 1, value: Buffer.from('value'), message: 'broken' }])
        expect(await progress()).toEqual([{ source: 'from:flights', nextOffset: 2 }])
        expect(member.claim.version).toBe(version + 1)
      })

      it('says of a trial whether it would commit, and nothing of it stands', async () => {
        const member = await Member.claim(store)
        const { version } = member.claim
        member.rows.append({ id: 1 }, 0)
        await member.commit(1, { collected: [failed(1)], isTrial: true })
        expect(member.claim.version).toBe(version)
        expect(await rowsOf(contractRows)).toEqual([])
        expect(await harness.collected()).toEqual([])
        expect(await progress()).toEqual([{ source: 'from:flights', nextOffset: 0 }])
        for (const owner of [0, 1]) member.rows.append({ id: 1 }, owner)
        await expect(member.commit(2, { isTrial: true })).rejects.toMatchObject({ owner: 1, clash: true })
        await member.commit(2, { left: [1] })
        expect(await rowsOf(contractRows)).toEqual([{ id: 1 }])
      })

      it('moves the version on when nothing else moves', async () => {
        const member = await Member.claim(store)
        const { version } = member.claim
        await member.commit(0)
        await member.commit(0)
        expect(member.claim.version).toBe(version + 2)
      })

      it('moves only the inputs that are named', async () => {
        const claim = await store.claim(task, [at(0), at(3, 'from:airports', 'known')])
        const commit = (moved: SourceProgress) =>
          store.commit({
            claim,
            progress: [moved],
            buffers: [],
            position: (o) => o,
            allInOrder: true,
            collected: [],
            settled: [],
            budget: null,
            halted: null,
          })
        await commit(at(4))
        await commit(at(5))
        const after = await store.claim(task, [at(0), at(0, 'from:airports')])
        expect([...after.progress].sort((a, b) => (a.source < b.source ? -1 : 1))).toEqual([
          at(3, 'from:airports', 'known'),
          at(5),
        ])
      })

      it('writes no row of an owner that was undone, nor one that was taken back', async () => {
        const member = await Member.claim(store)
        for (const id of [0, 1, 2, 3]) {
          member.rows.append({ id }, id)
          member.totals.append({ k: 'a', n: 10 ** id }, id)
        }
        member.rows.truncate(3)
        member.totals.truncate(3)
        await member.commit(4, { left: [1] })
        expect(await idsOf()).toEqual([0, 2])
        expect(await rowsOf(contractTotals)).toEqual([{ k: 'a', n: 101 }])
      })

      it('puts rows that share a key together as one upsert after the other would, in offset order', async () => {
        const member = await Member.claim(store)
        const append = (owner: number, row: object) => member.totals.append({ k: 'a', ...row }, owner)
        append(0, { n: 1, low: 5, high: 5, first: 'zero', last: 'zero' })
        append(2, { n: 2, low: 7, high: 9, first: 'two', last: 'two' })
        append(1, { n: 3, low: 2, high: 1, first: 'one', last: 'one' })
        const position = (owner: number) => owner
        await member.commit(3, { position, allInOrder: false })
        append(0, { n: 4, low: 3, high: 8, first: 'later', last: 'later' })
        const before = { k: 'a', n: 6, low: 2, high: 9, first: 'zero' }
        expect(await rowsOf(contractTotals)).toEqual([{ ...before, last: 'two' }])
        await member.commit(4)
        expect(await rowsOf(contractTotals)).toEqual([{ ...before, n: 10, last: 'later' }])
      })

      it('takes groups, whose numbers are below 0, where they stand', async () => {
        const member = await Member.claim(store)
        member.totals.append({ k: 'a', last: 'group' }, -1)
        member.totals.append({ k: 'a', last: 'item' }, 3)
        await member.commit(4, { position: (owner) => (owner === -1 ? 5 : owner), allInOrder: false })
        expect(await rowsOf(contractTotals)).toEqual([{ k: 'a', last: 'group' }])
      })
    })

    describe('the fence', () => {
      it('refuses an owner that was taken over, and 0 of its rows stand', async () => {
        const zombie = await Member.claim(store)
        const member = await Member.claim(store)
        zombie.rows.append({ id: 1 }, 0)
        zombie.totals.append({ k: 'a', n: 1 }, 0)
        await expect(zombie.commit(1, { collected: [failed(0)] })).rejects.toBeInstanceOf(FenceLostError)
        expect(await idsOf()).toEqual([])
        expect(await rowsOf(contractTotals)).toEqual([])
        expect(await harness.collected()).toEqual([])
        expect(await progress()).toEqual([{ source: 'from:flights', nextOffset: 0 }])
        await member.commit(1)
        await expect(zombie.commit(2)).rejects.toBeInstanceOf(FenceLostError)
        expect(await progress()).toEqual([{ source: 'from:flights', nextOffset: 1 }])
      })

      it('holds between stores', async () => {
        const zombie = await Member.claim(store)
        await Member.claim(await harness.openStore(sinks))
        await expect(zombie.commit(1)).rejects.toBeInstanceOf(FenceLostError)
      })

      it('refuses a claim that has fallen behind its own task', async () => {
        const member = await Member.claim(store)
        const old = { ...member.claim }
        await member.commit(1)
        member.rows.append({ id: 1 }, 0)
        await expect(member.commit(2, { claim: old })).rejects.toBeInstanceOf(FenceLostError)
        expect(await idsOf()).toEqual([])
      })
    })

    describe('refused rows', () => {
      const refusalOf = async (attempt: Promise<void>) => {
        try {
          await attempt
        } catch (error) {
          if (error instanceof RowsRefused)
            return { owner: error.owner, table: error.table, sqlstate: error.sqlstate, clash: error.clash }
          throw error
        }
        return 'nothing was refused'
      }

      it('blame the first owner in offset order, and nothing of the batch is committed', async () => {
        const member = await Member.claim(store)
        const { version } = member.claim
        for (const [id, size] of [
          [1, 1],
          [2, -1],
          [3, -1],
          [4, 1],
        ] as const) {
          member.rows.append({ id, size }, id)
          member.totals.append({ k: 'a', n: 1 }, id)
        }
        const refused = { owner: 2, table: 'contract_rows', sqlstate: '23514', clash: false }
        expect(await refusalOf(member.commit(5, { collected: [failed(0)] }))).toEqual(refused)
        expect(await idsOf()).toEqual([])
        expect(await rowsOf(contractTotals)).toEqual([])
        expect(await harness.collected()).toEqual([])
        expect(await progress()).toEqual([{ source: 'from:flights', nextOffset: 0 }])
        expect(member.claim.version).toBe(version)
        expect(await refusalOf(member.commit(5, { left: [2] }))).toEqual({ ...refused, owner: 3 })
        await member.commit(5, { left: [2, 3] })
        expect(await idsOf()).toEqual([1, 4])
        expect(await rowsOf(contractTotals)).toEqual([{ k: 'a', n: 2 }])
      })

      it('say when they clash with other rows, of the batch or of the table', async () => {
        const member = await Member.claim(store)
        member.rows.append({ id: 1 }, 0)
        member.rows.append({ id: 1 }, 1)
        const refused = { owner: 1, table: 'contract_rows', sqlstate: '23505', clash: true }
        expect(await refusalOf(member.commit(2))).toEqual(refused)
        await member.commit(2, { left: [1] })
        member.rows.append({ id: 1 }, 0)
        expect(await refusalOf(member.commit(3))).toEqual({ ...refused, owner: 0 })
      })

      it('blame a group for its rows, not its last member, which stands at the same place', async () => {
        const member = await Member.claim(store)
        member.rows.append({ id: 1, size: 1 }, 1)
        member.rows.append({ id: 2, size: -1 }, -1)
        member.totals.append({ k: 'a', n: 1 }, 1)
        const position = (owner: number) => (owner === -1 ? 1 : owner)
        expect(await refusalOf(member.commit(2, { position, allInOrder: false }))).toMatchObject({ owner: -1 })
      })

      it('blame by offset order, not by the order in which rows were appended', async () => {
        const member = await Member.claim(store)
        for (const owner of [2, 1, 0]) member.rows.append({ id: 1, label: `${owner}` }, owner)
        const position = (owner: number) => owner
        expect(await refusalOf(member.commit(3, { position, allInOrder: false }))).toMatchObject({ owner: 1 })
      })
    })

    it('knows which tables hold rows', async () => {
      expect(await store.holdRows(sinks)).toEqual([])
      const member = await Member.claim(store)
      member.totals.append({ k: 'a' }, 0)
      await member.commit(1)
      expect(await store.holdRows(sinks)).toEqual(['contract_totals'])
    })

    it('has no progress of an application that never ran', async () => {
      expect(await store.readProgress('another')).toEqual([])
    })
  })
}
