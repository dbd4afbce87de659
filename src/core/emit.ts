/**
 * Emits: records that a plan writes to topics.
 *
 * An emit belongs to the write set of its batch: it commits with the rows, into an {@link Outbox}, with a sequence number
 * of its task, and is sent by a {@link TopicWriter} after the commit. What was committed and perhaps not sent is sent
 * again by whoever claims the task next, before anything else of the task. So a record may arrive more than once, and for each task
 * and partition of the target what arrives begins, without a gap, in the order of the sequence: who drops what has no higher
 * sequence than the last that he took of the task in that partition sees each emit once, in order.
 */
import type { Codec } from './codec.ts'
import type { RecordHeader } from './record.ts'
import type { TaskId } from './taskId.ts'

/** What a record can be keyed by: numbers are written as text; null and undefined are no key. */
export type EmitKey = string | number | bigint | Buffer | null | undefined

/** What an emitted record has beside its value. */
export interface EmitOptions {
  /** Default: what the `key` of the topic gives for the value. */
  readonly key?: EmitKey
  readonly headers?: Readonly<Record<string, string | Buffer>>
}

/** What a tombstone has beside its value, which is null: without a key it would take nothing away. */
export interface TombstoneOptions extends EmitOptions {
  readonly key: NonNullable<EmitKey>
}

/** A record for a topic. */
export interface OutgoingRecord {
  readonly topic: string
  readonly partition: number
  readonly key: Buffer | null
  readonly value: Buffer | null
  /** Milliseconds since the epoch. */
  readonly timestamp: number
  readonly headers: readonly RecordHeader[]
}

/** An emit as the outbox keeps it: without the headers that say which one it is. */
export interface Emit extends OutgoingRecord {
  /** Its number among those of its task. */
  readonly sequence: number
}

/** An emit of the batch that is committed. */
export interface CommittedEmit extends Emit {
  readonly owner: number
  /** Reads the value. */
  readonly codec: Codec<unknown>
}

/** Names of headers that begin so are not for callbacks. */
export const ownHeaders = 'millrace-'
/** The task that has emitted a record. */
export const taskHeader = 'millrace-task'
/** The number of a record among those that its task has emitted. */
export const sequenceHeader = 'millrace-sequence'
/** What the context scope held when a record was emitted, as a JSON object by the names of the slots. */
export const contextHeader = 'millrace-context'

/** The text by which readers know a task: the same in every process and for ever. */
export function textOfTask({ app, stream, partition }: TaskId): string {
  // Names may hold slashes: `a/b` of `c` is not `a` of `b/c`.
  return `${encodeURIComponent(app)}/${encodeURIComponent(stream)}/${partition}`
}

/** An emit as it goes out. */
export function outgoing(task: string, { sequence, ...record }: Emit): OutgoingRecord {
  const own = [
    { key: taskHeader, value: Buffer.from(task) },
    { key: sequenceHeader, value: Buffer.from(String(sequence)) },
  ]
  return { ...record, headers: [...record.headers, ...own] }
}

/** The partition of a record: as Kafka's own clients choose it for a key; those without one are dealt out in turn. */
export function partitionFor(key: Buffer | null, sequence: number, partitions: number): number {
  return (key === null ? sequence : murmur2(key) & 0x7fff_ffff) % partitions
}

/** MurmurHash 2 with the seed that Kafka uses, as an unsigned number. */
function murmur2(bytes: Buffer): number {
  const mix = 0x5bd1e995
  const { length } = bytes
  const whole = length & ~3
  let hash = 0x9747b28c ^ length
  for (let at = 0; at < whole; at += 4) {
    let word = Math.imul(bytes.readInt32LE(at), mix)
    word = Math.imul(word ^ (word >>> 24), mix)
    hash = Math.imul(hash, mix) ^ word
  }
  for (let at = length - 1; at >= whole; at -= 1) hash ^= (bytes[at] as number) << (8 * (at - whole))
  if (whole < length) hash = Math.imul(hash, mix)
  hash = Math.imul(hash ^ (hash >>> 13), mix)
  return (hash ^ (hash >>> 15)) >>> 0
}

/** What has to be known of a topic that is written. */
export interface TopicShape {
  readonly partitions: number
  /** The largest record that it takes, in bytes, with all that belongs to one. */
  readonly maxRecordBytes: number
}

/**
 * Writes records to topics. Guarantees of an implementation (tested by `test/contracts/topicWriter.ts`):
 * - `send` resolves when every record is in its topic for good, and rejects when that is not known of some of them.
 * - The records of a partition go in as they were given. Whatever happens, also when `send` rejects or the process dies, each of them is
 *   in the log for the first time only when all before it are.
 * - `send` of the same records again is allowed: they are then there more than once.
 */
export interface TopicWriter {
  /** Whether what is emitted is neither kept nor sent, but only looked at. */
  readonly drops?: boolean
  /**
   * Looks at a topic, so that its shape is known from then on.
   *
   * @throws SourceError when it does not exist; UnavailableError when it cannot be asked for
   */
  open(topic: string): Promise<void>
  /** Undefined before the topic was looked at. */
  shapeOf(topic: string): TopicShape | undefined
  /**
   * @param signal gives up: it may be that some arrive all the same
   * @throws SourceError when no other try would help; UnavailableError
   */
  send(records: readonly OutgoingRecord[], signal: AbortSignal): Promise<void>
  close(): Promise<void>
}

/** What was committed and is not known to have been sent. A batch adds to it through `commit` of the store. */
export interface Outbox {
  /** Where the sequence of a task goes on, and its emits that are left, in order. To be asked by whoever has claimed the task. */
  left(task: TaskId): Promise<LeftEmits>
  /** Forgets the emits of a task up to a sequence: they have been sent. It does no harm, whoever does it and however often. */
  forget(task: TaskId, upTo: number): Promise<void>
}

export interface LeftEmits {
  /** All that the task has given so far are below or at it: the next one is higher. */
  readonly sequence: number
  readonly emits: readonly Emit[]
}

/** What a batch emits, as its commit is given it. */
export interface EmitRequest {
  /** Emits up to this sequence have been sent, and go from the outbox. */
  readonly sent: number
  /**
   * The emits of owners that stand, in order, with their sequences. To be asked for when everything else of the transaction has
   * been written: until then items may fall.
   */
  take(): readonly CommittedEmit[]
}
