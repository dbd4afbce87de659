/**
 * State of one keyed step in one task: what is in memory of it, what the open batch has made of that, and what is to be
 * committed.
 *
 * A key is in memory with all of its cells, or not at all. What a batch touches stays until its commit; what it has changed goes
 * back to what is stored when the batch is replayed. A cell keeps its stored text for that: its value may have been changed
 * in place.
 */
import type { Key } from '../core/key.ts'
import { keyOfText, requireStorable } from '../core/key.ts'
import type { KeyedState } from '../core/keyed.ts'
import { decodeState, encodeState } from '../core/stateCodec.ts'
import type { DueKey, DueRows, StateChanges, StateRow } from '../core/stateStore.ts'
import { DueQueue } from './dueQueue.ts'
import type { Change, OwnerLog } from './ownerLog.ts'
import type { Evictable, StateCache } from './stateCache.ts'

/** Reads what is stored. */
export interface StateReader {
  /** All cells of some keys. */
  read(keys: readonly string[]): Promise<readonly StateRow[]>
  /** All cells of the next keys that have one which is due at a time, or before. */
  readDue(upTo: number, after: DueKey | undefined): Promise<DueRows>
}

/** Stands for a value that has not been decoded. */
const undecoded: unique symbol = Symbol('undecoded')

const never = Number.POSITIVE_INFINITY

class Cell {
  readonly at: number
  value: unknown = undecoded
  due = never
  isGone = false
  isChanged = false
  /** As it is stored; undefined when it is not. */
  text: string | undefined
  storedDue = never
  version = 0
  /** What the commit that is under way makes of it; undefined for one that goes. */
  pending: { readonly text: string | undefined; readonly due: number } | undefined

  constructor(at: number) {
    this.at = at
  }

  get current(): unknown {
    if (this.value === undecoded) this.value = decodeState(this.text as string)
    return this.value
  }

  /** Back to what is stored. */
  restore(): void {
    this.value = undecoded
    this.due = this.storedDue
    this.isGone = this.text === undefined
    this.isChanged = false
  }
}

/** What cells were before the owner in hand changed them, in columns that are used again and again. */
class CellChanges implements Change {
  #count = 0
  readonly #states: StateOfKey[] = []
  readonly #cells: Cell[] = []
  readonly #values: unknown[] = []
  readonly #dues: number[] = []
  readonly #gone: boolean[] = []

  get isEmpty(): boolean {
    return this.#count === 0
  }

  /** @param value what the cell held */
  add(state: StateOfKey, cell: Cell, value: unknown): void {
    const index = this.#count++
    this.#states[index] = state
    this.#cells[index] = cell
    this.#values[index] = value
    this.#dues[index] = cell.due
    this.#gone[index] = cell.isGone
  }

  undo(): void {
    for (let index = this.#count - 1; index >= 0; index--) {
      const cell = this.#cells[index] as Cell
      cell.value = this.#values[index]
      cell.due = this.#dues[index] as number
      cell.isGone = this.#gone[index] as boolean
      ;(this.#states[index] as StateOfKey).queue(cell)
    }
    this.#count = 0
  }

  seen(): void {
    this.#count = 0
  }
}

/** A cell that is due, in the order in which cells are worked off. */
export interface DueCell {
  readonly state: StateOfKey
  readonly at: number
}

export class StateOfKey implements KeyedState, Evictable {
  readonly key: Key
  readonly text: string
  readonly cells = new Map<number, Cell>()
  isOpen = false
  readonly #table: StateTable
  #last: Cell | undefined

  constructor(table: StateTable, text: string) {
    this.#table = table
    this.text = text
    this.key = keyOfText(text)
  }

  get(at: number): unknown {
    this.#table.touch()
    const cell = this.#cellAt(at)
    return cell === undefined || cell.isGone ? undefined : cell.current
  }

  set(at: number, value: unknown, due = never, before?: unknown): void {
    let cell = this.#cellAt(at)
    if (cell === undefined) {
      cell = new Cell(at)
      cell.isGone = true
      this.cells.set(at, cell)
    }
    const isSame = isObject(value) && value === cell.value
    if (isSame && before === undefined) this.#table.changingInPlace(this, cell)
    else this.#table.changing(this, cell, isSame ? before : cell.value)
    cell.value = value
    cell.isGone = false
    if (cell.due === due) return
    cell.due = due
    this.queue(cell)
  }

  delete(at: number): void {
    const cell = this.cells.get(at)
    if (cell === undefined || cell.isGone) return
    this.#table.changing(this, cell, cell.value)
    cell.isGone = true
  }

  times(): readonly number[] {
    return this.between(Number.NEGATIVE_INFINITY, Number.POSITIVE_INFINITY)
  }

  between(from: number, to: number): readonly number[] {
    this.#table.touch()
    const times: number[] = []
    for (const { at, isGone } of this.cells.values()) if (!isGone && at >= from && at <= to) times.push(at)
    return times.sort((a, b) => a - b)
  }

  /** Mostly the one that was asked for last. */
  #cellAt(at: number): Cell | undefined {
    if (this.#last?.at === at) return this.#last
    const cell = this.cells.get(at)
    if (cell !== undefined) this.#last = cell
    return cell
  }

