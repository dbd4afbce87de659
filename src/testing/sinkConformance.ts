/** What every sink keeps, whatever it writes to; checked over a real store on random rows. */
import assert from 'node:assert'
import type { Arbitrary } from 'fast-check'
import { FenceLostError } from '../core/errors.ts'
import type { RowBuffer, Sink } from '../core/sink.ts'
import { type Claim, RowsRefused, type Store } from '../core/store.ts'
import { differences, textOf } from './_differences.ts'
import { checkLaws, type LawRuns, law, loadFastCheck } from './_fastCheck.ts'
import { type ModelRow, type Refuses, tableAfter } from './_tableModel.ts'

/** A sink with the store that writes it, and a way to look at the table. */
export interface SinkUnderTest<Row extends object> {
  readonly store: Store
  readonly sink: Sink<Row>
  /** The table's rows in any order, as somebody sees them who shares no connection with the store. Values equal those appended. */
  rows(): Promise<readonly object[]>
  close(): Promise<void>
}

export interface SinkFeatures {
  /** A batch is visible as a whole or not at all, and not when its task has lost the fence. */
  readonly transactional: boolean
  /** Rows of one owner can be left out, and refused rows name their owner. */
  readonly perItemRollback: boolean
  /** Rows of a key that exists are combined with it. */
  readonly upsert: boolean
}

export interface SinkConformanceOptions<Row extends object> extends LawRuns {
  /** Random rows, all with the same columns. Few different keys make better tests. */
  readonly rows: Arbitrary<Row>
  /**
   * Whether the table refuses a row while it holds `present`: a check, a unique index. Where rows of a batch are merged
   * by key before they are written, it must not refuse a row that another of its key would replace.
   */
  readonly refuses?: (row: Row, present: readonly Row[]) => boolean
}

/** A row on its way into the table; its place in the list is its place in offset order. */
interface Entry<Row> {
  readonly row: Row
  readonly undone: boolean
  /** Rows may be appended in another order than that of their offsets. */
  readonly turn: number
  /** Whether the batch is committed behind this row. */
  readonly cut: boolean
}

/**
 * Checks that a sink keeps what plans rely on; throws with the shortest list of rows that shows where it does not.
 *
 * - Committed are the appended rows, in any order of appending, and progress moves with them.
 * - Truncating a buffer to a mark forgets what came behind it.
 * - Any cut into commits gives the same rows.
 * - `transactional`: nothing is visible before the commit, nor after one that lost the fence.
 * - `perItemRollback`: rows of undone owners are absent; refused rows name the first owner, in offset order, whose prefix is
 *   refused, and leave nothing behind.
 * - `upsert`: the table is what one upsert after the other gives.
 *
 * @example
 * await sinkConformance(
 *   async () => {
 *     const store = new MemoryStore()
 *     return { store, sink: totals, rows: async () => store.rows('totals'), close: () => store.close() }
 *   },
 *   { transactional: true, perItemRollback: true, upsert: true },
 *   { rows: fc.record({ origin: fc.constantFrom('LAS', 'SEA'), flights: fc.nat(9) }) },
 * )
 *
 * @param make a store that is not open yet over an empty table; called once for each random list
 * @param features what the sink promises
 * @param options `rows` makes rows · `refuses` says which the table refuses (none) · `numRuns` (100) · `seed` draws the same rows again ·
 *   `replay` one list, as a failure prints it
 * @throws Error with the law's name and the rows; SettingsError MR-TEST-FAST-CHECK where fast-check is missing
 */
