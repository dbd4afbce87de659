/** Answers of a lookup step in one task, for a while and up to a number: the least recently used go first. */
import type { KeysRefused } from '../core/store.ts'

/** What is known of a key: its row, that there is none, or that the database refuses it. */
export type Answer = { readonly row: object | undefined } | { readonly refused: KeysRefused }

export class LookupCache {
  readonly #ttlMs: number
  readonly #maxKeys: number
  /** Those that were used last are last. */
  readonly #answers = new Map<string, { readonly answer: Answer; readonly until: number }>()

  constructor({ ttlMs, maxKeys }: { readonly ttlMs: number; readonly maxKeys: number }) {
    this.#ttlMs = ttlMs
    this.#maxKeys = maxKeys
  }

  /** @param now in milliseconds */
  use(key: string, now: number): Answer | undefined {
    const known = this.#answers.get(key)
    if (known === undefined) return undefined
    this.#answers.delete(key)
    if (known.until <= now) return undefined
    this.#answers.set(key, known)
    return known.answer
  }

  /** @param askedAt when the database was asked, in milliseconds: its answer may be as old as that */
  keep(key: string, answer: Answer, askedAt: number): void {
    this.#answers.delete(key)
    this.#answers.set(key, { answer, until: askedAt + this.#ttlMs })
    if (this.#answers.size <= this.#maxKeys) return
    for (const oldest of this.#answers.keys()) {
      this.#answers.delete(oldest)
      return
    }
  }
}
