/** Reads an iterable of any kind, by asking for one value after the other: never for one that nobody has room for. */
import { type Clock, sleep } from '../core/clock.ts'
import type { RecordChunk } from '../core/record.ts'
import type { BoundedReader } from './reader.ts'
import { valueChunk } from './valueChunk.ts'

/** The longest that values are asked for without giving the event loop a turn. */
const turnMs = 20
/** As long as that a value is waited for before those that came are handed on. */
const patienceMs = 20

const late: unique symbol = Symbol('late')

type Iterable_ = Iterable<unknown> | AsyncIterable<unknown>

export class IterableReader implements BoundedReader {
  readonly size = undefined
  ended = false
  readonly #topic: string
  readonly #clock: Clock
  readonly #iterator: Iterator<unknown> | AsyncIterator<unknown>
  readonly #isAsync: boolean
  #offset = 0
  /** A value that was asked for and has not come yet. */
  #pending: Promise<IteratorResult<unknown>> | undefined
  #failure: { readonly error: unknown } | undefined

  constructor(topic: string, values: Iterable_, clock: Clock) {
    this.#topic = topic
    this.#clock = clock
    this.#isAsync = Symbol.asyncIterator in values
    this.#iterator =
      Symbol.asyncIterator in values ? values[Symbol.asyncIterator]() : (values as Iterable<unknown>)[Symbol.iterator]()
  }

  async read(atMost: number): Promise<RecordChunk | undefined> {
    if (this.#failure !== undefined) throw this.#failure.error
    const values: unknown[] = []
    try {
      if (this.#isAsync) await this.#readAsync(values, atMost)
      else this.#readSync(values, atMost)
    } catch (error) {
      // What came before is handed on first, so that the position is that of the one that failed.
      this.ended = true
      this.#failure = { error }
      if (values.length === 0) throw error
    }
    if (values.length === 0) return undefined
    const chunk = valueChunk({ topic: this.#topic, offset: this.#offset, values, owned: true })
    this.#offset = chunk.nextOffset
    return chunk
  }

  async close(): Promise<void> {
    if (this.ended) return
    this.ended = true
    try {
      await this.#iterator.return?.()
    } catch {
      // It was to end, and has.
    }
  }

  #readSync(values: unknown[], atMost: number): void {
    const endsAt = this.#clock.now() + turnMs
    while (!this.ended && values.length < atMost) {
      this.#take(this.#iterator.next() as IteratorResult<unknown>, values)
      if (this.#clock.now() >= endsAt) return
    }
  }

  async #readAsync(values: unknown[], atMost: number): Promise<void> {
    const done = new AbortController()
    let patience: Promise<typeof late> | undefined
    try {
      while (!this.ended && values.length < atMost) {
        this.#pending ??= this.#ask()
        const first = values.length === 0
        if (!first) patience ??= sleep(this.#clock, patienceMs, done.signal).then(() => late)
        const result = await (first || patience === undefined ? this.#pending : Promise.race([this.#pending, patience]))
        if (result === late) return
        this.#pending = undefined
        this.#take(result, values)
      }
    } finally {
      done.abort()
    }
  }

  #ask(): Promise<IteratorResult<unknown>> {
    const asked = (async () => this.#iterator.next())()
    // It may fail while nobody waits for it; whoever asks next is told.
    asked.catch(() => {})
    return asked
  }

  #take(result: IteratorResult<unknown>, values: unknown[]): void {
    if (result.done) this.ended = true
    else values.push(result.value)
  }
}
