/** Reads the event time of values, where a source or a step says how. */
import type { ItemContext } from '../core/context.ts'
import { ItemError } from '../core/errors.ts'
import type { EventTime } from '../core/keyed.ts'
import { shown } from '../core/options.ts'
import type { Batch } from './batch.ts'
import { itemOf } from './owner.ts'
import { placeOf, type TaskInfo } from './taskInfo.ts'

export class EventTimeReader {
  readonly #rules: EventTime<unknown> | undefined
  readonly #batch: Batch
  readonly #info: TaskInfo
  readonly #step: { readonly name: string; readonly ctx: ItemContext }

  /** @param rules undefined, or without `of`: the time of the input */
  constructor(
    rules: EventTime<unknown> | undefined,
    batch: Batch,
    info: TaskInfo,
    step: { readonly name: string; readonly ctx: ItemContext },
  ) {
    this.#rules = rules
    this.#batch = batch
    this.#info = info
    this.#step = step
  }

  /**
   * Event time of a value, in milliseconds.
   *
   * @throws ItemError MR-TIME, MR-TIME-AHEAD
   */
  read(value: unknown, owner: number): number {
    const { of, maxAheadMs = Number.POSITIVE_INFINITY } = this.#rules ?? {}
    const time = of === undefined ? this.#ofInput(owner) : this.#given(of(value, this.#step.ctx), owner)
    if (time > this.#batch.openedAt + maxAheadMs) throw this.#tooFarAhead(time, maxAheadMs, owner)
    return time
  }

  #ofInput(owner: number): number {
    const batch = this.#batch
    if (owner >= 0) return batch.timeOf(itemOf(owner))
    const derived = batch.owners.derivedOf(owner)
    return derived?.time ?? Math.max(...batch.owners.itemsOf(owner).map((item) => batch.timeOf(item)))
  }

  #given(given: Date | number, owner: number): number {
    const time = given instanceof Date ? given.getTime() : given
    if (typeof time === 'number' && Number.isFinite(time)) return Math.floor(time)
    throw new ItemError('MR-TIME', {
      what: `"time" must give a Date or milliseconds since the epoch, but gave ${shown(given)}`,
      fix: 'Filter values without a time before, or give them one.',
      place: placeOf(this.#info, this.#batch, owner, this.#step.name),
    })
  }

  #tooFarAhead(time: number, maxAheadMs: number, owner: number): ItemError {
    return new ItemError('MR-TIME-AHEAD', {
      what: `event time ${new Date(time).toISOString()} is more than ${maxAheadMs} ms ahead of the clock`,
      why: 'It would close every window that is open, and all that comes after it would be late.',
      fix: 'Look at the record; where such times are right, raise "maxAhead".',
      place: placeOf(this.#info, this.#batch, owner, this.#step.name),
    })
  }
}
