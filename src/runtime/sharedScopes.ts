/**
 * Values of the batch and context scopes. What the owner in hand did to them is undone from a log; a value that is an object may
 * have been changed in place, so undoing takes a replay of the batch without the owner.
 */
import type { Slot } from '../core/slot.ts'
import type { Change, OwnerLog } from './ownerLog.ts'

export type SlotValues = Map<Slot<unknown>, unknown>

class SlotChange implements Change {
  readonly #values: SlotValues
  readonly #slot: Slot<unknown>
  readonly #before: { readonly value: unknown } | undefined

  constructor(values: SlotValues, slot: Slot<unknown>) {
    this.#values = values
    this.#slot = slot
    this.#before = values.has(slot) ? { value: values.get(slot) } : undefined
  }

  undo(): void {
    if (this.#before === undefined) this.#values.delete(this.#slot)
    else this.#values.set(this.#slot, this.#before.value)
  }
}

export class SharedScopes {
  /** Shared by all streams of the task. */
  readonly context: SlotValues = new Map()
  /** Looks and changes since the scopes were made; tells whether a callback has used them. */
  touches = 0
  readonly #batches: readonly SlotValues[]
  readonly #log: OwnerLog

  constructor(streams: number, log: OwnerLog) {
    this.#batches = Array.from({ length: streams }, () => new Map())
    this.#log = log
  }

  /** The batch scope of a stream. */
  batchOf(stream: number): SlotValues {
    return this.#batches[stream] as SlotValues
  }

  get(values: SlotValues, slot: Slot<unknown>, owner: number): unknown {
    this.#touch(owner)
    if (!values.has(slot)) values.set(slot, slot.initial())
    const value = values.get(slot)
    if (typeof value === 'object' && value !== null) this.#log.join(owner)
    return value
  }

  set(values: SlotValues, slot: Slot<unknown>, value: unknown, owner: number): void {
    this.#touch(owner)
    this.#log.note(new SlotChange(values, slot))
    values.set(slot, value)
  }

  clear(): void {
    this.context.clear()
    for (const values of this.#batches) values.clear()
  }

  #touch(owner: number): void {
    this.touches++
    this.#log.touch(owner)
  }
}
