import type { BatchHeader } from './batchHeader.ts'

/** A transaction that was aborted, as a fetch answer lists it. */
export interface AbortedTransaction {
  readonly producerId: bigint
  readonly firstOffset: number
}

/**
 * Decides which batches belong to aborted transactions. Batches are to be shown in offset order.
 *
 * A transaction is aborted from its first offset to its producer's next abort marker, so several may be open at a time,
 * and one producer may have several in one fetch. The list comes in the order of the aborts (Kafka 4.1), not of the
 * first offsets.
 */
export class AbortFilter {
  readonly #byFirstOffset: readonly AbortedTransaction[]
  #next = 0
  readonly #open = new Set<bigint>()

  constructor(aborted: readonly AbortedTransaction[]) {
    this.#byFirstOffset = [...aborted].sort((a, b) => a.firstOffset - b.firstOffset)
  }

  /** Whether a batch of records is part of an aborted transaction. */
  covers(batch: BatchHeader): boolean {
    this.#openUpTo(batch.lastOffset)
    return batch.transactional && this.#open.has(batch.producerId)
  }

  /** Takes note of an abort marker. */
  close(marker: BatchHeader): void {
    this.#openUpTo(marker.lastOffset)
    this.#open.delete(marker.producerId)
  }

  #openUpTo(offset: number): void {
    for (; this.#next < this.#byFirstOffset.length; this.#next++) {
      const transaction = this.#byFirstOffset[this.#next]
      if (transaction === undefined || transaction.firstOffset > offset) return
      this.#open.add(transaction.producerId)
    }
  }
}
