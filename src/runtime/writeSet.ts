/**
 * Everything that an open batch will commit, in memory until the commit.
 *
 * Each row carries its owner, so an item is undone by its owner's outcome: the commit leaves the rows of undone owners
 * out, and undoing costs nothing on the way. A savepoint (`mark`) is for the other case, where everything
 * after a point has to go at once: a group that is tried on some of its members.
 */
import { requireRow } from '../core/row.ts'
import type { OwnedEntries, RowBuffer, Sink } from '../core/sink.ts'
import type { EmitBuffer } from './emitBuffer.ts'

/** A mark in the write set: the number of entries of each of its parts. */
export type Savepoint = readonly number[]

/**
 * Rows for a sink that no step names, as `ctx.write` may: kept as they came until the table has been looked at, before
 * anything of the batch commits. From then on the sink is one of the task's.
 */
export class UncheckedRows implements RowBuffer {
  readonly sink: Sink<never>
  readonly #rows: { readonly row: object; readonly owner: number }[] = []

  constructor(sink: Sink<never>) {
    this.sink = sink
  }

  get length(): number {
    return this.#rows.length
  }

  get byteSize(): number {
    return this.#rows.length * guessedRowBytes
  }

  append(row: object, owner: number): void {
    requireRow(row, this.sink.name)
    this.#rows.push({ row: { ...row }, owner })
  }

  truncate(length: number): void {
    this.#rows.length = length
  }

  eachOwner(callback: (owner: number) => void): void {
    for (const { owner } of this.#rows) callback(owner)
  }

  /** @throws what the buffer throws for a row that does not fit its table */
  moveTo(buffer: RowBuffer): void {
    for (const { row, owner } of this.#rows) buffer.append(row, owner)
    this.truncate(0)
  }
}

/** What a row may take before it is known how it is kept. */
const guessedRowBytes = 200

export class WriteSet {
  readonly emits: EmitBuffer
  readonly #buffers = new Map<Sink<never>, RowBuffer>()

  constructor(buffers: readonly RowBuffer[], emits: EmitBuffer) {
    this.emits = emits
    this.add(buffers)
  }

  get buffers(): readonly RowBuffer[] {
    return [...this.#buffers.values()]
  }

  add(buffers: readonly RowBuffer[]): void {
    for (const buffer of buffers) this.#buffers.set(buffer.sink, buffer)
  }

  bufferFor(sink: Sink<never>): RowBuffer {
    const buffer = this.#buffers.get(sink)
    if (buffer !== undefined) return buffer
    const unchecked = new UncheckedRows(sink)
    this.#buffers.set(sink, unchecked)
    return unchecked
  }

  /** Buffers whose tables nobody has looked at yet. */
  get unchecked(): readonly UncheckedRows[] {
    return this.buffers.filter((buffer) => buffer instanceof UncheckedRows)
  }

  mark(): Savepoint {
    return this.#parts.map((part) => part.length)
  }

  rollbackTo(savepoint: Savepoint): void {
    for (const [index, part] of this.#parts.entries()) part.truncate(savepoint[index] ?? 0)
  }

  clear(): void {
    for (const part of this.#parts) part.truncate(0)
  }

  /** Rows of all sinks, those of undone owners included. */
  get rows(): number {
    let rows = 0
    for (const buffer of this.#buffers.values()) rows += buffer.length
    return rows
  }

  /** Everything that was written, that of undone owners included. */
  get length(): number {
    return this.rows + this.emits.length
  }

  get byteSize(): number {
    let bytes = this.emits.byteSize
    for (const buffer of this.#buffers.values()) bytes += buffer.byteSize
    return bytes
  }

  /** Buffers are only ever added behind the others: a savepoint knows them by their place. */
  get #parts(): readonly OwnedEntries[] {
    return [this.emits, ...this.#buffers.values()]
  }
}
