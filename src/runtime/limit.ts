/** Where the open batch ends: at a break, or where it is cut because of refused rows or of what has fallen. */
import { itemOf, noItem } from './owner.ts'
import type { Owners } from './owners.ts'

/** Where `signal.break` stopped the batch. */
export interface Broke {
  readonly item: number
  readonly reason: string | undefined
  readonly resumeAfterMs: number | undefined
}

export class Limit {
  /** Items from here on are not part of the batch: the place of a break, or of a cut. */
  at = Number.POSITIVE_INFINITY
  readonly #owners: Owners
  /** Items from here on are left to a later batch, because rows were refused. */
  #cut = Number.POSITIVE_INFINITY
  #broke: Broke | undefined

  constructor(owners: Owners) {
    this.#owners = owners
  }

  /** Whether an owner is left to a later batch. */
  isBeyond(owner: number): boolean {
    if (owner >= 0) return itemOf(owner) >= this.at
    return owner !== noItem && (this.#owners.groupOf(owner).derived?.item ?? -1) >= this.at
  }

  /** Whether the batch is cut before its last item. */
  get isCut(): boolean {
    return this.#cut !== Number.POSITIVE_INFINITY
  }

  /** Where a break ends the batch, unless it ends before. */
  get broke(): Broke | undefined {
    return this.#broke !== undefined && this.#broke.item <= this.#cut ? this.#broke : undefined
  }

  cutAt(item: number): void {
    this.#cut = Math.min(this.#cut, item)
    this.#move()
  }

  /** Takes a cut back. The limit stays where it is until the replay that has to follow. */
  uncut(): void {
    this.#cut = Number.POSITIVE_INFINITY
  }

  /** @returns whether it counts: of several breaks the first in offset order does */
  breakAt(broke: Broke): boolean {
    if (broke.item >= this.at) return false
    this.#broke = broke
    this.#move()
    return true
  }

  forgetBreak(): void {
    this.#broke = undefined
    this.at = this.#cut
  }

  clear(): void {
    this.uncut()
    this.forgetBreak()
  }

  #move(): void {
    this.at = Math.min(this.#cut, this.#broke?.item ?? this.#cut)
  }
}
