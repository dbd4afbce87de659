/**
 * Values of the batch and context scopes, with what it takes to undo what the owner in hand did to them.
 *
 * Nobody has seen the changes of the owner that touched the scopes last, so they are taken back from a log. Once another
 * one has looked, or when a value is an object, which may have been changed in place, undoing takes a replay of the batch
 * without the owner: it is said to have joined.
 */
import type { Slot } from '../core/slot.ts'
import { noItem } from './owner.ts'

export type SlotValues = Map<Slot<unknown>, unknown>

interface Change {
  readonly values: SlotValues
  readonly slot: Slot<unknown>
  readonly before: { readonly value: unknown } | undefined
}

export class SharedScopes {
  /** Shared by all streams of the task. */
  readonly context: SlotValues = new Map()
  /** Looks and changes since the scopes were made; tells whether a callback has used them. */
  touches = 0
  readonly #batches: readonly SlotValues[]
  readonly #join: (owner: number) => void
  /** The owner that touched a scope last. */
  last = noItem
  #changes: Change[] = []

  /** @param join says that another item's result may depend on an owner */
  constructor(streams: number, join: (owner: number) => void) {
    this.#batches = Array.from({ length: streams }, () => new Map())
    this.#join = join
  }

  /** The batch scope of a stream. */
  batchOf(stream: number): SlotValues {
    return this.#batches[stream] as SlotValues
  }

  get(values: SlotValues, slot: Slot<unknown>, owner: number): unknown {
    this.#touch(owner)
    if (!values.has(slot)) values.set(slot, slot.initial())
    const value = values.get(slot)
    if (typeof value === 'object' && value !== null) this.#join(owner)
    return value
  }

  set(values: SlotValues, slot: Slot<unknown>, value: unknown, owner: number): void {
    this.#touch(owner)
    this.#changes.push({ values, slot, before: values.has(slot) ? { value: values.get(slot) } : undefined })
    values.set(slot, value)
  }

  /** Takes back what an owner did, if nobody has seen it. */
  undo(owner: number): void {
    if (owner !== this.last) return
    for (let change = this.#changes.pop(); change !== undefined; change = this.#changes.pop()) {
      if (change.before === undefined) change.values.delete(change.slot)
      else change.values.set(change.slot, change.before.value)
    }
  }

  clear(): void {
    this.context.clear()
    for (const values of this.#batches) values.clear()
    this.#changes = []
    this.last = noItem
  }

  #touch(owner: number): void {
    this.touches++
    if (owner === this.last) return
    if (this.#changes.length > 0) {
      this.#join(this.last)
      this.#changes = []
    }
    this.last = owner
  }
}
