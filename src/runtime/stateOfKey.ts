/**
 * State of one key in memory: all of its cells, each with what is stored of it and what the open batch has made of that.
 *
 * A cell keeps its stored text, to go back to when the batch is replayed: its value may have been changed in place.
 */
import type { Key } from '../core/key.ts'
import { keyOfText } from '../core/key.ts'
import type { KeyedState } from '../core/keyed.ts'
import { decodeState } from '../core/stateCodec.ts'
import type { Evictable } from './stateCache.ts'

/** Stands for a value that has not been decoded. */
const undecoded: unique symbol = Symbol('undecoded')

/** When a cell is due that never is. */
export const never = Number.POSITIVE_INFINITY

export class Cell {
  readonly state: StateOfKey
  readonly at: number
  value: unknown = undecoded
  due = never
  /** Also where its key has left memory: whoever still holds it has nothing to do with it. */
  isGone = false
  isChanged = false
  /** As it is stored; undefined when it is not. */
  text: string | undefined
  storedDue = never
  version = 0
  /** What the commit that is under way makes of it; undefined where that leaves it as it is. */
  pending: { readonly text: string; readonly due: number } | undefined
  /** When the queue of what is due comes to it; it may have become due later since. */
  queuedFor = never

  constructor(state: StateOfKey, at: number) {
    this.state = state
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

/** Whom a key tells what becomes of its cells. */
export interface CellKeeper {
  /** The owner in hand looks at state. */
  touch(): void
  /** The owner in hand is about to change a cell, which held a value. */
  changing(cell: Cell, value: unknown): void
  /** The owner in hand has changed the value of a cell in place: what it was is known only from its text. */
  changingInPlace(cell: Cell): void
  /** A cell has a time at which it is due. */
  queue(cell: Cell): void
  /** The key goes out of memory. */
  drop(state: StateOfKey): void
}

export class StateOfKey implements KeyedState, Evictable {
  readonly key: Key
  readonly text: string
  readonly cells = new Map<number, Cell>()
  isOpen = false
  newer: Evictable['newer']
  older: Evictable['older']
  readonly #keeper: CellKeeper
  #last: Cell | undefined

  constructor(keeper: CellKeeper, text: string) {
    this.#keeper = keeper
    this.text = text
    this.key = keyOfText(text)
  }

  get(at: number): unknown {
    this.#keeper.touch()
    const cell = this.#cellAt(at)
    return cell === undefined || cell.isGone ? undefined : cell.current
  }

  set(at: number, value: unknown, due = never, before?: unknown): void {
    let cell = this.#cellAt(at)
    if (cell === undefined) {
      cell = new Cell(this, at)
      cell.isGone = true
      this.add(cell)
    }
    const isSame = isObject(value) && value === cell.value
    if (isSame && before === undefined) this.#keeper.changingInPlace(cell)
    else this.#keeper.changing(cell, isSame ? before : cell.value)
    cell.value = value
    cell.isGone = false
    cell.due = due
    this.queue(cell)
  }

  delete(at: number): void {
    const cell = this.cells.get(at)
    if (cell === undefined || cell.isGone) return
    this.#keeper.changing(cell, cell.value)
    cell.isGone = true
  }

  times(): readonly number[] {
    return this.between(Number.NEGATIVE_INFINITY, Number.POSITIVE_INFINITY)
  }

  between(from: number, to: number): readonly number[] {
    this.#keeper.touch()
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

  add(cell: Cell): void {
    this.cells.set(cell.at, cell)
    this.#last = cell
  }

  /** Takes a cell out, for good. */
  remove(cell: Cell): void {
    this.cells.delete(cell.at)
    if (this.#last === cell) this.#last = undefined
  }

  /** The keeper is told when a cell is due, unless it looks at it by then anyway. */
  queue(cell: Cell): void {
    if (cell.due < cell.queuedFor && !cell.isGone) this.#keeper.queue(cell)
  }

  /** Takes out a cell that is due, and answers with what it held. */
  takeDue(cell: Cell): unknown {
    const value = cell.current
    this.delete(cell.at)
    return value
  }

  evicted(): void {
    this.#keeper.drop(this)
  }
}

function isObject(value: unknown): boolean {
  return typeof value === 'object' && value !== null
}
