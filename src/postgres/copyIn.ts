import type { Connection, Submittable } from 'pg'

const copyDataTag = 0x64
const copyDone = Buffer.from([0x63, 0, 0, 0, 4])
/** Bytes of one CopyData message: large enough that headers cost nothing, small enough to be read as it comes. */
const messageBytes = 256 * 1024

/**
 * `COPY … FROM STDIN` with all of its data at hand, sent in one go behind the statement.
 *
 * Not waiting for the server's invitation saves a round trip. It is safe in the simple protocol: when the server
 * refuses the statement or a line, it reads on and drops what was sent for it. A writable stream has to be told
 * to stop at that moment, and when chunks are still queued, pg-copy-streams 7.0.0 then writes to a connection that it
 * has let go of, outside of any handler, and ends the process.
 */
export class CopyIn implements Submittable {
  readonly #text: string
  readonly #chunks: readonly Buffer[]
  readonly #settle: (error: Error | undefined) => void

  /** @param settle called once, with the server's error when it refuses */
  constructor(text: string, chunks: readonly Buffer[], settle: (error: Error | undefined) => void) {
    this.#text = text
    this.#chunks = chunks
    this.#settle = settle
  }

  submit(connection: Connection): void {
    const { stream } = connection
    stream.cork()
    connection.query(this.#text)
    for (const chunk of this.#chunks) {
      for (let start = 0; start < chunk.length; start += messageBytes) {
        const part = chunk.subarray(start, start + messageBytes)
        const header = Buffer.allocUnsafe(5)
        header[0] = copyDataTag
        header.writeUInt32BE(part.length + 4, 1)
        stream.write(header)
        stream.write(part)
      }
    }
    stream.write(copyDone)
    stream.uncork()
  }

  // Below is what pg's client calls on whatever it was given to submit.

  handleCopyInResponse(): void {}

  handleCommandComplete(): void {}

  handleError(error: Error): void {
    this.#settle(error)
  }

  handleReadyForQuery(): void {
    this.#settle(undefined)
  }
}
