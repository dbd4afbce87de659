/**
 * The hand-off between a fetch loop that pushes and a task that pulls, for one partition from one offset on.
 *
 * It holds at most one chunk that nobody has taken yet. It wants the next one from the moment somebody has asked and
 * that place is free, so a fetch runs while the last chunk is worked on, and none runs while nobody reads.
 */
import type { RecordChunk } from '../core/record.ts'

interface Waiting {
  resolve(result: IteratorResult<RecordChunk>): void
  reject(error: unknown): void
}

const end: IteratorResult<RecordChunk> = { done: true, value: undefined }

export class PartitionReader implements AsyncIterableIterator<RecordChunk> {
  /** The position of the next fetch. Only `deliver` moves it, so an answer for another position is recognised as stale. */
  position: number
  readonly #onDemand: () => void
  #asked = false
  #held: RecordChunk | undefined
  #failure: { readonly error: unknown } | undefined
  #closed = false
  readonly #waiting: Waiting[] = []
  #onRoom: (() => void) | undefined

  /** `onDemand` is called whenever the reader begins to want a chunk. */
  constructor(offset: number, onDemand: () => void) {
    this.position = offset
    this.#onDemand = onDemand
  }

  [Symbol.asyncIterator](): this {
    return this
  }

  /** Whether the next chunk should be fetched now. */
  get wants(): boolean {
    return this.#asked && this.#held === undefined && this.#failure === undefined && !this.#closed
  }

  get closed(): boolean {
    return this.#closed
  }

  async next(): Promise<IteratorResult<RecordChunk>> {
    this.#asked = true
    const chunk = this.#held
    if (chunk !== undefined) {
      this.#held = undefined
      this.#onRoom?.()
      this.#onDemand()
      return { done: false, value: chunk }
    }
    if (this.#failure !== undefined) {
      const { error } = this.#failure
      this.close()
      throw error
    }
    if (this.#closed) return end
    return new Promise((resolve, reject) => {
      this.#waiting.push({ resolve, reject })
      this.#onDemand()
    })
  }

  async return(): Promise<IteratorResult<RecordChunk>> {
    this.close()
    return end
  }

  /** Takes a chunk that begins at `position`; after the end it is dropped. */
  deliver(chunk: RecordChunk): void {
    if (this.#closed) return
    this.position = chunk.nextOffset
    const waiting = this.#waiting.shift()
    if (waiting === undefined) this.#held = chunk
    else waiting.resolve({ done: false, value: chunk })
  }

  /** Resolves when there is room for a chunk: at once, or when the one that is held was taken or the reader closed. */
  room(): Promise<void> {
    if (this.#held === undefined) return Promise.resolve()
    return new Promise((resolve) => {
      this.#onRoom = resolve
    })
  }

  /** What is held is still handed over; then the reader throws this once. */
  fail(error: unknown): void {
    if (this.#closed || this.#failure !== undefined) return
    const waiting = this.#waiting.shift()
    if (waiting === undefined) {
      this.#failure = { error }
      return
    }
    this.close()
    waiting.reject(error)
  }

  /** Ends the iteration without an error; what is held is dropped. */
  close(): void {
    this.#closed = true
    this.#held = undefined
    this.#failure = undefined
    this.#onRoom?.()
    for (const waiting of this.#waiting.splice(0)) waiting.resolve(end)
  }
}