export async function sinkConformance<Row extends object>(
  make: () => Promise<SinkUnderTest<Row>>,
  features: SinkFeatures,
  { rows, refuses = () => false, ...runs }: SinkConformanceOptions<Row>,
): Promise<void> {
  const fc = await loadFastCheck()
  const entry = fc.record({ row: rows, undone: fc.boolean(), turn: fc.nat(3), cut: fc.boolean() })
  const entries = fc.array(entry, { maxLength: 12 })
  const again = (replay: string) => `await sinkConformance(make, features, { ...options, replay: '${replay}' })`
  const check = (name: string, story: (session: Session<Row>, entries: Entry<Row>[]) => Promise<void>, fits = true) => {
    const checked = async (drawn: Entry<Row>[]) => {
      const subject = await make()
      try {
        const session = await Session.begin(subject, refuses as Refuses)
        await story(session, fits ? session.fitting(drawn) : drawn)
      } finally {
        await subject.close()
      }
    }
    return checkLaws(fc, { name, inputs: entries, check: checked, tell, again }, runs)
  }

  await check('whole', async (session, list) => {
    session.append(list)
    if (features.transactional) await session.expect('nothing is visible before the commit', [])
    await session.commit(list)
    const name = features.upsert
      ? 'the table is what one upsert after the other gives'
      : 'committed rows are the appended rows'
    await session.expect(name, list)
    await session.expectProgress(list.length)
  })
  await check('cut', async (session, list) => {
    for (const batch of session.batches(list)) {
      session.append(batch)
      await session.commit(batch)
    }
    await session.expect('any cut into commits gives the same rows', list)
    await session.expectProgress(list.length)
  })
  await check('truncate', (session, list) => session.truncates(list))
  if (features.perItemRollback) {
    await check('undone', async (session, list) => {
      session.append(list)
      await session.commit(list, (index) => list[index]?.undone === true)
      await session.expect(
        'rows of undone owners are absent',
        list.filter(({ undone }) => !undone),
      )
    })
    await check('refused', (session, list) => session.refuses(list), false)
  }
  if (features.transactional) await check('fence', (session, list) => session.losesFence(list))
}

const source = 'from:conformance'

/** A task that appends and commits. */
class Session<Row extends object> {
  readonly #subject: SinkUnderTest<Row>
  readonly #refuses: Refuses
  readonly #buffer: RowBuffer
  #claim: Claim
  #position = 0

  static async begin<Row extends object>(subject: SinkUnderTest<Row>, refuses: Refuses): Promise<Session<Row>> {
    await subject.store.open([subject.sink as Sink<never>])
    return new Session(subject, refuses, await claim(subject.store))
  }

  private constructor(subject: SinkUnderTest<Row>, refuses: Refuses, claimed: Claim) {
    const [buffer] = subject.store.createBuffers([subject.sink as Sink<never>])
    assert(buffer !== undefined, 'createBuffers gives a buffer for each sink')
    this.#subject = subject
    this.#refuses = refuses
    this.#buffer = buffer
    this.#claim = claimed
  }

  /** The entries that the table takes, one after the other. */
  fitting(entries: readonly Entry<Row>[]): Entry<Row>[] {
    const { fallen } = tableAfter(this.#subject.sink, entries.map(rowOf), this.#refuses)
    return entries.filter((_, index) => !fallen.has(index))
  }

  batches(entries: readonly Entry<Row>[]): Entry<Row>[][] {
    const batches: Entry<Row>[][] = [[]]
    for (const entry of entries) {
      batches.at(-1)?.push(entry)
      if (entry.cut) batches.push([])
    }
    return batches
  }

  /** Appends rows under their numbers, in the order of their turns. */
  append(entries: readonly Entry<Row>[]): void {
    const turns = [...entries.entries()].sort(([, a], [, b]) => a.turn - b.turn)
    for (const [index, { row }] of turns) this.#buffer.append(row, ownerOf(index))
  }

  async commit(entries: readonly Entry<Row>[], undone: (index: number) => boolean = () => false): Promise<void> {
    const nextOffset = this.#position + entries.length
    await this.#subject.store.commit({
      claim: this.#claim,
      progress: [{ source, nextOffset, fingerprint: null }],
      buffers: [this.#buffer],
      position: (owner) => (undone(indexOf(owner)) ? undefined : indexOf(owner)),
      allInOrder: false,
      collected: [],
      settled: [],
      budget: null,
      halted: null,
    })
    this.#position = nextOffset
    this.#buffer.truncate(0)
  }

