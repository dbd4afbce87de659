/**
 * What a source hands over: records in chunks, kept as the bytes they came in.
 *
 * A chunk is read by index and allocates nothing until a key, value or header is asked for, so a
 * record costs no object on its way through a plan. Offsets are numbers: Kafka's 64 bits are
 * accepted up to 2^53 - 1, which a partition that takes a million records a second reaches in 285 years.
 */

/** A run of records of one partition, in offset order. Offsets may have gaps. */
export interface RecordChunk {
  readonly topic: string
  readonly partition: number
  /** Number of records; may be 0 where a fetch held only control or aborted records. */
  readonly size: number
  /** Bytes that the chunk keeps in memory, for back-pressure. */
  readonly byteSize: number
  /** The position to read from after this chunk; beyond gaps, control and aborted records. */
  readonly nextOffset: number
  /** The end of the partition as the source knew it when the chunk was read: lag = endOffset - nextOffset. */
  readonly endOffset: number

  offset(index: number): number
  /** Milliseconds since the epoch. */
  timestamp(index: number): number
  key(index: number): Buffer | null
  /** Whether a record's key is this text in UTF-8: without making a buffer of it. */
  isKey?(index: number, text: string): boolean
  value(index: number): Buffer | null
  headers(index: number): readonly RecordHeader[]

  /** The bytes that `valueStart` and `valueEnd` point into. */
  valueBuffer(index: number): Buffer
  /** -1 when the value is null. */
  valueStart(index: number): number
  valueEnd(index: number): number

  /** Values that are handed over as they are, not decoded. Their bytes are made when somebody asks for them. */
  readonly given?: readonly unknown[]
}

export interface RecordHeader {
  readonly key: string
  readonly value: Buffer | null
}

/** One record as callbacks see it: `ctx.record`. Valid during the callback; copy what is kept longer. */
export interface RecordView {
  readonly topic: string
  readonly partition: number
  readonly offset: number
  readonly timestamp: Date
  readonly key: Buffer | null
  /** The raw bytes, as they were before decoding. */
  readonly value: Buffer | null
  /** The last header of that name as text; undefined when there is none. */
  header(name: string): string | undefined
}
