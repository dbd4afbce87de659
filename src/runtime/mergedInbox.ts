/**
 * Several inputs of one task, read as one: in the order of the times of their records, and at equal times in the order of the inputs.
 *
 * Nothing is taken of one input while another is known to go on and what comes there has not been fetched: catching up gives the same order whatever is
 * fetched first. An input that is at the end of its log holds up no other.
 */
import type { Clock } from '../core/clock.ts'
import type { SourceProgress } from '../core/store.ts'
import type { Batch } from './batch.ts'
import { committedChunks, type Fetched, type Inbox, type PartitionInbox } from './inbox.ts'
import type { Input, LocatedRecord, TaskInput } from './input.ts'
import type { InputChunk } from './inputChunk.ts'
import { fingerprintOf } from './position.ts'

/** Records that are merged into one chunk at most. */
const maxMerged = 10_000

/** How far an input has been merged. */
interface Reading {
  readonly inbox: PartitionInbox
  readonly step: string
  /** The chunk in hand, by its place in the inbox. */
  chunk: number
  /** Its next record. */
  index: number
  /** The position behind what was merged. */
  position: number
}

export class MergedInbox implements Inbox {
  readonly chunks: MergedChunk[] = []
  readonly #readings: readonly Reading[]

  /** @param inboxes of the inputs, in their order, with the position of each */
  constructor(
    inboxes: readonly { readonly inbox: PartitionInbox; readonly input: TaskInput; readonly position: number }[],
  ) {
    this.#readings = inboxes.map(({ inbox, input, position }) => {
      return { inbox, step: input.step, chunk: 0, index: 0, position }
    })
  }

  get failure(): unknown {
    return this.#readings.find(({ inbox }) => inbox.failure !== undefined)?.inbox.failure
  }

  get ended(): boolean {
    return this.#readings.every((reading) => reading.inbox.ended && headOf(reading) === undefined)
  }

  get full(): boolean {
    return this.#readings.some(({ inbox }) => inbox.full)
  }

  get isBehind(): boolean {
    return this.#readings.some(({ inbox }) => inbox.isBehind)
  }

  get fetched(): readonly Fetched[] {
    return this.#readings.flatMap(({ inbox }) => inbox.fetched)
  }

  /** To be called when something has come: merges what can be. */
  merge(): void {
    for (let merged = this.#mergeSome(); merged !== undefined; merged = this.#mergeSome()) this.chunks.push(merged)
  }

  consume(batch: Batch): void {
    for (const { input } of committedChunks(batch)) if (input.start === input.size) this.chunks.shift()
    for (const reading of this.#readings) {
      const { inbox } = reading
      for (; reading.chunk > 0 && inbox.chunks[0]?.start === inbox.chunks[0]?.size; reading.chunk--) inbox.drop()
    }
  }

  close(): void {
    for (const { inbox } of this.#readings) inbox.close()
    this.chunks.length = 0
  }

  /** Undefined when nothing can be merged now. */
  #mergeSome(): MergedChunk | undefined {
    const before = this.#readings.map(({ position }) => position)
    const parts: InputChunk[] = []
    const partOf: number[] = []
    const indexOf: number[] = []
    const lastPart = new Map<Reading, number>()
    while (partOf.length < maxMerged) {
      const reading = this.#first()
      if (reading === undefined) break
      const chunk = reading.inbox.chunks[reading.chunk] as InputChunk
      let part = lastPart.get(reading)
      if (part === undefined || parts[part] !== chunk) {
        part = parts.push(chunk) - 1
        lastPart.set(reading, part)
      }
      partOf.push(part)
      indexOf.push(reading.index++)
    }
    for (const reading of this.#readings) reading.position = positionOf(reading)
    const positions = this.#readings.map(({ step, position }) => ({ step, position }))
    if (partOf.length === 0 && positions.every(({ position }, index) => position === before[index])) return undefined
    return new MergedChunk(parts, Uint32Array.from(partOf), Uint32Array.from(indexOf), positions)
  }

  /** Whose record comes next; undefined when that is not known yet, or there is none. */
  #first(): Reading | undefined {
    let first: Reading | undefined
    let earliest = Number.POSITIVE_INFINITY
    for (const reading of this.#readings) {
      const chunk = headOf(reading)
      if (chunk === undefined) {
        if (reading.inbox.isBehind && !reading.inbox.ended) return undefined
        continue
      }
      const time = chunk.timestamp(reading.index)
      if (first !== undefined && time >= earliest) continue
      first = reading
      earliest = time
    }
    return first
  }
}

