import { noItem } from './owner.ts'
import type { Change, OwnerLog } from './ownerLog.ts'

/**
 * How far event time has come: the newest time that was seen. It moves item by item, and an item that is undone has not moved
 * it.
 */
export class Watermark implements Change {
  readonly #log: OwnerLog
  #newest = Number.NEGATIVE_INFINITY
  #committed = Number.NEGATIVE_INFINITY
  /** Who has moved it last, and where it was before that. */
  #mover = noItem
  #before = Number.NEGATIVE_INFINITY

  constructor(log: OwnerLog) {
    this.#log = log
  }

  /** The newest time seen, in milliseconds; -Infinity for none. */
  get newest(): number {
    return this.#newest
  }

  /** Who has moved it to where it is. */
  get mover(): number {
    return this.#mover
  }

  /** An owner was seen at a time. */
  see(time: number, owner: number): void {
    if (time <= this.#newest) return
    this.#log.touch(owner)
    if (this.#mover !== owner) this.#before = this.#newest
    this.#mover = owner
    this.#newest = time
    this.#log.note(this)
  }

  undo(): void {
    this.#newest = this.#before
    this.#mover = noItem
  }

  /** Where it was committed last. */
  start(time: number | undefined): void {
    this.#committed = time ?? Number.NEGATIVE_INFINITY
    this.reset()
  }

  reset(): void {
    this.#newest = this.#committed
    this.#before = this.#committed
    this.#mover = noItem
  }

  committed(): void {
    this.#committed = this.#newest
    this.reset()
  }
}
