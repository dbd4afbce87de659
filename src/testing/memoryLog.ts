/** The log of one partition in memory: what a reader of committed records sees of it. */
import type { RecordHeader } from '../core/record.ts'
import type { PlainRecord } from '../core/recordListChunk.ts'
import type { LogBounds } from '../core/source.ts'

/** A record to append; what is left out is null, no headers, and 0. */
export interface MemoryRecord {
  readonly key?: Buffer | null
  readonly value?: Buffer | null
  readonly headers?: readonly RecordHeader[]
  /** Milliseconds since the epoch. */
  readonly timestamp?: number
}

export class MemoryLog {
  #records: PlainRecord[] = []
  #start = 0
  #end = 0
  /** Records of transactions that are open, by transaction, in their order. */
  readonly #open = new Map<object, PlainRecord[]>()

  /** From the first record that is left to the first that a reader has to wait for: that of the oldest open transaction. */
  get bounds(): LogBounds {
    const firsts = Array.from(this.#open.values(), ([first]) => first?.offset ?? this.#end)
    return { start: this.#start, end: Math.min(this.#end, ...firsts) }
  }

  get highWatermark(): number {
    return this.#end
  }

  /** @param transaction that the record belongs to: nobody sees it before the transaction is committed */
  append({ key = null, value = null, headers = [], timestamp = 0 }: MemoryRecord, transaction?: object): number {
    const offset = this.#end++
    const record = { offset, key, value, headers, timestamp }
    this.#records.push(record)
    if (transaction !== undefined) {
      const own = this.#open.get(transaction) ?? []
      own.push(record)
      this.#open.set(transaction, own)
    }
    return offset
  }

  /** Ends a transaction: a marker takes an offset, and records that were given up are seen by nobody. */
  endTransaction(transaction: object, committed: boolean): void {
    const own = new Set(this.#open.get(transaction))
    if (!this.#open.delete(transaction)) return
    this.#end++
    if (!committed) this.#records = this.#records.filter((record) => !own.has(record))
  }

  /** Leaves offsets unused, as compaction does. */
  skip(positions: number): void {
    this.#end += positions
  }

  /** Forgets the records before an offset, as retention does. */
  deleteBefore(offset: number): void {
    this.#start = Math.max(this.#start, Math.min(offset, this.#end))
    this.#records.splice(0, this.#indexOf(this.#start))
  }

  /** Loses the records from an offset on, as a leader does that was elected without having had them. */
  truncate(offset: number): void {
    this.#end = Math.max(this.#start, Math.min(offset, this.#end))
    this.#records.splice(this.#indexOf(this.#end))
    for (const [transaction, records] of this.#open) {
      const left = records.filter((record) => record.offset < this.#end)
      if (left.length === 0) this.#open.delete(transaction)
      else this.#open.set(transaction, left)
    }
  }

  /** Up to `count` records from an offset on, and the position behind them. */
  read(offset: number, count: number): { records: PlainRecord[]; nextOffset: number; endOffset: number } {
    const { end } = this.bounds
    const from = this.#indexOf(offset)
    const records = this.#records.slice(from, Math.min(from + count, this.#indexOf(end)))
    const following = this.#records[from + records.length]
    return { records, nextOffset: Math.min(following?.offset ?? end, end), endOffset: end }
  }

  at(offset: number): PlainRecord | undefined {
    const record = this.#records[this.#indexOf(offset)]
    return record?.offset === offset && offset < this.bounds.end ? record : undefined
  }

  /** The first offset whose timestamp is at or after the time; the end when there is none. */
  offsetAt(timestampMs: number): number {
    const { end } = this.bounds
    const found = this.#records.find(({ timestamp, offset }) => timestamp >= timestampMs && offset < end)
    return found?.offset ?? end
  }

  /** The index of the first record at or after an offset, by halving: logs may hold millions. */
  #indexOf(offset: number): number {
    let low = 0
    let high = this.#records.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if ((this.#records[middle]?.offset ?? 0) < offset) low = middle + 1
      else high = middle
    }
    return low
  }
}
