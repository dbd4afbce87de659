/**
 * Everything that an open batch will commit, in memory until the commit.
 *
 * Each row carries its owner, so an item is undone by its owner's outcome: the commit leaves the rows of undone owners
 * out, and undoing costs nothing on the way. A savepoint (`mark`) is for the other case, where everything
 * after a point has to go at once: a group that is tried on some of its members.
 */
import type { RowBuffer, Sink } from '../core/sink.ts'

/** A mark in the write set: the number of rows of each buffer. */
export type Savepoint = readonly number[]

/**
 * Thrown at the first `ctx.write` to a sink that no step names. The task then opens the sink, which checks its table,
 * and replays the batch; so a callback may write anywhere, and still no row meets an unchecked table.
 */
export class UnopenedSink {
  readonly sink: Sink<never>
  constructor(sink: Sink<never>) {
    this.sink = sink
  }
}

export class WriteSet {
  readonly #buffers = new Map<Sink<never>, RowBuffer>()

  constructor(buffers: readonly RowBuffer[]) {
    this.add(buffers)
  }

  get buffers(): readonly RowBuffer[] {
    return [...this.#buffers.values()]
  }

  add(buffers: readonly RowBuffer[]): void {
    for (const buffer of buffers) this.#buffers.set(buffer.sink, buffer)
  }

  bufferFor(sink: Sink<never>): RowBuffer | undefined {
    return this.#buffers.get(sink)
  }

  mark(): Savepoint {
    return this.buffers.map((buffer) => buffer.length)
  }

  rollbackTo(savepoint: Savepoint): void {
    for (const [index, buffer] of this.buffers.entries()) buffer.truncate(savepoint[index] ?? 0)
  }

  clear(): void {
    for (const buffer of this.buffers) buffer.truncate(0)
  }

  /** Rows of all sinks, those of undone owners included. */
  get rows(): number {
    let rows = 0
    for (const buffer of this.#buffers.values()) rows += buffer.length
    return rows
  }

  get byteSize(): number {
    let bytes = 0
    for (const buffer of this.#buffers.values()) bytes += buffer.byteSize
    return bytes
  }
}
