import type { BoundedReader } from './reader.ts'
import { valueChunk } from './valueChunk.ts'

/** Values that come in pages: the rows of a query. */
export interface Pages {
  /** The next values, `atMost` of them; fewer at the end, and none behind it. */
  next(atMost: number): Promise<readonly unknown[]>
  close(): Promise<void>
}

export class PagesReader implements BoundedReader {
  readonly size = undefined
  ended = false
  readonly #topic: string
  readonly #pages: Pages
  #offset = 0

  constructor(topic: string, pages: Pages) {
    this.#topic = topic
    this.#pages = pages
  }

  async read(atMost: number) {
    if (this.ended) return undefined
    const values = await this.#pages.next(atMost)
    this.ended = values.length < atMost
    if (values.length === 0) return undefined
    const chunk = valueChunk({ topic: this.#topic, offset: this.#offset, values, owned: true })
    this.#offset = chunk.nextOffset
    return chunk
  }

  close(): Promise<void> {
    return this.#pages.close()
  }
}
