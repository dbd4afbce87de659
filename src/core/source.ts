/**
 * Sources: what a plan reads from, and the port behind which a client for them stands.
 *
 * A {@link TopicSource} is a description. A {@link SourceClient} reads topics for one service: it joins the
 * group, is told its partitions and hands their records over as chunks of bytes. It commits nothing that
 * matters: progress lives in the store. Its contract is tested by `test/contracts/sourceClient.ts`,
 * which any client can run.
 */
import type { Codec } from './codec.ts'
import type { RecordChunk } from './record.ts'

/** A topic as a plan names it. Made by `topic()`. */
export interface TopicSource<out T> {
  readonly kind: 'topic'
  readonly name: string
  readonly codec: Codec<T>
  /** What null values do: `skip` counts and drops them, `pass` lets them through as null. */
  readonly tombstones: 'skip' | 'pass'
}

/** A partition of a topic. */
export interface TopicPartition {
  readonly topic: string
  readonly partition: number
}

/** First position and end position of a partition's log, and an id that changes when the topic is recreated. */
export interface LogBounds {
  readonly start: number
  readonly end: number
}

/** One partition, given to this member until `revoked` aborts. Each assignment is a new object, also for the same partition. */
export interface AssignedPartition extends TopicPartition {
  /** Aborts as soon as the client knows or must assume that another member may own the partition. */
  readonly revoked: AbortSignal
  /** Positions of the log, asked from the source now. */
  bounds(): Promise<LogBounds>
  /** The first offset whose timestamp is at or after the time; the end when there is none. */
  offsetAt(timestampMs: number): Promise<number>
  /** The record at an offset as a chunk of one, or undefined where the log no longer has it. Used to recognise a recreated topic. */
  recordAt(offset: number): Promise<RecordChunk | undefined>
  /**
   * Records from `offset` on, each chunk beginning where the last one ended. Iterating pulls: the client
   * fetches ahead by at most one chunk, and fetches nothing while nobody asks.
   * Ends without an error when `revoked` aborts.
   */
  read(offset: number): AsyncIterable<RecordChunk>
  /** Tells the source how far this partition is, for lag tools only. Never waits, never throws. */
  hint(nextOffset: number): void
}

/** The partitions that one member was given by one group join; of all topics, those with the same number. */
export interface Assignment {
  readonly partitions: readonly AssignedPartition[]
}

export interface SourceClient {
  /** Joins the group. `onAssigned` is called once for each join, after every earlier assignment's `revoked` has aborted. */
  start(
    topics: readonly string[],
    onAssigned: (assignment: Assignment) => void,
    onFailed: (error: Error) => void,
  ): Promise<void>
  /** Leaves the group; aborts what is assigned. Settles within `deadlineMs` whatever the source does. */
  stop(deadlineMs: number): Promise<void>
  /** Whether the group has committed an offset for a partition, which `millrace run` asks before a first start. */
  committedOffset(partition: TopicPartition): Promise<number | undefined>
}
