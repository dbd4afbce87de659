/**
 * A step that looks rows up: it takes all values of a batch, asks the store once for the keys that it does not know, and hands
 * the values on with their rows, in offset order.
 *
 * What was found for a key stays what it is until no item that has met it is left to a later batch: a replay finds the same.
 */
import { ItemError, messageOf } from '../core/errors.ts'
import type { Key } from '../core/key.ts'
import type { LookupKey, LookupOperator } from '../core/lookup.ts'
import type { Next, Step } from '../core/operator.ts'
import { shown } from '../core/options.ts'
import { syncWatch } from '../core/signal.ts'
import { KeysRefused } from '../core/store.ts'
import { CollectingBarrier, EntryFeed } from './barriers.ts'
import type { Batch } from './batch.ts'
import { drive } from './drive.ts'
import { type Answer, LookupCache } from './lookupCache.ts'
import { lookUpFor } from './lookupSteps.ts'
import { swallowedSignal } from './settle.ts'
import { placeOf, type TaskInfo } from './taskInfo.ts'

/** Keys of one query at most: only a batch without a limit, as that of a run, has more. */
const maxKeysAsked = 50_000

interface KeyedValue {
  readonly value: unknown
  /** Undefined for nothing to look up. */
  readonly key: Key | undefined
}

export class LookupBarrier extends CollectingBarrier {
  readonly #operator: LookupOperator<unknown, unknown>
  readonly #step: Step
  readonly #cache: LookupCache
  /** What the items of the open batch have met, by the texts of their keys. */
  readonly #found = new Map<string, Answer>()

  constructor(
    batch: Batch,
    info: TaskInfo,
    next: Next<unknown>,
    { operator, step }: { operator: LookupOperator<unknown, unknown>; step: Step },
  ) {
    super(batch, info, next)
    this.#operator = operator
    this.#step = step
    this.#cache = new LookupCache(operator)
  }

  /** The key is read in the loop that brings the value. */
  override take(value: unknown, owner: number): void {
    this.#step.enter()
    const key = this.#operator.key(value, this.#step.ctx)
    // Once taken, the item is not in hand any more.
    if (syncWatch.raised !== undefined) throw swallowedSignal(this.batch, owner, this.info, syncWatch)
    super.take({ value, key: this.#keyOf(key, owner) }, owner)
  }

  override async run(closing: boolean): Promise<void> {
    if (!closing) return
    const { values, items } = this.takeAll((owner) => this.batch.goingOn(owner))
    await this.#find(values as readonly KeyedValue[])
    if (this.info.abandoned.aborted) return
    const handOn: Next<unknown> = (value, owner) => this.#handOn(value as KeyedValue, owner)
    await drive(this.batch, this.info, new EntryFeed(values, items, handOn))
  }

  override committed(): void {
    if (this.batch.left === 0) this.#found.clear()
  }

  /** Learns what is not known of the keys. */
  async #find(entries: readonly KeyedValue[]): Promise<void> {
    const now = this.info.clock.now()
    const missing = new Map<string, Key>()
    for (const { key } of entries) {
      const text = String(key)
      if (key === undefined || this.#found.has(text)) continue
      const known = this.#cache.use(text, now)
      if (known === undefined) missing.set(text, key)
      else this.#found.set(text, known)
    }
    const keys = [...missing.values()]
    for (let from = 0; from < keys.length; from += maxKeysAsked) await this.#ask(keys.slice(from, from + maxKeysAsked))
  }

  /** Where the database refuses some of the keys, they are found by halving. */
  async #ask(keys: readonly Key[]): Promise<void> {
    const { info } = this
    const askedAt = info.clock.now()
    const keep = (text: string, answer: Answer) => {
      this.#found.set(text, answer)
      this.#cache.keep(text, answer, askedAt)
    }
    const place = { stream: info.stream, step: this.#step.name }
    try {
      const rows = this.#byKey(await lookUpFor(place, () => info.lookUp(this.#operator.query, keys)))
      for (const key of keys) keep(String(key), { row: rows.get(String(key)) })
    } catch (error) {
      if (!(error instanceof KeysRefused)) throw error
      if (keys.length === 1) return keep(String(keys[0]), { refused: error })
      const middle = keys.length >> 1
      await this.#ask(keys.slice(0, middle))
      await this.#ask(keys.slice(middle))
    }
  }

  /** Of several rows of a key the first one counts. */
  #byKey(rows: readonly object[]): ReadonlyMap<string, object> {
    const { by } = this.#operator.query
    const byKey = new Map<string, object>()
    for (const row of rows) {
      const key = (row as Readonly<Record<string, unknown>>)[by]
      // Many items share a row.
      if (key !== null && !byKey.has(String(key))) byKey.set(String(key), Object.freeze(row))
    }
    return byKey
  }

  #handOn({ value, key }: KeyedValue, owner: number): void {
    this.#step.enter()
    const answer = key === undefined ? { row: undefined } : (this.#found.get(String(key)) as Answer)
    if ('refused' in answer) throw this.#refused(key, owner, answer.refused)
    this.next(this.#operator.combine(value, answer.row, this.#step.ctx), owner)
  }

  #keyOf(key: LookupKey, owner: number): Key | undefined {
    if (key === null || key === undefined) return undefined
    if (['string', 'number', 'bigint', 'boolean'].includes(typeof key)) return key
    throw new ItemError('MR-LOOKUP-KEY', {
      what: `a value is looked up by a text, a number, a bigint or a boolean, but its key is ${shown(key)}`,
      fix: 'Look it up by something else; null and undefined stand for nothing to look up.',
      place: placeOf(this.info, this.batch, owner, this.#step.name),
    })
  }

  #refused(key: unknown, owner: number, refused: KeysRefused): ItemError {
    return new ItemError('MR-LOOKUP-KEY', {
      what: `the database cannot look up the key ${shown(key)}`,
      why: messageOf(refused.cause),
      fix: 'The key is no value of the type that the query compares it with.',
      place: placeOf(this.info, this.batch, owner, this.#step.name),
      cause: refused,
    })
  }
}
