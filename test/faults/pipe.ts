/** One direction of a connection through a proxy. */
import type { Socket } from 'node:net'

/** How bytes get through. */
export type Manner = 'normal' | 'slow' | 'byte by byte' | 'lost'

const slowMs = 100
/** As many bytes come alone at the beginning of what arrived together: sizes, headers, the beginning of what they announce. */
const alone = 200

export class Pipe {
  manner: Manner = 'normal'
  readonly #to: Socket
  #dead = false
  #underWay = 0
  #queue: Promise<void> = Promise.resolve()

  constructor(to: Socket) {
    this.#to = to
  }

  /** Whether something was lost: nothing gets through any more. */
  get isDead(): boolean {
    return this.#dead
  }

  send(data: Buffer): void {
    if (this.manner === 'lost') this.#dead = true
    if (this.#dead) return
    // Nothing overtakes what is still under way.
    if (this.manner === 'normal' && this.#underWay === 0) {
      this.#to.write(data)
      return
    }
    this.#underWay++
    this.#queue = this.#queue.then(async () => {
      await this.#pass(data)
      this.#underWay--
    })
  }

  async #pass(data: Buffer): Promise<void> {
    const { manner } = this
    if (manner === 'slow') await new Promise((resolve) => setTimeout(resolve, slowMs))
    let from = 0
    if (manner === 'byte by byte') {
      for (; from < Math.min(alone, data.length); from++) {
        this.#write(data.subarray(from, from + 1))
        // The reader has to get its turn, or bytes come together again.
        await new Promise((resolve) => setImmediate(resolve))
      }
    }
    if (from < data.length) this.#write(data.subarray(from))
  }

  #write(bytes: Buffer): void {
    if (!this.#dead && !this.#to.destroyed) this.#to.write(bytes)
  }
}
