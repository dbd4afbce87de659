/**
 * Which step works on which item now, for whoever looks on from outside. Told of each turn of a loop and each asynchronous
 * call, never of an item: the batch knows its item and step anyway.
 */
import type { Place } from '../core/errors.ts'

export class Cursor {
  #place: (() => Place) | undefined

  /** Says that code of a step runs from now on, and how to find out which and on what. */
  enter(place: () => Place): void {
    this.#place = place
  }

  leave(): void {
    this.#place = undefined
  }

  /** Undefined while no step's code runs. */
  place(): Place | undefined {
    return this.#place?.()
  }
}
