/**
 * Sources: what a plan reads from, and the port behind which a client for them stands.
 *
 * A {@link TopicSource} and a {@link BoundedSource} are descriptions. A {@link SourceClient} reads topics for one service: it
 * joins the group, is told its partitions and hands their records over as chunks of bytes. It commits nothing that
 * matters: progress lives in the store. Its contract is tested by `test/contracts/sourceClient.ts`,
 * which any client can run. What a bounded source holds comes through the same port, as one partition that ends.
 */
import type { Codec } from './codec.ts'
import type { EmitKey } from './emit.ts'
import type { RecordChunk } from './record.ts'

/** A topic as a plan names it. Made by `topic()`. */
export interface TopicSource<out T> {
  readonly kind: 'topic'
  readonly name: string
  readonly codec: Codec<T>
  /** What null values do: `skip` counts and drops them, `pass` lets them through as null. */
  readonly tombstones: 'skip' | 'pass'
  /** Where it is written: makes the key of a record from its value. */
  readonly key: ((value: unknown) => EmitKey) | undefined
}

/** What a bounded source reads. */
export type BoundedInput =
  | { readonly kind: 'array'; readonly values: readonly unknown[] }
  | { readonly kind: 'iterable'; readonly values: Iterable<unknown> | AsyncIterable<unknown> }
  | {
      readonly kind: 'lines'
      readonly path: string
      readonly maxLineBytes: number
      readonly emptyLines: 'skip' | 'pass'
    }
  | { readonly kind: 'query'; readonly sql: string; readonly params: readonly unknown[] }

/**
 * An input that ends, as a plan names it. Made by `from()` of an array, an iterable or a `query()`, and by `lines()`. Its
 * items have a position as records have: its name for a topic, partition 0, and offsets from 0 without gaps.
 */
export interface BoundedSource<out T> {
  readonly kind: 'bounded'
  readonly name: string
  /** Decodes lines. For values, which are handed over as they are: writes what the error collector keeps of them, and reads it. */
  readonly codec: Codec<T>
  /** What items without a value do: `skip` counts and drops them. */
  readonly tombstones: 'skip' | 'pass'
  /** What it is, as `describe()` prints it. */
  readonly detail: string
  readonly input: BoundedInput
}

/** What a stream reads. */
export type Source<T> = TopicSource<T> | BoundedSource<T>

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
  /**
   * Whether reading comes to an end. Then a batch closes where a limit or the end is and not because of time or of what has
   * come so far, and its task ends with it.
   */
  readonly ends?: boolean
  /** Positions of the log, asked from the source now. */
  bounds(): Promise<LogBounds>
  /** The first offset whose timestamp is at or after the time; the end when there is none. */
  offsetAt(timestampMs: number): Promise<number>
  /** The record at an offset as a chunk of one, or undefined where the log no longer has it. Used to recognise a recreated topic. */
  recordAt(offset: number): Promise<RecordChunk | undefined>
  /**
   * Records from `offset` on, each chunk beginning where the last one ended. Iterating pulls: the client
   * fetches ahead by at most one chunk, and fetches nothing while nobody asks.
   * Ends without an error when `revoked` aborts, and where the partition ends.
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

/** Reads partitions without being a member of a group: who reads what is up to whoever asks. */
export interface DirectClient {
  /**
   * Gives the partitions until the signal aborts. Called once.
   *
   * @throws SourceError when a topic does not exist; UnavailableError when the source cannot be reached
   */
  open(partitions: readonly TopicPartition[], revoked: AbortSignal): Promise<readonly AssignedPartition[]>
  /** Settles whatever the source does. */
  close(): Promise<void>
}
