/**
 * A keyed step: reads the state that its values need, then works on them one by one in offset order, and on what falls due as
 * event time goes on.
 *
 * What an item finds does not depend on how the input was cut: the watermark moves with each item, and what is due by then
 * is worked off before the item itself.
 */
import type { ItemContext } from '../core/context.ts'
import { ItemError } from '../core/errors.ts'
import { type Key, textOfKey } from '../core/key.ts'
import type { Derivation, KeyedHandlers, KeyedOperator, KeyedStep, KeyRule } from '../core/keyed.ts'
import type { Next, Step } from '../core/operator.ts'
import { shown } from '../core/options.ts'
import { Outcome } from '../core/outcome.ts'
import { syncWatch } from '../core/signal.ts'
import type { StateChanges } from '../core/stateStore.ts'
import type { Barrier } from './barriers.ts'
import type { Batch } from './batch.ts'
import { drive, type Feed } from './drive.ts'
import { EventTimeReader } from './eventTime.ts'
import { itemOf, noItem } from './owner.ts'
import { settle, swallowedSignal } from './settle.ts'
import type { StateCache } from './stateCache.ts'
import { type Cell, never } from './stateOfKey.ts'
import { type StateReader, StateTable } from './stateTable.ts'
import { placeOf, type TaskInfo } from './taskInfo.ts'
import { Watermark } from './watermark.ts'

/** What a keyed barrier is made of. */
export interface KeyedParts {
  readonly batch: Batch
  readonly info: TaskInfo
  readonly step: Step
  /** The index of the stream that the step belongs to. */
  readonly stream: number
  readonly operator: KeyedOperator<unknown, unknown>
  readonly next: Next<unknown>
  readonly late: Next<unknown>
  readonly cache: StateCache
  /** How far the watermark is behind that of the input, because of steps before: in milliseconds. */
  readonly heldBackMs: number
  /** The inputs from which values come here, by their index. Time that has come in others is not that of this step. */
  readonly inputs: ReadonlySet<number>
}

/** Values that wait at a barrier, in columns. */
class Taken {
  values: unknown[] = []
  owners: number[] = []
  keys: string[] = []
  times: number[] = []
  /** Whether values come from the second input. */
  sides: boolean[] = []

  add(value: unknown, owner: number, key: string, time: number, isOther: boolean): void {
    this.values.push(value)
    this.owners.push(owner)
    this.keys.push(key)
    this.times.push(time)
    this.sides.push(isOther)
  }

  clear(): void {
    this.values = []
    this.owners = []
    this.keys = []
    this.times = []
    this.sides = []
  }

  /** Those that go on, in offset order. */
  sorted(batch: Batch): Taken {
    if (batch.allStand && this.#isOrdered()) return this
    const positions = this.owners.map((owner) => batch.standing(owner))
    if (positions.every((position, index) => position !== undefined && position >= (positions[index - 1] ?? -1)))
      return this
    const order = [...positions.keys()]
      .filter((index) => positions[index] !== undefined)
      .sort((a, b) => (positions[a] as number) - (positions[b] as number))
    const taken = new Taken()
    for (const index of order) {
      taken.add(
        this.values[index],
        this.owners[index] as number,
        this.keys[index] as string,
        this.times[index] as number,
        this.sides[index] as boolean,
      )
    }
    return taken
  }

  /** Whether they are items in their order, as they mostly are. */
  #isOrdered(): boolean {
    const { owners } = this
    for (let index = 1; index < owners.length; index++) {
      if ((owners[index] as number) < (owners[index - 1] as number)) return false
    }
    return owners.length === 0 || (owners[0] as number) >= 0
  }
}

export class KeyedBarrier implements Barrier, Feed {
  readonly hasLateValues = false
  readonly name: string
  /** Values that came too late, or their shares in windows. */
  lateCount = 0
  count = 0
  readonly #parts: KeyedParts
  readonly #batch: Batch
  readonly #operator: KeyedOperator<unknown, unknown>
  readonly #handlers: KeyedHandlers<unknown>
  readonly #table: StateTable
  readonly #watermark: Watermark
  readonly #ctx: ItemContext
  readonly #times: EventTimeReader
  readonly #ownTime: boolean
  /** How far the watermark is behind the newest time. */
  readonly #behindMs: number
  #taken = new Taken()
  /** What the loop is at work on. */
  #feeding = new Taken()
  /** Items whose time the watermark has taken into account. */
  #seen = 0
  #time = 0
  /** Where derived values stand in offset order: before the item that moved the watermark, or behind the one in hand. */
  #isDue = false
  /** Whether the loop has ended because what is due is not in memory. */
  #awaitsDue = false

  constructor(parts: KeyedParts) {
    const { batch, step, operator, cache, next, late } = parts
    this.#parts = parts
    this.#batch = batch
    this.#operator = operator
    this.name = step.name
    this.#ctx = step.ctx
    this.#times = new EventTimeReader(operator.time, batch, parts.info, step)
    this.#ownTime = operator.time?.of !== undefined
    this.#behindMs = (operator.time?.outOfOrderMs ?? 0) + (this.#ownTime ? 0 : parts.heldBackMs)
    this.#table = new StateTable(batch.log, cache, () => batch.item)
    this.#watermark = new Watermark(batch.log)
    this.#handlers = operator.attach(next, late, this.#keyedStep(step))
  }

