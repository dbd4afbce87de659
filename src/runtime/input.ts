/** What a task takes its items from: records in the order in which they are taken, of one topic or of several. */
import type { Clock } from '../core/clock.ts'
import type { RecordChunk } from '../core/record.ts'
import type { Source } from '../core/source.ts'
import type { SourceProgress } from '../core/store.ts'

/** One of the sources that a task reads. */
export interface TaskInput {
  /** Its place among them. */
  readonly index: number
  readonly source: Source<unknown>
  /** The step that reads: `from:flights`. */
  readonly step: string
  /** Whether event time is read from its values: a record of which it was not has none. */
  readonly isTimed: boolean
}

/** Where a record is. */
export interface LocatedRecord {
  readonly records: RecordChunk
  readonly index: number
  readonly input: TaskInput
}

/** Records that were fetched, with the values that were decoded ahead of their batch. */
export interface Input {
  readonly size: number
  /** Bytes that its records keep in memory. */
  readonly byteSize: number
  /** The first record that is not committed yet. */
  readonly start: number
  locate(index: number): LocatedRecord
  inputOf(index: number): TaskInput
  /** Milliseconds since the epoch. */
  timestamp(index: number): number
  /** The value of a record, decoded from its bytes unless that was done ahead; each is given out once, so a replay decodes anew. */
  take(index: number): unknown
  /** Decodes values while the task has nothing else to do; stops when `stopped` says so. */
  decodeAhead(clock: Clock, stopped: () => boolean): Promise<void>
  /** The records before an index are committed. */
  commitTo(index: number): void
  /**
   * How far the sources are when its records before an index are taken.
   *
   * @param from the first one of them that the batch has taken
   */
  progressAt(index: number, from: number, before: readonly SourceProgress[]): readonly SourceProgress[]
}
