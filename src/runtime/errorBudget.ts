/**
 * How many items of a task have been collected lately: the last 1,000, and how many one after the other. The count commits
 * with the progress, so that a restart does not begin it anew: a bad deploy must not drain a topic into the collector.
 */
import type { ErrorBudget } from '../core/errorPolicy.ts'

/** Items that the share is a share of. A task that has seen fewer had no failures before. */
const windowSize = 1_000

export class BudgetCount {
  #inARow = 0
  /** A bit for each of the last items, the next one to be written at `#at`. */
  readonly #bits = new Uint8Array(windowSize / 8)
  #at = 0
  #collected = 0

  /** @param text as {@link toText} made it; null for a task that begins */
  constructor(text: string | null) {
    if (text === null) return
    const [inARow, at, bits = ''] = text.split(' ')
    const bytes = Buffer.from(bits, 'base64')
    // Written by another version, perhaps: a count that begins anew is better than none that starts.
    if (bytes.length !== this.#bits.length) return
    this.#bits.set(bytes)
    this.#inARow = Number(inARow)
    this.#at = Number(at)
    for (const byte of bytes) for (let bit = byte; bit !== 0; bit &= bit - 1) this.#collected++
  }

  /** Null as long as nothing was collected within the window: then there is nothing to remember. */
  toText(): string | null {
    if (this.#collected === 0 && this.#inARow === 0) return null
    return `${this.#inARow} ${this.#at} ${Buffer.from(this.#bits).toString('base64')}`
  }

  /** Counts one item. */
  add(collected: boolean): void {
    const [byte, mask] = [this.#at >> 3, 1 << (this.#at & 7)]
    const before = ((this.#bits[byte] as number) & mask) !== 0
    if (before !== collected) {
      this.#bits[byte] = (this.#bits[byte] as number) ^ mask
      this.#collected += collected ? 1 : -1
    }
    this.#at = (this.#at + 1) % windowSize
    this.#inARow = collected ? this.#inARow + 1 : 0
  }

  /** Counts items of which none was collected. */
  addStanding(count: number): void {
    if (this.#collected === 0) return
    for (let left = Math.min(count, windowSize); left > 0; left--) this.add(false)
  }

  /** Says why the stream is to be halted; undefined while it may go on. */
  exceeded({ inARow, share }: Required<ErrorBudget>): string | undefined {
    if (this.#inARow >= inARow)
      return this.#inARow === 1 ? '1 item was collected' : `${this.#inARow} items in a row were collected`
    if (this.#collected <= share * windowSize) return undefined
    return `${this.#collected} of the last ${windowSize} items were collected`
  }
}
