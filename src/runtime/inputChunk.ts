/** A fetched chunk in a task's queue, with the values that were decoded ahead of their batch. */
import { setImmediate as nextTurn } from 'node:timers/promises'
import type { Clock } from '../core/clock.ts'
import type { RecordChunk } from '../core/record.ts'
import type { SourceProgress } from '../core/store.ts'
import type { Input, LocatedRecord, TaskInput } from './input.ts'
import { fingerprintOf } from './position.ts'

/** Stands for a value that the loop has to decode: not reached yet, taken already, or its bytes are bad. */
const undecoded: unique symbol = Symbol('undecoded')

/** The longest that synchronous work keeps the event loop: a member that does not heartbeat is thrown out of its group. */
export const maxTurnMs = 50

export class InputChunk implements Input {
  readonly records: RecordChunk
  start = 0
  readonly #input: TaskInput
  #ahead: unknown[] | undefined
  readonly #given: readonly unknown[] | undefined

  constructor(records: RecordChunk, input: TaskInput) {
    this.records = records
    this.#input = input
    this.#given = records.given
  }

  get size(): number {
    return this.records.size
  }

  get byteSize(): number {
    return this.records.byteSize
  }

  locate(index: number): LocatedRecord {
    return { records: this.records, index, input: this.#input }
  }

  inputOf(): TaskInput {
    return this.#input
  }

  timestamp(index: number): number {
    return this.records.timestamp(index)
  }

  take(index: number): unknown {
    if (this.#given !== undefined) return this.#given[index]
    const ahead = this.#ahead
    if (ahead !== undefined) {
      const value = ahead[index]
      if (value !== undecoded) {
        ahead[index] = undecoded
        return value
      }
    }
    const start = this.records.valueStart(index)
    return start < 0 ? null : this.#decode(index, start)
  }

  async decodeAhead(clock: Clock, stopped: () => boolean): Promise<void> {
    if (this.#ahead !== undefined || this.#given !== undefined) return
    const { size } = this.records
    const ahead: unknown[] = new Array(size).fill(undecoded)
    this.#ahead = ahead
    let turnEnds = clock.now() + maxTurnMs / 10
    for (let index = this.start; index < size; index++) {
      if ((index & 63) === 0 && clock.now() >= turnEnds) {
        await nextTurn()
        if (stopped()) return
        turnEnds = clock.now() + maxTurnMs / 10
      }
      const start = this.records.valueStart(index)
      if (start < 0) continue
      try {
        ahead[index] = this.#decode(index, start)
      } catch {
        // Bad bytes: the loop over items meets them again, where a throw has an item to blame.
      }
    }
  }

  commitTo(index: number): void {
    this.start = index
  }

  progressAt(index: number, from: number, before: readonly SourceProgress[]): readonly SourceProgress[] {
    const { records } = this
    const { step } = this.#input
    return before.map((one) => {
      if (one.source !== step) return one
      const nextOffset = index < records.size ? records.offset(index) : records.nextOffset
      return {
        source: step,
        nextOffset,
        fingerprint: index > from ? fingerprintOf(records, index - 1) : one.fingerprint,
      }
    })
  }

  #decode(index: number, start: number): unknown {
    const { codec } = this.#input.source
    return codec.decode(this.records.valueBuffer(index), start, this.records.valueEnd(index))
  }
}
