/** A fetched chunk in a task's queue, with the values that were decoded ahead of their batch. */
import { setImmediate as nextTurn } from 'node:timers/promises'
import type { Clock } from '../core/clock.ts'
import type { RecordChunk } from '../core/record.ts'
import type { Source } from '../core/source.ts'

/** Stands for a value that the loop has to decode: not reached yet, taken already, or its bytes are bad. */
const undecoded: unique symbol = Symbol('undecoded')

/** The longest that synchronous work keeps the event loop: a member that does not heartbeat is thrown out of its group. */
export const maxTurnMs = 50

export class InputChunk {
  readonly records: RecordChunk
  /** The first record that is not committed yet. */
  start = 0
  #ahead: unknown[] | undefined
  readonly #given: readonly unknown[] | undefined

  constructor(records: RecordChunk) {
    this.records = records
    this.#given = records.given
  }

  /** The value of a record, decoded from its bytes unless that was done ahead; each is given out once, so a replay decodes anew. */
  take(index: number, source: Source<unknown>): unknown {
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
    return start < 0 ? null : source.codec.decode(this.records.valueBuffer(index), start, this.records.valueEnd(index))
  }

  /** Decodes values while the task has nothing else to do; stops when `stopped` says so. */
  async decodeAhead(source: Source<unknown>, clock: Clock, stopped: () => boolean): Promise<void> {
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
        ahead[index] = source.codec.decode(this.records.valueBuffer(index), start, this.records.valueEnd(index))
      } catch {
        // Bad bytes: the loop over items meets them again, where a throw has an item to blame.
      }
    }
  }
}
