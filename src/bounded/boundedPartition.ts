/** An input that ends, as the one partition of a source. */
import { setImmediate as nextTurn } from 'node:timers/promises'
import { type Clock, sleep } from '../core/clock.ts'
import { MillraceError, messageOf, SourceError } from '../core/errors.ts'
import type { RecordChunk } from '../core/record.ts'
import type { AssignedPartition, LogBounds } from '../core/source.ts'
import type { BoundedReader } from './reader.ts'

/** How long an input may take to end when it is told to. One that waits for something of its own may not hear of it. */
const closePatienceMs = 1_000

export interface BoundedPartitionParts {
  readonly topic: string
  readonly reader: BoundedReader
  /** Items of a chunk at most. */
  readonly chunkItems: number
  readonly clock: Clock
}

export class BoundedPartition implements AssignedPartition {
  readonly topic: string
  readonly partition = 0
  readonly ends = true
  readonly revoked: AbortSignal
  readonly #parts: BoundedPartitionParts
  readonly #revoke = new AbortController()
  /** The position that was read up to. */
  #readTo = 0
  /** Reads follow one another: also those of whoever counts the rest. */
  #last: Promise<unknown> = Promise.resolve()

  constructor(parts: BoundedPartitionParts) {
    this.#parts = parts
    this.topic = parts.topic
    this.revoked = this.#revoke.signal
  }

  /** Items that there are, as far as that is known. */
  get known(): { readonly items: number; readonly all: boolean } {
    const { size, ended } = this.#parts.reader
    return { items: size ?? this.#readTo, all: size !== undefined || ended }
  }

  async bounds(): Promise<LogBounds> {
    return { start: 0, end: Number.MAX_SAFE_INTEGER }
  }

  async offsetAt(): Promise<number> {
    return 0
  }

  async recordAt(offset: number): Promise<RecordChunk | undefined> {
    await this.#skipTo(offset)
    return this.#readTo === offset ? this.#nextUnlessRevoked(1) : undefined
  }

  async *read(offset: number): AsyncIterable<RecordChunk> {
    await this.#skipTo(offset)
    for (;;) {
      // What is there at once would else be read to its end before anything else had a turn.
      await nextTurn()
      if (this.revoked.aborted) return
      const chunk = await this.#next(this.#parts.chunkItems)
      if (chunk === undefined) return
      yield chunk
    }
  }

  hint(): void {}

  /** Reads to the end, and keeps nothing. */
  async countRest(): Promise<void> {
    while (!this.revoked.aborted && (await this.#next(this.#parts.chunkItems)) !== undefined);
  }

  /** Ends reading: whoever works on it stops at once. */
  revoke(): void {
    this.#revoke.abort()
  }

  async close(): Promise<void> {
    this.revoke()
    const { reader, clock } = this.#parts
    const closed = new AbortController()
    await Promise.race([reader.close(), sleep(clock, closePatienceMs, closed.signal)])
    closed.abort()
  }

  async #skipTo(offset: number): Promise<void> {
    while (this.#readTo < offset && !this.revoked.aborted) {
      const chunk = await this.#nextUnlessRevoked(Math.min(this.#parts.chunkItems, offset - this.#readTo))
      if (chunk === undefined) return
    }
  }

  /** Nobody else gives up waiting, where an input is not read for a task's inbox. */
  async #nextUnlessRevoked(atMost: number): Promise<RecordChunk | undefined> {
    const read = new AbortController()
    const revoked = new Promise<undefined>((resolve) => {
      const options = { once: true, signal: read.signal }
      this.revoked.addEventListener('abort', () => resolve(undefined), options)
    })
    try {
      return await Promise.race([this.#next(atMost), revoked])
    } finally {
      read.abort()
    }
  }

  #next(atMost: number): Promise<RecordChunk | undefined> {
    const next = this.#last.then(async () => {
      try {
        const chunk = await this.#parts.reader.read(atMost)
        this.#readTo = chunk?.nextOffset ?? this.#readTo
        return chunk
      } catch (error) {
        throw this.#failed(error)
      }
    })
    this.#last = next.catch(() => {})
    return next
  }

  #failed(cause: unknown): MillraceError {
    const place = { topic: this.topic, partition: 0, offset: this.#readTo }
    if (cause instanceof MillraceError) return cause.locate(place)
    return new SourceError('MR-RUN-INPUT', {
      what: `the input failed after ${this.#readTo} ${this.#readTo === 1 ? 'item' : 'items'}`,
      why: messageOf(cause),
      fix: 'What was not committed by then is rolled back.',
      place,
      cause,
    })
  }
}