  /** Takes a cell out, for good. */
  remove(cell: Cell): void {
    this.cells.delete(cell.at)
    if (this.#last === cell) this.#last = undefined
  }

  /** The table is told when a cell is due. */
  queue(cell: Cell): void {
    if (cell.due !== never && !cell.isGone) this.#table.dues.add(cell.due, { state: this, at: cell.at })
  }

  /** Takes a cell that is due; undefined when it has changed meanwhile. */
  takeDue(at: number, due: number): { readonly value: unknown } | undefined {
    const cell = this.cells.get(at)
    if (cell === undefined || cell.isGone || cell.due !== due) return undefined
    const value = cell.current
    this.delete(at)
    return { value }
  }

  evicted(): void {
    this.#table.drop(this)
  }
}

export class StateTable {
  /** Cells in memory by when they are due. */
  readonly dues = new DueQueue<DueCell>()
  readonly #log: OwnerLog
  readonly #owner: () => number
  readonly #cache: StateCache
  readonly #states = new Map<string, StateOfKey>()
  readonly #before = new CellChanges()
  /** Keys that the open batch has used. */
  readonly #open = new Set<StateOfKey>()
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
    return Math.min(this.dues.first, this.#firstDueElsewhere)
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

  /** The owner in hand looks at state. */
  touch(): void {
    this.#log.touch(this.#owner())
  }

  /** The owner in hand is about to change a cell, which held a value. */
  changing(state: StateOfKey, cell: Cell, value: unknown): void {
    this.#log.touch(this.#owner())
    if (this.#before.isEmpty) this.#log.note(this.#before)
    this.#before.add(state, cell, value)
    this.#changed(state, cell)
  }

  /** The owner in hand has changed the value of a cell in place: what it was is known only from its text. */
  changingInPlace(state: StateOfKey, cell: Cell): void {
    const owner = this.#owner()
    this.#log.touch(owner)
    this.#log.join(owner)
    this.#changed(state, cell)
  }

  #changed(state: StateOfKey, cell: Cell): void {
    if (!state.isOpen) this.#openUp(state)
    cell.isChanged = true
    this.changesMade++
  }

  /** What the batch has changed; undefined for nothing. */
  changes(): Omit<StateChanges, 'step'> | undefined {
    const changes: Changes = { keys: [], ats: [], values: [], dues: [], versions: [] }
    for (const state of this.#open) {
      for (const cell of state.cells.values()) if (cell.isChanged) addChange(changes, state.text, cell)
    }
    return changes.keys.length === 0 ? undefined : changes
  }

  /** What the batch has changed is stored. */
  committed(): void {
    for (const state of this.#open) {
      for (const cell of state.cells.values()) if (cell.isChanged) settled(state, cell)
      this.#close(state)
    }
    this.#open.clear()
  }

  /** Forgets what the batch has changed. */
  reset(): void {
    for (const state of this.#open) {
      for (const cell of state.cells.values()) {
        if (!cell.isChanged) continue
        cell.restore()
        if (cell.text === undefined) state.remove(cell)
        else state.queue(cell)
      }
    }
  }

  /** Forgets all that is in memory: the store has something else. */
  forget(): void {
    for (const state of this.#states.values()) this.#cache.release(state)
    this.#states.clear()
    this.#open.clear()
    this.dues.clear()
    this.#isComplete = false
    this.#firstDueElsewhere = Number.NEGATIVE_INFINITY
  }

  /** A key goes out of memory. */
  drop(state: StateOfKey): void {
    this.#states.delete(state.text)
    if (state.cells.size > 0) this.#isComplete = false
    for (const { due } of state.cells.values()) {
      this.#firstDueElsewhere = Math.min(this.#firstDueElsewhere, due)
      // It may be due before what has been read.
      if (due !== never) this.#readTo = undefined
    }
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
      const cell = new Cell(at)
      cell.text = value
      cell.version = version
      cell.storedDue = due ?? never
      cell.restore()
      state.cells.set(at, cell)
      state.queue(cell)
    }
    for (const [key, state] of fresh) {
      this.#states.set(key, state)
      this.#openUp(state)
    }
  }
}

type Changes = { -readonly [Name in keyof Omit<StateChanges, 'step'>]: StateChanges[Name][number][] }

function addChange(changes: Changes, key: string, cell: Cell): void {
  const text = cell.isGone ? undefined : encodeState(cell.current)
  cell.pending = undefined
  if (text === cell.text && (text === undefined || cell.due === cell.storedDue)) return
  changes.keys.push(key)
  changes.ats.push(cell.at)
  changes.values.push(text ?? null)
  changes.dues.push(text === undefined || cell.due === never ? null : cell.due)
  changes.versions.push(cell.version)
  cell.pending = { text, due: cell.due }
}

/** A change has been committed. */
function settled(state: StateOfKey, cell: Cell): void {
  cell.isChanged = false
  if (cell.isGone) {
    state.remove(cell)
    return
  }
  if (cell.pending === undefined) return
  cell.text = cell.pending.text
  cell.storedDue = cell.pending.due
  cell.version++
  cell.pending = undefined
}

function isObject(value: unknown): boolean {
  return typeof value === 'object' && value !== null
}