  /** The table holds what these entries give. */
  async expect(name: string, entries: readonly Entry<Row>[]): Promise<void> {
    const { sink, rows } = this.#subject
    const expected = tableAfter(sink, entries.map(rowOf), this.#refuses).rows
    const present = await rows.call(this.#subject)
    law(name, () => {
      const lines = differences(present, expected)
      assert(lines === undefined, lines?.join('\n'))
    })
  }

  async expectProgress(nextOffset: number): Promise<void> {
    const known = await this.#subject.store.readProgress(task.app)
    law('progress moves with the rows', () =>
      assert.deepStrictEqual(
        known.map((row) => row.nextOffset),
        [nextOffset],
      ),
    )
  }

  async truncates(entries: readonly Entry<Row>[]): Promise<void> {
    const kept = entries.filter(({ undone }) => !undone)
    for (const [index, { row }] of kept.entries()) {
      this.#buffer.append(row, index)
      const mark = this.#buffer.length
      for (const other of entries) this.#buffer.append(other.row, index)
      this.#buffer.truncate(mark)
      law('a buffer is as long as what was appended', () => assert.equal(this.#buffer.length, index + 1))
    }
    await this.commit(kept)
    await this.expect('truncating to a mark forgets what came behind it', kept)
  }

  /** Commits until nobody is named any more; those named are the ones that do not fit, in offset order. */
  async refuses(entries: readonly Entry<Row>[]): Promise<void> {
    const { store, sink } = this.#subject
    const { fallen } = tableAfter(sink, entries.map(rowOf), this.#refuses)
    const named: number[] = []
    this.append(entries)
    for (;;) {
      try {
        await this.commit(entries, (index) => named.includes(index))
        break
      } catch (error) {
        if (!(error instanceof RowsRefused)) throw error
        const index = indexOf(error.owner)
        law('refused rows name an owner that is still there', () => assert(!named.includes(index)))
        law('refused rows name their table', () => assert.equal(error.table, sink.name))
        named.push(index)
        await this.expect('a refused commit leaves nothing behind', [])
        assert.deepEqual(
          (await store.readProgress(task.app)).map((row) => row.nextOffset),
          [0],
        )
      }
    }
    law('refused rows name the first owner whose prefix is refused', () => assert.deepStrictEqual(named, [...fallen]))
    await this.expect(
      'the others are written',
      entries.filter((_, index) => !fallen.has(index)),
    )
  }

  async losesFence(entries: readonly Entry<Row>[]): Promise<void> {
    const [before = [], ...others] = this.batches(entries)
    const behind = others.flat()
    this.append(before)
    await this.commit(before)
    const lost = this.#claim
    const heir = await claim(this.#subject.store)
    this.append(behind)
    await assert.rejects(this.commit(behind), FenceLostError, 'law broken: a commit without the fence is refused')
    await this.expect('nothing is visible when the fence is lost', before)
    await this.expectProgress(before.length)
    this.#claim = heir
    await this.commit(behind)
    await this.expect('the new owner commits', entries)
    this.#claim = lost
    await assert.rejects(this.commit([]), FenceLostError, 'law broken: a fence that is lost stays lost')
  }
}

const task = { app: 'conformance', stream: 'conformance', partition: 0 }

function claim(store: Store): Promise<Claim> {
  return store.claim(task, [{ source, nextOffset: 0, fingerprint: null }])
}

/** Every third owner is a group: its number is below 0. */
function ownerOf(index: number): number {
  return index % 3 === 2 ? -1 - index : index
}

function indexOf(owner: number): number {
  return owner < 0 ? -1 - owner : owner
}

function rowOf<Row extends object>({ row }: Entry<Row>): ModelRow {
  return row as ModelRow
}

function tell<Row>(entries: readonly Entry<Row>[]): string {
  const lines = entries.map(({ row, undone, turn, cut }, index) => {
    const marks = [
      ...(undone ? ['its owner may be undone'] : []),
      ...(turn > 0 ? [`appended in turn ${turn}`] : []),
      ...(cut ? ['the batch may be cut behind it'] : []),
    ]
    return `  ${index + 1}. ${textOf(row)}${marks.length === 0 ? '' : `  ← ${marks.join(', ')}`}`
  })
  return [`with ${entries.length === 1 ? 'one row' : `${entries.length} rows`}:`, ...lines].join('\n')
}
