/** Scopes as callbacks see them. */
import type { Scope, Slot } from '../core/slot.ts'
import type { Batch } from './batch.ts'
import type { SlotValues } from './sharedScopes.ts'

abstract class ScopeView implements Scope {
  abstract get<T>(slot: Slot<T>): T
  abstract set<T>(slot: Slot<T>, value: T): void
  update<T>(slot: Slot<T>, change: (value: T) => T): T {
    const value = change(this.get(slot))
    this.set(slot, value)
    return value
  }
}

/** Values of one owner: they are dropped with it. */
export class ItemScope extends ScopeView {
  readonly #values: () => SlotValues
  constructor(values: () => SlotValues) {
    super()
    this.#values = values
  }
  get<T>(slot: Slot<T>): T {
    const values = this.#values()
    if (!values.has(slot)) values.set(slot, slot.initial())
    return values.get(slot) as T
  }
  set<T>(slot: Slot<T>, value: T): void {
    this.#values().set(slot, value)
  }
}

/** Values that all owners share: what each did to them can be undone. */
export class SharedScope extends ScopeView {
  readonly #batch: Batch
  readonly #kind: 'batch' | 'context'
  readonly #owner: () => number
  constructor(batch: Batch, kind: 'batch' | 'context', owner: () => number) {
    super()
    this.#batch = batch
    this.#kind = kind
    this.#owner = owner
  }
  get<T>(slot: Slot<T>): T {
    const owner = this.#owner()
    // An item that was undone is on its way to a stream that depends on this one, and leaves no trace.
    if (this.#batch.falls.isUndone(owner)) return slot.initial()
    return this.#batch.shared.get(this.#values(owner), slot, owner) as T
  }
  set<T>(slot: Slot<T>, value: T): void {
    const owner = this.#owner()
    if (this.#batch.falls.isUndone(owner)) return
    this.#batch.shared.set(this.#values(owner), slot, value, owner)
  }
  #values(owner: number): SlotValues {
    const { shared } = this.#batch
    return this.#kind === 'context' ? shared.context : shared.batchOf(this.#batch.owners.streamIndexOf(owner))
  }
}

/** Values of the item scope of an owner, made when they are first needed. */
export function slotsOf(batch: Batch, owner: number): SlotValues {
  let values = batch.scopes.get(owner)
  if (values === undefined) {
    values = new Map()
    batch.scopes.set(owner, values)
  }
  return values
}
