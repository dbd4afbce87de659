/**
 * Which of several values makes a callback fail: the last one of the shortest prefix that fails. Prefixes up to `passes`
 * go through, that of `fails` does not.
 */
export class Halving {
  #passes = 0
  #fails: number

  /** @param count values that were seen to fail together */
  constructor(count: number) {
    this.#fails = count
  }

  /** The length of the prefix to try next; undefined when the guilty one is known. */
  get next(): number | undefined {
    return this.#fails - this.#passes > 1 ? (this.#passes + this.#fails) >> 1 : undefined
  }

  /** Index of the guilty value. */
  get guilty(): number {
    return this.#fails - 1
  }

  passed(count: number): void {
    this.#passes = count
  }

  failed(count: number): void {
    this.#fails = count
  }
}
