import type { RowBuffer } from '../core/sink.ts'
import type { Link } from './connections.ts'
import type { KeyTrail } from './keyTrail.ts'
import type { BoundSink } from './sinkChecks.ts'
import type { Tracking } from './tracking.ts'

/** Which rows of a buffer are written, and in which order. */
export interface Selection {
  /** Where an owner stands in offset order; undefined when its rows are left out. */
  position(owner: number): number | undefined
  /** Where they are added to a table without a key, if not in offset order. */
  readonly order?: ((owner: number) => number) | undefined
  /** Whether every row is written, in the order in which it was appended. */
  readonly asAppended: boolean
  /** Where rows come from, where tables remember it. */
  readonly tracking?: Tracking | undefined
}

/** A row buffer that Postgres's store made, and can write. */
export interface TableBuffer extends RowBuffer {
  readonly bound: BoundSink
  /** Names of the columns that rows were written to so far. */
  readonly columnNames: readonly string[]
  /** The keys of the rows, where a foreign key ties the table to another one of the batch, or to itself. */
  readonly trail: KeyTrail | undefined
  /** Writes what is selected, inside the caller's transaction. @throws WriteRefused */
  inTransactionFlush(link: Link, selection: Selection): Promise<void>
}

/** A statement that wrote rows of one sink failed. */
export class WriteRefused extends Error {
  readonly bound: BoundSink
  /** The owner of the row that the database named, if it named one. */
  readonly owner: number | undefined
  /** Whether the buffer has learnt from it, and the same write may go through now. */
  readonly again: boolean

  constructor(
    bound: BoundSink,
    cause: unknown,
    { owner, again = false }: { owner?: number | undefined; again?: boolean },
  ) {
    super(`writing ${bound.name}`, { cause })
    this.name = 'WriteRefused'
    this.bound = bound
    this.owner = owner
    this.again = again
  }
}

/**
 * Indexes of the selected rows, in offset order; rows of one owner stay in the order in which they were appended.
 *
 * @param owners the owner of each row, of which the first `count` are looked at
 * @param order another order than that of offsets
 */
export function selectRows(
  owners: Int32Array,
  count: number,
  { position }: Selection,
  order?: (owner: number) => number,
): Int32Array {
  const rows = new Int32Array(count)
  const positions = new Float64Array(count)
  let kept = 0
  let sorted = true
  let last = Number.NEGATIVE_INFINITY
  for (let row = 0; row < count; row += 1) {
    const owner = owners[row] ?? 0
    const standing = position(owner)
    if (standing === undefined) continue
    const place = order === undefined ? standing : order(owner)
    if (place < last) sorted = false
    last = place
    rows[kept] = row
    positions[row] = place
    kept += 1
  }
  const selected = rows.subarray(0, kept)
  if (sorted) return selected
  return selected.sort((a, b) => (positions[a] ?? 0) - (positions[b] ?? 0) || a - b)
}

/** An Int32Array that grows. */
export class Owners {
  values = new Int32Array(1024)
  length = 0

  push(owner: number): void {
    if (this.length === this.values.length) {
      const larger = new Int32Array(this.values.length * 2)
      larger.set(this.values)
      this.values = larger
    }
    this.values[this.length] = owner
    this.length += 1
  }
}