  /** What the store has of it. */
  bind(reader: StateReader, extent: { isEmpty: boolean; firstDue: number | null }, newest: number | undefined): void {
    this.#table.bind(reader, extent)
    this.#watermark.start(newest)
  }

  get shape(): string {
    return this.#operator.shape
  }

  /** The newest event time, to be kept with progress; -Infinity for none. */
  get newest(): number {
    return this.#watermark.newest
  }

  /** Takes a value on its way to the step: what it is keyed by and its time are read in the loop that brings it. */
  take(value: unknown, owner: number): void {
    this.#take(value, owner, this.#operator.key, false)
  }

  /** Takes a value of the second input. */
  takeOther(value: unknown, owner: number): void {
    this.#take(value, owner, this.#operator.otherKey as KeyRule<unknown>, true)
  }

  #take(value: unknown, owner: number, rule: KeyRule<unknown>, isOther: boolean): void {
    const { batch, step } = this.#parts
    step.enter()
    const key = rule.of(value, this.#ctx)
    const text = textOfKey(key)
    if (rule.isRecordKey) this.#requireRecordKey(key, owner)
    const finer = rule.finer?.(value, this.#ctx)
    const fullText = finer === undefined ? text : text + between + finer
    this.#taken.add(value, owner, fullText, this.#times.read(value, owner), isOther)
    if (syncWatch.raised !== undefined) throw swallowedSignal(batch, owner, this.#parts.info, syncWatch, this.name)
  }

  async run(closing: boolean): Promise<void> {
    const batch = this.#batch
    this.#feeding = this.#taken.sorted(batch)
    this.#taken = new Taken()
    await this.#table.load(this.#feeding.keys)
    this.count = this.#feeding.owners.length
    for (let from = 0; ; ) {
      from = await drive(batch, this.#parts.info, this, from)
      if (batch.interrupt !== undefined || this.#parts.info.abandoned.aborted) return
      if (!this.#awaitsDue && from >= this.#feeding.owners.length && this.#runDue(closing)) return
      if (this.#awaitsDue) await this.#table.loadDue(this.#current)
      this.#awaitsDue = false
      this.count = this.#feeding.owners.length
    }
  }

  ownerAt(index: number): number {
    return this.#feeding.owners[index] as number
  }

  feed(index: number, owner: number): void {
    const time = this.#feeding.times[index] as number
    if (!this.#advance(time, owner)) {
      this.count = index
      return
    }
    this.#time = time
    this.#batch.step = this.name
    this.#batch.marks.sawState(owner)
    const { changesMade } = this.#table
    const state = this.#table.use(this.#feeding.keys[index] as string)
    if (this.#feeding.sides[index]) this.#handlers.takeOther?.(this.#feeding.values[index], owner, state)
    else this.#handlers.take(this.#feeding.values[index], owner, state)
    // What went into state is done, also when nothing goes on from here.
    if (this.#table.changesMade > changesMade) this.#batch.marks.reach(owner, Outcome.done)
  }

  reset(): void {
    this.#taken.clear()
    this.#feeding.clear()
    this.#table.reset()
    this.#watermark.reset()
    this.#seen = 0
    this.lateCount = 0
  }

  /** What the batch has changed; undefined for nothing. */
  changes(): StateChanges | undefined {
    const changes = this.#table.changes(this.#current)
    return changes === undefined ? undefined : { step: this.name, ...changes }
  }

  committed(): void {
    this.#table.committed()
    this.#watermark.committed()
  }

  /** What is in memory is not what is stored. */
  forget(): void {
    this.#table.forget()
  }

  close(): void {
    this.#table.close()
  }

  /** The watermark, in milliseconds. */
  get #current(): number {
    return this.#watermark.newest - this.#behindMs
  }

  /** Moves the watermark to where it is with an owner. Says whether all that is due by then has been worked off. */
  #advance(time: number, owner: number): boolean {
    if (this.#ownTime) this.#watermark.see(time, owner)
    else this.#seeItems(Math.floor(this.#batch.standing(owner) ?? 0))
    return this.#workOff(this.#watermark.mover === noItem ? owner : this.#watermark.mover)
  }

  /** The watermark moves with all items of the inputs, also those that did not come to this step. */
  #seeItems(last: number): void {
    const batch = this.#batch
    const { inputs, info } = this.#parts
    const isFedByAll = inputs.size === info.inputs.length
    for (; this.#seen <= last; this.#seen++) {
      if (batch.falls.isUndone(this.#seen)) continue
      if (isFedByAll || inputs.has(batch.inputOf(this.#seen).index))
        this.#watermark.see(batch.timeOf(this.#seen), this.#seen)
    }
  }

  /** Behind the last value: items that did not come here, and time that went on without any. Says whether all is worked off. */
  #runDue(closing: boolean): boolean {
    const batch = this.#batch
    if (closing) {
      // Before that, a step which takes the whole batch may still hold values of items that are through.
      if (!this.#ownTime) this.#seeItems(Math.min(batch.passed, batch.limit.at) - 1)
      this.#watermark.see((batch.isLast ? Number.POSITIVE_INFINITY : batch.timeAtLeast) + this.#behindMs, noItem)
    }
    this.#parts.info.cursor.enter(() => placeOf(this.#parts.info, batch, batch.item, this.name))
    batch.item = this.#watermark.mover
    const done = this.#workOff(this.#watermark.mover)
    batch.item = noItem
    this.#parts.info.cursor.leave()
    return done
  }

  /** Works off what is due. False when some of it has to be read first. */
  #workOff(mover: number): boolean {
    const watermark = this.#current
    if (this.#table.firstDue > watermark) return true
    if (this.#table.isElsewhere(watermark)) {
      this.#awaitsDue = true
      return false
    }
    const due = this.#table.takeDue(watermark)
    if (due.length === 0) return true
    const batch = this.#batch
    const outer = batch.item
    batch.item = mover
    // What is due depends on who has moved the watermark.
    batch.marks.join(mover)
    this.#isDue = true
    for (const cell of due) {
      // It comes up again, if it was set again.
      if (cell.isGone || cell.queuedFor !== never) continue
      if (batch.interrupt === undefined) this.#handOver(cell)
      else cell.state.queue(cell)
    }
    this.#isDue = false
    batch.item = outer
    // What was worked off may have set something that is due at once.
    return batch.interrupt !== undefined || this.#workOff(mover)
  }

  #handOver(cell: Cell): void {
    const { state, at } = cell
    const value = state.takeDue(cell)
    this.#batch.step = this.name
    try {
      this.#handlers.due?.(at, value, state)
    } catch (thrown) {
      this.#settleDerived({ key: state.key, at, time: at }, thrown)
    }
  }

  /** Hands on a value that no single record made: what becomes of it is nothing to the item in hand. */
  #derive(next: Next<unknown>, value: unknown, from: Derivation): void {
    const batch = this.#batch
    const owner = batch.falls.openDerived(this.#derivedOwner(from))
    if (owner === undefined) return
    const outer = batch.item
    // It came because of the one in hand, and stands by itself.
    batch.marks.join(outer)
    batch.item = owner
    try {
      next(value, owner)
      if (syncWatch.raised !== undefined) throw swallowedSignal(batch, owner, this.#parts.info, syncWatch)
    } catch (thrown) {
      syncWatch.raised = undefined
      settle(batch, owner, thrown)
    } finally {
      batch.item = outer
      batch.step = this.name
    }
  }

  #settleDerived(from: Derivation, thrown: unknown): void {
    syncWatch.raised = undefined
    const owner = this.#batch.falls.openDerived(this.#derivedOwner(from))
    if (owner !== undefined) settle(this.#batch, owner, thrown)
  }

  #derivedOwner({ key, at, nth = 0, time }: Derivation) {
    const { batch, stream } = this.#parts
    const item = batch.item === noItem ? batch.size : batch.owners.firstItemOf(batch.item)
    const position = this.#isDue ? item - dueBefore : item + filledBehind
    return { stream, step: this.name, key, at, nth, time, item, position }
  }

  /** Only where records of a key are in one partition is its state in one place. */
  #requireRecordKey(key: Key, owner: number): void {
    const batch = this.#batch
    const wanted = typeof key === 'string' ? key : String(key)
    for (const item of owner >= 0 ? [itemOf(owner)] : batch.owners.itemsOf(owner)) {
      const { records, index } = batch.locate(item)
      if (records.isKey?.(index, wanted)) continue
      const recordKey = records.key(index)?.toString()
      if (recordKey === wanted) continue
      throw new ItemError('MR-KEY-RECORD', {
        what: `the value is keyed by ${shown(key)}, and its record by ${shown(recordKey ?? null)}`,
        why: 'keyBy(…, { sameKey: true }) says that both are the same: else records of one key are in several partitions, and its state would be, too.',
        fix: 'Leave sameKey out: the stream is then brought together by key.',
        place: placeOf(this.#parts.info, batch, owner, this.name),
      })
    }
  }

  #keyedStep(step: Step): KeyedStep {
    const barrier = this
    return {
      ...step,
      get time() {
        return barrier.#time
      },
      get watermark() {
        // Who looks at it may depend on whoever has moved it.
        barrier.#batch.log.touch(barrier.#batch.item)
        return barrier.#current
      },
      derive: (next, value, from) => this.#derive(next as Next<unknown>, value, from),
      countLate: () => {
        this.lateCount++
      },
    }
  }
}

/** Parts a key from what tells its values apart. */
const between = '\u0002'

/** How far before its item what falls due stands: behind all that the item before has made. */
const dueBefore = 0.0005
/** How far behind its item what it filled stands: behind all that it has made itself. */
const filledBehind = 0.9995
