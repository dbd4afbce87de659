/** Reads the lines of a file, block by block; the lines of a block share its memory. */
import { type FileHandle, open } from 'node:fs/promises'
import { messageOf, SourceError } from '../core/errors.ts'
import type { RecordChunk } from '../core/record.ts'
import type { BoundedInput } from '../core/source.ts'
import { lineChunk } from './lineChunk.ts'
import type { BoundedReader } from './reader.ts'

const blockBytes = 256 * 1024
const lineFeed = 0x0a
const carriageReturn = 0x0d
const byteOrderMark = Buffer.from([0xef, 0xbb, 0xbf])

type LinesInput = Extract<BoundedInput, { readonly kind: 'lines' }>

export class LinesReader implements BoundedReader {
  readonly size = undefined
  ended = false
  readonly #topic: string
  readonly #input: LinesInput
  #file: FileHandle | undefined
  #closed = false
  #block = Buffer.alloc(0)
  /** Bytes of the block that come from the file. */
  #filled = 0
  /** Where the next line begins. */
  #position = 0
  /** How far a line feed has been looked for. */
  #searched = 0
  #isAtEnd = false
  #line = 0

  constructor(topic: string, input: LinesInput) {
    this.#topic = topic
    this.#input = input
  }

  async read(atMost: number): Promise<RecordChunk | undefined> {
    for (;;) {
      const chunk = this.#linesOfBlock(atMost)
      if (chunk !== undefined || this.ended) return chunk
      await this.#readBlock()
    }
  }

  async close(): Promise<void> {
    this.#closed = true
    const file = this.#file
    this.#file = undefined
    await file?.close().catch(() => {})
  }

  #linesOfBlock(atMost: number): RecordChunk | undefined {
    const starts: number[] = []
    const ends: number[] = []
    const add = (end: number) => {
      const start = this.#position
      if (end - start > this.#input.maxLineBytes) throw this.#lineTooLong(starts.length)
      starts.push(end === start && this.#input.emptyLines === 'skip' ? -1 : start)
      ends.push(end)
    }
    const block = this.#block.subarray(0, this.#filled)
    while (starts.length < atMost) {
      const feed = block.indexOf(lineFeed, Math.max(this.#searched, this.#position))
      if (feed < 0) {
        this.#searched = this.#filled
        break
      }
      add(feed > this.#position && block[feed - 1] === carriageReturn ? feed - 1 : feed)
      this.#position = feed + 1
    }
    if (this.#isAtEnd && this.#searched === this.#filled && starts.length < atMost) {
      if (this.#position < this.#filled) add(this.#filled)
      this.#position = this.#filled
      this.ended = true
    }
    if (starts.length === 0) return undefined
    const offset = this.#line
    this.#line += starts.length
    return lineChunk({ topic: this.#topic, offset, block, starts, ends })
  }

  /** Reads on behind the line that has only begun. */
  async #readBlock(): Promise<void> {
    const begun = this.#block.subarray(this.#position, this.#filled)
    if (begun.length > this.#input.maxLineBytes) throw this.#lineTooLong(0)
    const block = Buffer.allocUnsafe(Math.max(blockBytes, begun.length * 2))
    begun.copy(block)
    const bytesRead = await this.#fill(block, begun.length)
    const isFirst = this.#filled === 0
    this.#block = block
    this.#filled = begun.length + bytesRead
    this.#searched = begun.length
    this.#position = isFirst && block.subarray(0, Math.min(3, this.#filled)).equals(byteOrderMark) ? 3 : 0
    this.#isAtEnd = this.#filled < block.length
  }

  /** Fills a block, but for the last one of the file. */
  async #fill(block: Buffer, from: number): Promise<number> {
    let filled = from
    try {
      this.#file ??= await open(this.#input.path)
      while (filled < block.length && !this.#closed) {
        const { bytesRead } = await this.#file.read(block, filled, block.length - filled, null)
        if (bytesRead === 0) break
        filled += bytesRead
      }
    } catch (cause) {
      throw new SourceError('MR-LINES-FILE', {
        what: `the file ${this.#input.path} cannot be read`,
        why: messageOf(cause),
        fix: 'A path that does not begin with / is looked for from the working directory.',
        cause,
      })
    }
    return filled - from
  }

  #lineTooLong(behind: number): SourceError {
    const { path, maxLineBytes } = this.#input
    return new SourceError('MR-LINES-LENGTH', {
      what: `line ${this.#line + behind + 1} of ${path} is longer than ${maxLineBytes} bytes`,
      why: 'A file that is not made of lines looks like that; a longer line could fill the memory.',
      fix: 'If such lines are right, raise the limit: lines(path, codec, { maxLineBytes: … }).',
    })
  }
}
