/** Records that a task has fetched and not committed yet, read ahead as far as the budget of all tasks allows. */
import type { RecordChunk } from '../core/record.ts'
import type { AssignedPartition } from '../core/source.ts'
import type { Batch } from './batch.ts'
import type { Budget } from './budget.ts'
import type { Input, TaskInput } from './input.ts'
import { InputChunk } from './inputChunk.ts'

/** Where an input stands. */
export interface Fetched {
  readonly topic: string
  /** The position after the last chunk that was fetched. */
  readonly fetchedTo: number
  /** Where its log ends, as far as it is known. */
  readonly endOffset: number
}

/** What a task takes its records from: one input, or several that are read as one. */
export interface Inbox {
  /** In the order in which they are to be taken. */
  readonly chunks: readonly Input[]
  readonly failure: unknown
  /** Whether nothing more comes: the source has an end, and was read up to it. */
  readonly ended: boolean
  /** Whether nothing more comes before something was committed: the budget is used up. */
  readonly full: boolean
  /** Whether the log is known to go on behind what was fetched. */
  readonly isBehind: boolean
  readonly fetched: readonly Fetched[]
  /** Drops the items that a batch has committed. */
  consume(batch: Batch): void
  close(): void
}

/** What reads one partition needs to know. */
export interface InboxSettings {
  readonly input: TaskInput
  readonly partition: AssignedPartition
  readonly budget: Budget
  readonly position: number
  /** Where the log ends, as far as it is known. */
  readonly endOffset: number
  /** Called when a chunk has come, and when reading failed. */
  readonly changed: () => void
}

export class PartitionInbox implements Inbox {
  readonly chunks: InputChunk[] = []
  fetchedTo: number
  endOffset: number
  failure: unknown
  ended = false
  full = false
  readonly #settings: InboxSettings
  readonly #stopped = new AbortController()
  #freed: (() => void) | undefined

  constructor(settings: InboxSettings) {
    this.#settings = settings
    this.fetchedTo = settings.position
    this.endOffset = settings.endOffset
    // Ends by itself when the inbox is closed or the partition revoked; a failure shows here.
    void this.#read()
  }

  get isBehind(): boolean {
    return this.fetchedTo < this.endOffset
  }

  get fetched(): readonly Fetched[] {
    const { fetchedTo, endOffset } = this
    return [{ topic: this.#settings.partition.topic, fetchedTo, endOffset }]
  }

  /** Reads until the partition is revoked or the inbox is closed. */
  async #read(): Promise<void> {
    const { signal } = this.#stopped
    const { budget, partition, changed } = this.#settings
    try {
      for await (const records of partition.read(this.fetchedTo)) {
        if (signal.aborted) return
        this.#push(records)
        // A task that holds nothing may always fetch: otherwise one with an empty inbox could wait for ever on others.
        while (this.chunks.length > 0 && !signal.aborted) {
          // Ended when the inbox is emptied: a wait that goes on in the budget would be one more for each chunk.
          const wait = new AbortController()
          this.#freed = () => wait.abort()
          this.full = budget.full
          await budget.room(wait.signal)
          if (!wait.signal.aborted) break
        }
        this.full = false
        if (signal.aborted) return
      }
      this.ended = true
    } catch (error) {
      this.failure = error
    }
    changed()
  }

  consume(batch: Batch): void {
    for (const { input } of committedChunks(batch)) if (input.start === input.size) this.drop()
  }

  /** Drops the first chunk, of which all is committed. */
  drop(): void {
    const chunk = this.chunks.shift()
    if (chunk !== undefined) this.#settings.budget.give(chunk.byteSize, chunk.size)
    if (this.chunks.length === 0) this.#freed?.()
  }

  close(): void {
    this.#stopped.abort()
    this.#freed?.()
    for (const { byteSize, size } of this.chunks) this.#settings.budget.give(byteSize, size)
    this.chunks.length = 0
  }

  #push(records: RecordChunk): void {
    const { budget, input, changed } = this.#settings
    budget.take(records.byteSize, records.size)
    this.chunks.push(new InputChunk(records, input))
    this.fetchedTo = records.nextOffset
    this.endOffset = Math.max(this.endOffset, records.endOffset)
    changed()
  }
}

/** The chunks of which a batch has committed records, which are told how many; also those that hold none. */
export function* committedChunks(batch: Batch): Iterable<{ readonly input: Input }> {
  for (const { input, first, base, size } of batch.chunks) {
    const count = Math.min(size, batch.taken - base)
    if (count < 0) break
    input.commitTo(first + count)
    yield { input }
    if (input.start < input.size) break
  }
}
