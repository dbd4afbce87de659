/** Chunks that a task has fetched and not committed yet, read ahead as far as the budget of all tasks allows. */
import type { RecordChunk } from '../core/record.ts'
import type { AssignedPartition } from '../core/source.ts'
import type { Batch } from './batch.ts'
import type { Budget } from './budget.ts'
import { InputChunk } from './inputChunk.ts'

export class Inbox {
  readonly chunks: InputChunk[] = []
  /** The position after the last chunk that was fetched. */
  fetchedTo: number
  failure: unknown
  /** Whether nothing more comes: the source has an end, and was read up to it. */
  ended = false
  /** Whether nothing more comes before something was committed: the budget is used up. */
  full = false
  readonly #budget: Budget
  readonly #changed: () => void
  readonly #stopped = new AbortController()
  #freed: (() => void) | undefined

  /** @param changed called when a chunk has come, and when reading failed */
  constructor(budget: Budget, position: number, changed: () => void) {
    this.#budget = budget
    this.#changed = changed
    this.fetchedTo = position
  }

  /** Reads until the partition is revoked or the inbox is closed. */
  async readFrom(partition: AssignedPartition): Promise<void> {
    const { signal } = this.#stopped
    try {
      for await (const records of partition.read(this.fetchedTo)) {
        if (signal.aborted) return
        this.#push(records)
        // A task that holds nothing may always fetch: otherwise one with an empty inbox could wait for ever on others.
        while (this.chunks.length > 0 && !signal.aborted) {
          // Ended when the inbox is emptied: a wait that goes on in the budget would be one more for each chunk.
          const wait = new AbortController()
          this.#freed = () => wait.abort()
          this.full = this.#budget.full
          await this.#budget.room(wait.signal)
          if (!wait.signal.aborted) break
        }
        this.full = false
        if (signal.aborted) return
      }
      this.ended = true
      this.#changed()
    } catch (error) {
      this.failure = error
      this.#changed()
    }
  }

  /** Drops the items that a batch has committed. */
  consume(batch: Batch): void {
    const { taken } = batch
    for (const chunk of batch.chunks) {
      if (chunk.base + chunk.size > taken) {
        chunk.input.start = chunk.first + Math.max(0, taken - chunk.base)
        break
      }
      chunk.input.start = chunk.first + chunk.size
      if (chunk.input.start < chunk.input.records.size) break
      this.chunks.shift()
      this.#budget.give(chunk.input.records.byteSize, chunk.input.records.size)
    }
    if (this.chunks.length === 0) this.#freed?.()
  }

  close(): void {
    this.#stopped.abort()
    this.#freed?.()
    for (const { records } of this.chunks) this.#budget.give(records.byteSize, records.size)
    this.chunks.length = 0
  }

  #push(records: RecordChunk): void {
    this.#budget.take(records.byteSize, records.size)
    this.chunks.push(new InputChunk(records))
    this.fetchedTo = records.nextOffset
    this.#changed()
  }
}
