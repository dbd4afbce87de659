/** Rows that go out by one COPY, as the bytes that are sent. */
import { ByteWriter } from './byteWriter.ts'
import type { WrittenColumn } from './rowLayout.ts'
import { Owners } from './tableBuffer.ts'
import { offsetColumn, taskColumn } from './trackedColumns.ts'
import type { Tracking } from './tracking.ts'

export const tab = 0x09
export const newline = 0x0a
const zero = 0x30
export const nullText = '\\N'
/** Of a task and an offset at the end of a line, at most: two tabs, 10 and 16 digits. */
const maxPlaceBytes = 28

/** Bytes from which copying them would cost more than a message of their own. */
const longRunBytes = 16 * 1024

/** Where lines lie in the bytes. */
interface Run {
  readonly start: number
  readonly end: number
}

/** Rows that go out by one COPY: those that write the same columns. */
export class Segment {
  readonly columns: readonly WrittenColumn[]
  readonly statement: string
  /** The same with where each row comes from. */
  readonly trackedStatement: string
  readonly out = new ByteWriter()
  readonly owners = new Owners()
  /** Where each row ends in the bytes. */
  ends = new Uint32Array(1024)

  constructor(table: string, columns: readonly WrittenColumn[]) {
    this.columns = columns
    const names = columns.map(({ info }) => info.quoted).join(', ')
    this.statement = `copy ${table} (${names}) from stdin`
    this.trackedStatement = `copy ${table} (${names}, ${taskColumn}, ${offsetColumn}) from stdin`
  }

  get length(): number {
    return this.owners.length
  }

  endOf(row: number): number {
    return row < 0 ? 0 : (this.ends[row] ?? 0)
  }

  add(owner: number): void {
    if (this.length === this.ends.length) {
      const larger = new Uint32Array(this.ends.length * 2)
      larger.set(this.ends)
      this.ends = larger
    }
    this.ends[this.length] = this.out.length
    this.owners.push(owner)
  }

  truncate(length: number): void {
    if (length === 0) this.out.clear()
    else this.out.length = this.endOf(length - 1)
    this.owners.length = length
  }

  /** The lines of the selected rows, in their order, each with where it comes from. */
  gatherTracked(rows: Int32Array | undefined, tracking: Tracking): Buffer {
    const count = rows?.length ?? this.length
    let size = 0
    for (let index = 0; index < count; index += 1) {
      const row = rows?.[index] ?? index
      size += this.endOf(row) - this.endOf(row - 1) + maxPlaceBytes
    }
    const bytes = Buffer.allocUnsafe(size)
    let length = 0
    for (let index = 0; index < count; index += 1) {
      const row = rows?.[index] ?? index
      length += this.out.bytes.copy(bytes, length, this.endOf(row - 1), this.endOf(row) - 1)
      const place = tracking.placeOf(this.owners.values[row] ?? 0)
      if (place === undefined) length += bytes.write(`\t${nullText}\t${nullText}`, length, 'latin1')
      else length = writeNumber(bytes, writeNumber(bytes, length, place.task), place.offset)
      bytes[length++] = newline
    }
    return bytes.subarray(0, length)
  }

  /** The lines of the selected rows, in their order: long runs as the views that they are, what lies between put together. */
  gather(rows: Int32Array): readonly Buffer[] {
    const runs = this.#runsOf(rows)
    const isLong = ({ start, end }: Run) => end - start >= longRunBytes
    const together = Buffer.allocUnsafe(runs.reduce((size, run) => size + (isLong(run) ? 0 : run.end - run.start), 0))
    const chunks: Buffer[] = []
    let [begun, length] = [0, 0]
    const endChunk = () => {
      if (length > begun) chunks.push(together.subarray(begun, length))
      begun = length
    }
    for (const run of runs) {
      if (isLong(run)) {
        endChunk()
        chunks.push(this.out.bytes.subarray(run.start, run.end))
      } else length += this.out.bytes.copy(together, length, run.start, run.end)
    }
    endChunk()
    return chunks
  }

  /** Rows that follow one another, each time as one. */
  #runsOf(rows: Int32Array): readonly Run[] {
    const runs: Run[] = []
    for (let index = 0; index < rows.length; index += 1) {
      const first = rows[index] ?? 0
      while (rows[index + 1] === (rows[index] ?? 0) + 1) index += 1
      runs.push({ start: this.endOf(first - 1), end: this.endOf(rows[index] ?? 0) })
    }
    return runs
  }
}

/** Writes a tab and a whole number of at least 0. @returns where it ends */
function writeNumber(bytes: Buffer, at: number, number: number): number {
  bytes[at] = tab
  let digits = 1
  for (let rest = number; rest >= 10; rest = Math.floor(rest / 10)) digits += 1
  let rest = number
  for (let index = at + digits; index > at; index -= 1) {
    const more = Math.floor(rest / 10)
    bytes[index] = zero + rest - more * 10
    rest = more
  }
  return at + digits + 1
}
