/**
 * State of one keyed step in one task: what is in memory of it, what the open batch has made of that, and what is to be
 * committed.
 *
 * A key is in memory with all of its cells, or not at all. What a batch touches stays until its commit; what it has changed goes
 * back to what is stored when the batch is replayed.
 */

import { requireStorable } from '../core/key.ts'
import type { DueKey, DueRows, StateChanges, StateRow } from '../core/stateStore.ts'
import { CellChanges } from './cellChanges.ts'
import { DueQueue } from './dueQueue.ts'
import type { OwnerLog } from './ownerLog.ts'
import type { StateCache } from './stateCache.ts'
import { Cell, type CellKeeper, never, StateOfKey } from './stateOfKey.ts'
import { settled, writesOf } from './stateWrites.ts'

/** Reads what is stored. */
export interface StateReader {
  /** All cells of some keys. */
  read(keys: readonly string[]): Promise<readonly StateRow[]>
  /** All cells of the next keys that have one which is due at a time, or before. */
  readDue(upTo: number, after: DueKey | undefined): Promise<DueRows>
}

export class StateTable implements CellKeeper {
  readonly #dues = new DueQueue()
  readonly #log: OwnerLog
  readonly #owner: () => number
  readonly #cache: StateCache
  readonly #states = new Map<string, StateOfKey>()
  readonly #before = new CellChanges()
  /** Keys that the open batch has used. */
  readonly #open = new Set<StateOfKey>()
  /** Cells that it has changed. */
  #changed: Cell[] = []
  #reader: StateReader | undefined
  /** Whether all that is stored is in memory, so that a key which is not there is nowhere. */
  #isComplete = true
  /** When something is due first that is not in memory. */
  #firstDueElsewhere = never
  /** Up to where what is due has been read. */
  #readTo: DueKey | undefined
  /** Counts changes. */
  changesMade = 0

  /** @param owner who is in hand */
  constructor(log: OwnerLog, cache: StateCache, owner: () => number) {
    this.#log = log
    this.#cache = cache
    this.#owner = owner
  }

  /** What is stored is known from now on. */
  bind(reader: StateReader, extent: { readonly isEmpty: boolean; readonly firstDue: number | null }): void {
    this.#reader = reader
    this.#isComplete = extent.isEmpty
    this.#firstDueElsewhere = extent.firstDue ?? never
  }

