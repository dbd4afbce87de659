/** Who sends the records of a story, alone or in transactions that overlap. Knows where each came to lie. */
import type { MemoryBroker, MemoryTransaction } from '../../src/testing/memoryBroker.ts'
import type { VirtualClock } from '../../src/testing/virtualClock.ts'
import type { Placed } from './expected.ts'
import { type Order, orders } from './orders.ts'
import type { Sending } from './story.ts'

interface Open {
  readonly transaction: MemoryTransaction
  readonly placed: Placed[]
  /** When it ends. */
  lastMs: number
}

export class Producers {
  /** Records that can be read, or will be at once. */
  readonly placed: Placed[] = []
  readonly #broker: MemoryBroker
  readonly #clock: VirtualClock
  readonly #partitions: number
  readonly #note: (text: string) => void
  readonly #open = new Map<number, Open>()

  constructor(broker: MemoryBroker, clock: VirtualClock, partitions: number, note: (text: string) => void) {
    this.#broker = broker
    this.#clock = clock
    this.#partitions = partitions
    this.#note = note
  }

  get areDone(): boolean {
    return this.#open.size === 0
  }

  send({ key, deed, transaction }: Sending, id: number): void {
    const partition = key.charCodeAt(0) % this.#partitions
    const order: Order = { id, key, deed }
    const record = {
      key: Buffer.from(key),
      value: orders.codec.encode(order),
      timestamp: this.#clock.now(),
    }
    if (transaction === undefined) {
      this.placed.push({ partition, offset: this.#broker.append(orders.name, partition, record), order })
      return
    }
    const { number, commits, forMs } = transaction
    const known = this.#open.get(number) ?? { transaction: this.#broker.transaction(), placed: [], lastMs: 0 }
    this.#open.set(number, known)
    const offset = known.transaction.append(orders.name, partition, record)
    known.placed.push({ partition, offset, order })
    known.lastMs = Math.max(known.lastMs, this.#clock.now() + forMs)
    this.#clock.schedule(forMs, () => {
      if (this.#open.get(number) !== known || this.#clock.now() < known.lastMs) return
      this.#open.delete(number)
      this.#note(`transaction ${number} ${commits ? 'is committed' : 'is aborted'}`)
      if (commits) {
        // Before the broker serves it: whoever reads it must find it expected.
        this.placed.push(...known.placed)
        known.transaction.commit()
      } else known.transaction.abort()
    })
  }
}
