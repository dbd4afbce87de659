/** For readers of topics that streams write to. */
import { sequenceHeader, taskHeader } from './core/emit.ts'
import type { RecordHeader, RecordView } from './core/record.ts'

/** Headers of a record, as Kafka's clients have them: by their names, or as a list. */
export type HeadersOfRecord =
  | Pick<RecordView, 'header'>
  | readonly RecordHeader[]
  | { readonly [name: string]: string | Buffer | readonly (string | Buffer)[] | undefined }

/**
 * Knows which records of a partition have been there before: what a stream emits may arrive twice after a fault, and never out of order.
 * It keeps one number for each task that writes to the partition. Have one for each partition that you read, and keep it where your own
 * results are, in the same transaction: what is seen and not kept would be lost with a crash, what is kept and not seen would come twice.
 *
 * @example
 * const stored = '{"app/delays/0":17}'                     // as it was kept with the results of this partition
 * const messages = [{ headers: { 'millrace-task': 'app/delays/0', 'millrace-sequence': '18' } }]
 * const seen = new EmittedSequences(JSON.parse(stored))
 * const unseen = messages.filter(({ headers }) => !seen.isRepeat(headers))
 * const now = JSON.stringify(seen)                         // to be kept with their results, in one transaction
 *
 * When that transaction is rolled back, begin again with what was stored.
 */
export class EmittedSequences {
  readonly #last: Map<string, number>

  /** @param kept what `toJSON` gave; nothing for a partition of which nothing was read */
  constructor(kept: Readonly<Record<string, number>> = {}) {
    this.#last = new Map(Object.entries(kept))
  }

  /** Whether a record has been there before. One that has not is noted. Records that no stream has emitted are never repeats. */
  isRepeat(headers: HeadersOfRecord): boolean {
    const task = textOf(headers, taskHeader)
    const sequence = Number(textOf(headers, sequenceHeader))
    if (task === undefined || !Number.isSafeInteger(sequence)) return false
    if (sequence <= (this.#last.get(task) ?? 0)) return true
    this.#last.set(task, sequence)
    return false
  }

  /** The last sequence of each task: an object that can be stored as JSON. */
  toJSON(): Record<string, number> {
    return Object.fromEntries(this.#last)
  }
}

function textOf(headers: HeadersOfRecord, name: string): string | undefined {
  if (isList(headers)) return headers.findLast(({ key }) => key === name)?.value?.toString()
  if (isRecord(headers)) return headers.header(name)
  const found = headers[name]
  const value = typeof found === 'object' && !Buffer.isBuffer(found) ? found.at(-1) : found
  return value?.toString()
}

function isList(headers: HeadersOfRecord): headers is readonly RecordHeader[] {
  return Array.isArray(headers)
}

function isRecord(headers: HeadersOfRecord): headers is Pick<RecordView, 'header'> {
  return typeof (headers as Partial<RecordView>).header === 'function'
}