  /** When something is due first, in memory or not. */
  get firstDue(): number {
    return Math.min(this.#dues.first, this.#firstDueElsewhere)
  }

  /** Whether something that is due by then is not in memory. */
  isElsewhere(due: number): boolean {
    return this.#firstDueElsewhere <= due
  }

  /** Brings keys into memory. */
  async load(keys: Iterable<string>): Promise<void> {
    if (this.#isComplete || this.#reader === undefined) return
    const missing = new Set<string>()
    for (const key of keys) if (!this.#states.has(key)) missing.add(key)
    if (missing.size === 0) return
    this.#keep(await this.#reader.read([...missing]))
    for (const key of missing) if (!this.#states.has(key)) this.#begin(key)
  }

  /** Brings what is due into memory, those first that are due first: perhaps not all. */
  async loadDue(upTo: number): Promise<void> {
    if (this.#reader === undefined) return
    const { rows, last, next } = await this.#reader.readDue(upTo, this.#readTo)
    this.#keep(rows)
    this.#readTo = last
    this.#firstDueElsewhere = next ?? never
  }

  /** Whether work on a key would have to wait. */
  has(key: string): boolean {
    return this.#isComplete || this.#states.has(key)
  }

  /** State of a key that is in memory, for the batch that is open. @throws ItemError MR-KEY */
  use(key: string): StateOfKey {
    const state = this.#states.get(key) ?? this.#begin(key)
    if (!state.isOpen) this.#openUp(state)
    return state
  }

  touch(): void {
    this.#log.touch(this.#owner())
  }

  changing(cell: Cell, value: unknown): void {
    this.#log.touch(this.#owner())
    if (this.#before.isEmpty) this.#log.note(this.#before)
    this.#before.add(cell, value)
    this.#noteChange(cell)
  }

  changingInPlace(cell: Cell): void {
    const owner = this.#owner()
    this.#log.touch(owner)
    this.#log.join(owner)
    this.#noteChange(cell)
  }

  #noteChange(cell: Cell): void {
    if (!cell.state.isOpen) this.#openUp(cell.state)
    this.changesMade++
    if (cell.isChanged) return
    cell.isChanged = true
    this.#changed.push(cell)
  }

  queue(cell: Cell): void {
    this.#dues.add(cell)
  }

  /** Takes cells in memory that are due by a time, in the order in which they are worked off: of where they stand, then of keys. */
  takeDue(time: number): Cell[] {
    return this.#dues.takeUpTo(time).sort((a, b) => a.at - b.at || (a.state.text < b.state.text ? -1 : 1))
  }

  /**
   * What the batch has changed; undefined for nothing.
   *
   * @param workedOffTo the time up to which everything that is due has been worked off
   */
  changes(workedOffTo: number): Omit<StateChanges, 'step'> | undefined {
    return writesOf(this.#changed, this.firstDue > workedOffTo ? workedOffTo : Number.NEGATIVE_INFINITY)
  }

  /** What the batch has changed is stored. */
  committed(): void {
    for (const cell of this.#changed) {
      settled(cell)
      if (cell.isGone) this.#remove(cell)
    }
    this.#changed = []
    for (const state of this.#open) this.#close(state)
    this.#open.clear()
  }

  /** Forgets what the batch has changed. */
  reset(): void {
    for (const cell of this.#changed) {
      cell.restore()
      if (cell.isGone) this.#remove(cell)
      else cell.state.queue(cell)
    }
    this.#changed = []
  }

  /** Forgets all that is in memory: the store has something else. */
  forget(): void {
    for (const state of this.#states.values()) this.#cache.release(state)
    this.#states.clear()
    this.#open.clear()
    this.#changed = []
    this.#dues.clear()
    this.#isComplete = false
    this.#firstDueElsewhere = Number.NEGATIVE_INFINITY
    this.#readTo = undefined
  }

  drop(state: StateOfKey): void {
    this.#states.delete(state.text)
    if (state.cells.size > 0) this.#isComplete = false
    for (const cell of state.cells.values()) {
      this.#firstDueElsewhere = Math.min(this.#firstDueElsewhere, cell.due)
      // It may be due before what has been read.
      if (cell.due !== never) this.#readTo = undefined
      this.#leave(cell)
    }
  }

  /** A cell is not there any more. */
  #remove(cell: Cell): void {
    cell.state.remove(cell)
    this.#leave(cell)
  }

  #leave(cell: Cell): void {
    cell.isGone = true
    this.#dues.discard(cell)
  }

  close(): void {
    for (const state of this.#states.values()) this.#cache.release(state)
  }

  #begin(key: string): StateOfKey {
    requireStorable(key)
    const state = new StateOfKey(this, key)
    this.#states.set(key, state)
    return state
  }

  #openUp(state: StateOfKey): void {
    state.isOpen = true
    this.#open.add(state)
    this.#cache.release(state)
  }

  #close(state: StateOfKey): void {
    state.isOpen = false
    if (state.cells.size === 0) this.#states.delete(state.text)
    else this.#cache.keep(state)
  }

  /** Takes rows of keys into memory, but for those that are there. */
  #keep(rows: readonly StateRow[]): void {
    const fresh = new Map<string, StateOfKey>()
    for (const { key, at, value, due, version } of rows) {
      if (this.#states.has(key)) continue
      let state = fresh.get(key)
      if (state === undefined) {
        state = new StateOfKey(this, key)
        fresh.set(key, state)
      }
      const cell = new Cell(state, at)
      cell.text = value
      cell.version = version
      cell.storedDue = due ?? never
      cell.restore()
      state.add(cell)
      state.queue(cell)
    }
    for (const [key, state] of fresh) {
      this.#states.set(key, state)
      this.#openUp(state)
    }
  }
}
