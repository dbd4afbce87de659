/** Which calls a process must not make: those whose answers came to it with an item of the collector. */
import type { WaitingItem } from '../../src/core/store.ts'
import { type Order, orders } from './orders.ts'

export class Answers {
  readonly #known = new Set<number>()

  /** The process is given items to run. */
  taken(items: readonly WaitingItem[]): void {
    for (const { value, remembered } of items) {
      if (value === null) continue
      const { id } = orders.codec.decode(value, 0, value.length)
      if (remembered === null) this.#known.delete(id)
      else this.#known.add(id)
    }
  }

  /** @throws Error when the call for an order should not have been made */
  came({ id }: Order): void {
    if (this.#known.has(id)) throw new Error(`the call for order ${id} was made again, and its answer was remembered`)
  }
}
