import { type CommittedEmit, type OutgoingRecord, ownHeaders, partitionFor, type TopicShape } from '../core/emit.ts'
import { ItemError } from '../core/errors.ts'
import type { OwnedEntries } from '../core/sink.ts'
import type { TopicSource } from '../core/source.ts'

/** An emit that was encoded, and has neither a place among others nor a partition yet. */
export interface NewEmit extends Omit<OutgoingRecord, 'topic' | 'partition'> {
  readonly to: TopicSource<unknown>
  readonly owner: number
}

interface PendingEmit extends NewEmit {
  readonly size: number
}

/** What a record takes beside its own bytes: lengths, numbers, the frame of its batch and the two headers that say which one it is. */
const frameBytes = 1_024

/**
 * The emits of one open batch, of all topics in the order in which they were made, each with its owner. What a callback made is
 * encoded when it is appended, so a value that does not fit blames its own item.
 */
export class EmitBuffer implements OwnedEntries {
  readonly #shapeOf: (topic: string) => TopicShape | undefined
  #pending: PendingEmit[] = []
  #byteSize = 0
  /** Topics that were not known when something was written to them. */
  readonly #unknown = new Set<string>()

  /** @param shapeOf what is known of a topic */
  constructor(shapeOf: (topic: string) => TopicShape | undefined) {
    this.#shapeOf = shapeOf
  }

  get length(): number {
    return this.#pending.length
  }

  get byteSize(): number {
    return this.#byteSize
  }

  /** @throws ItemError MR-EMIT-SIZE when the topic does not take a record of that size */
  append(emit: NewEmit): void {
    const size = sizeOf(emit)
    const { name } = emit.to
    const shape = this.#shapeOf(name)
    if (shape === undefined) this.#unknown.add(name)
    else if (size > shape.maxRecordBytes) throw tooLarge(name, size, shape.maxRecordBytes)
    this.#pending.push({ ...emit, size })
    this.#byteSize += size
  }

  truncate(length: number): void {
    for (let index = length; index < this.#pending.length; index += 1) {
      this.#byteSize -= (this.#pending[index] as PendingEmit).size
    }
    this.#pending.length = length
  }

  eachOwner(callback: (owner: number) => void): void {
    for (const { owner } of this.#pending) callback(owner)
  }

  /** Topics that nobody has looked at: no step names them. */
  get unknownTopics(): readonly string[] {
    return [...this.#unknown].filter((topic) => this.#shapeOf(topic) === undefined)
  }

  /** Whether all of them fit into their topics, once these are known. */
  get fits(): boolean {
    return this.#pending.every(({ to, size }) => size <= (this.#shapeOf(to.name)?.maxRecordBytes ?? size))
  }

  /**
   * The emits of owners that stand, in offset order, with the sequences that follow one.
   *
   * @param asAppended whether all of them stand, and are in offset order
   */
  take(after: number, position: (owner: number) => number | undefined, asAppended: boolean): CommittedEmit[] {
    const chosen = asAppended ? this.#pending : standingInOrder(this.#pending, position)
    return chosen.map(({ to: { name, codec }, owner, key, value, timestamp, headers }, index) => {
      const sequence = after + 1 + index
      const { partitions } = this.#shapeOf(name) as TopicShape
      const partition = partitionFor(key, sequence, partitions)
      return { topic: name, codec, owner, sequence, partition, key, value, timestamp, headers }
    })
  }
}

function tooLarge(topic: string, size: number, most: number): ItemError {
  return new ItemError('MR-EMIT-SIZE', {
    what: `a record for topic "${topic}" takes ${size} bytes, and the topic takes ${most} at most`,
    why: 'The limit is the max.message.bytes of the topic.',
    fix: 'Write less of the value, or raise the limit of the topic.',
  })
}

function standingInOrder(
  pending: readonly PendingEmit[],
  position: (owner: number) => number | undefined,
): PendingEmit[] {
  const standing: { readonly emit: PendingEmit; readonly place: number }[] = []
  for (const emit of pending) {
    const place = position(emit.owner)
    if (place !== undefined) standing.push({ emit, place })
  }
  return standing.sort((a, b) => a.place - b.place).map(({ emit }) => emit)
}

function sizeOf({ key, value, headers }: NewEmit): number {
  let size = frameBytes + (key?.length ?? 0) + (value?.length ?? 0)
  for (const header of headers) size += header.key.length * 3 + (header.value?.length ?? 0) + ownHeaders.length
  return size
}
