/** A typed place in a scope, made once and shared by the callbacks that use it. */
export interface Slot<T> {
  readonly name: string
  readonly initial: () => T
}

/**
 * Declares a slot.
 *
 * @example
 * const seen = slot('seen', () => 0)
 * const counted = stream('s').from(topic('t', text()))
 *   .tap((_, ctx) => ctx.scope.item.update(seen, (n) => n + 1))
 *
 * @param name how the slot is called in errors
 * @param initial makes the first value; a factory, so that no two scopes share an object
 */
export function slot<T>(name: string, initial: () => T): Slot<T> {
  return Object.freeze({ name, initial })
}

/** Values that callbacks share for as long as the scope lasts. An undone item's changes are undone with it. */
export interface Scope {
  get<T>(slot: Slot<T>): T
  set<T>(slot: Slot<T>, value: T): void
  /** Stores what `change` makes of the present value, and answers with it. */
  update<T>(slot: Slot<T>, change: (value: T) => T): T
}
