/** A partition as the fetch loops see it. */
import type { TopicPartition } from '../core/source.ts'
import type { PartitionReader } from './partitionReader.ts'

/** How long a partition that nobody reads is still expected to be read at any moment. */
const expectedMs = 1_000

/** A partition of this member. Without a reader it is only counted. */
export interface FetchSlot extends TopicPartition {
  reader: PartitionReader | undefined
}

/** What the fetch loops remember of a partition. */
export interface Slot {
  readonly of: FetchSlot
  /** Since when nobody reads it. */
  quietSince: number | undefined
  /** Not asked for before this time, after an error. */
  notBefore: number
  failingSince: number | undefined
  failures: number
  /** What came is being handed over, or its position is compared with the log: nothing is fetched meanwhile. */
  busy: boolean
}

export function newSlot(of: FetchSlot): Slot {
  return { of, quietSince: undefined, notBefore: 0, failingSince: undefined, failures: 0, busy: false }
}

/** Whether the next chunk is to be fetched now. */
export function isWanted({ of, busy }: Slot): boolean {
  return of.reader?.wants === true && !busy
}

/** Whether the partition may be asked for soon: it is read, or was assigned or closed a moment ago. */
export function isExpected(slot: Slot, now: number): boolean {
  const { reader } = slot.of
  if (reader !== undefined && !reader.closed) {
    slot.quietSince = undefined
    return true
  }
  slot.quietSince ??= now
  return now - slot.quietSince < expectedMs
}

export function placeOf({ of: { topic, partition } }: Slot): TopicPartition {
  return { topic, partition }
}
