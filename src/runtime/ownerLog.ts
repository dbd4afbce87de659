/**
 * What it takes to undo what the owner in hand did to what all owners share: scopes, and keyed state.
 *
 * Nobody has seen the changes of the owner that touched anything last, so they are taken back from this log. Once another one
 * has touched something, undoing takes a replay of the batch without the owner: it is said to have joined.
 */
import { noItem } from './owner.ts'

export interface Change {
  undo(): void
  /** Somebody has seen it: it is not to be undone any more. */
  seen?(): void
}

export class OwnerLog {
  /** The owner that touched something last. */
  last = noItem
  readonly #join: (owner: number) => void
  readonly #changes: Change[] = []

  /** @param join says that another item's result may depend on an owner */
  constructor(join: (owner: number) => void) {
    this.#join = join
  }

  /** An owner looks at something shared, or is about to change it. */
  touch(owner: number): void {
    if (owner === this.last) return
    if (this.#changes.length > 0) {
      this.#join(this.last)
      this.#forget()
    }
    this.last = owner
  }

  /** How the change that the owner in hand makes is taken back. */
  note(change: Change): void {
    this.#changes.push(change)
  }

  /** What the owner in hand does cannot be taken back from here. */
  join(owner: number): void {
    this.#join(owner)
  }

  /** Takes back what an owner did, if nobody has seen it. */
  undo(owner: number): void {
    if (owner !== this.last) return
    for (let change = this.#changes.pop(); change !== undefined; change = this.#changes.pop()) change.undo()
  }

  clear(): void {
    this.#forget()
    this.last = noItem
  }

  #forget(): void {
    for (const change of this.#changes) change.seen?.()
    this.#changes.length = 0
  }
}