/** The chunk that holds an input's next record. Those of which nothing is left are passed, and those that hold none. */
function headOf(reading: Reading): InputChunk | undefined {
  for (;;) {
    const chunk = reading.inbox.chunks[reading.chunk]
    if (chunk === undefined || reading.index < chunk.size) return chunk
    reading.position = chunk.records.nextOffset
    reading.chunk++
    reading.index = 0
  }
}

function positionOf(reading: Reading): number {
  return headOf(reading)?.records.offset(reading.index) ?? reading.position
}

class MergedChunk implements Input {
  readonly size: number
  readonly byteSize: number
  start = 0
  readonly #parts: readonly InputChunk[]
  /** The part of each record, and its index there. */
  readonly #partOf: Uint32Array
  readonly #indexOf: Uint32Array
  /** How far each input is when all is taken. */
  readonly #ends: readonly { readonly step: string; readonly position: number }[]

  constructor(
    parts: readonly InputChunk[],
    partOf: Uint32Array,
    indexOf: Uint32Array,
    ends: readonly { readonly step: string; readonly position: number }[],
  ) {
    this.size = partOf.length
    this.#parts = parts
    this.#partOf = partOf
    this.#indexOf = indexOf
    this.#ends = ends
    this.byteSize = this.#sumOfBytes()
  }

  locate(index: number): LocatedRecord {
    return this.#partAt(index).locate(this.#indexAt(index))
  }

  inputOf(index: number): TaskInput {
    return this.#partAt(index).inputOf()
  }

  timestamp(index: number): number {
    return this.#partAt(index).timestamp(this.#indexAt(index))
  }

  take(index: number): unknown {
    return this.#partAt(index).take(this.#indexAt(index))
  }

  async decodeAhead(clock: Clock, stopped: () => boolean): Promise<void> {
    for (const part of this.#parts) await part.decodeAhead(clock, stopped)
  }

  commitTo(index: number): void {
    for (; this.start < index; this.start++) this.#partAt(this.start).commitTo(this.#indexAt(this.start) + 1)
  }

  progressAt(index: number, from: number, before: readonly SourceProgress[]): readonly SourceProgress[] {
    return before.map(({ source, fingerprint }) => {
      const isOfIt = (at: number) => this.inputOf(at).step === source
      let untaken = index
      while (untaken < this.size && !isOfIt(untaken)) untaken++
      let last = index - 1
      while (last >= from && !isOfIt(last)) last--
      const end = this.#ends.find(({ step }) => step === source)?.position ?? 0
      return {
        source,
        nextOffset: untaken < this.size ? this.#offset(untaken) : end,
        fingerprint: last >= from ? this.#fingerprint(last) : fingerprint,
      }
    })
  }

  #offset(index: number): number {
    return this.#partAt(index).records.offset(this.#indexAt(index))
  }

  #fingerprint(index: number): string {
    return fingerprintOf(this.#partAt(index).records, this.#indexAt(index))
  }

  #partAt(index: number): InputChunk {
    return this.#parts[this.#partOf[index] as number] as InputChunk
  }

  #indexAt(index: number): number {
    return this.#indexOf[index] as number
  }

  /** Its share of what the parts keep: a part may go on in the next chunk. */
  #sumOfBytes(): number {
    const counts = new Array<number>(this.#parts.length).fill(0)
    for (const part of this.#partOf) counts[part] = (counts[part] as number) + 1
    return this.#parts.reduce((sum, { byteSize, size }, part) => sum + (byteSize * (counts[part] as number)) / size, 0)
  }
}
