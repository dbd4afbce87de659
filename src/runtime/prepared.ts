/** What `prepare` answers, and which item each of it belongs to. */
import { type Place, PlanError } from '../core/errors.ts'
import type { Entries } from '../core/operator.ts'

/** Which item the values were made of that come from the items' own `map` and `flatMap`. */
class Origins {
  /** By value, where it is an object: it may then be sorted and filtered in any way. */
  readonly #ofObjects = new WeakMap<object, number>()
  /** By array, for other values. */
  readonly #ofArrays = new WeakMap<object, readonly number[]>()

  note(array: readonly unknown[], indexes: readonly number[]): void {
    this.#ofArrays.set(array, indexes)
    for (const [at, value] of array.entries()) {
      if (isObject(value) && !this.#ofObjects.has(value)) this.#ofObjects.set(value, indexes[at] as number)
    }
  }

  ofArray(array: readonly unknown[]): readonly number[] | undefined {
    return this.#ofArrays.get(array)
  }

  ofValue(value: unknown): number | undefined {
    return isObject(value) ? this.#ofObjects.get(value) : undefined
  }
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null
}

/** The items of a run as `prepare` is given them: an array whose own methods remember what each value was made of. */
class GivenItems extends Array<unknown> {
  #origins: Origins = new Origins()

  // What other methods of Array make of it is a plain array.
  static override get [Symbol.species]() {
    return Array
  }

  static holding(values: readonly unknown[], indexes: readonly number[], origins = new Origins()): GivenItems {
    const items = new GivenItems()
    for (const value of values) items.push(value)
    items.#origins = origins
    origins.note(items, indexes)
    return items
  }

  get origins(): Origins {
    return this.#origins
  }

  override filter(keep: (value: unknown, index: number, array: unknown[]) => unknown, self?: unknown): unknown[] {
    const kept = [...this.keys()].filter((index) => keep.call(self, this[index], index, this))
    return this.#made(
      kept.map((index) => this[index]),
      kept,
    )
  }

  override map<U>(change: (value: unknown, index: number, array: unknown[]) => U, self?: unknown): U[] {
    return this.#made(super.map(change, self), [...this.keys()]) as U[]
  }

  override flatMap<U, This = undefined>(
    expand: (this: This, value: unknown, index: number, array: unknown[]) => U | readonly U[],
    self?: This,
  ): U[] {
    const parts = [...this.keys()].map((index) => [expand.call(self as This, this[index], index, this)].flat())
    return this.#made(
      parts.flat(),
      parts.flatMap((part, index) => part.map(() => index)),
    ) as U[]
  }

  #made(values: readonly unknown[], from: readonly number[]): unknown[] {
    const own = this.#origins.ofArray(this) as readonly number[]
    return GivenItems.holding(
      values,
      from.map((index) => own[index] as number),
      this.#origins,
    )
  }
}

/** The values of a run, for `prepare`. */
export function givenItems(values: readonly unknown[]): readonly unknown[] {
  return GivenItems.holding(values, [...values.keys()])
}

export interface PreparedEntries extends Entries<unknown> {
  /** Whether they are all that was given, unchanged: else one may show traces of others, if only by being among those chosen. */
  readonly asGiven: boolean
}

/**
 * Finds out whose the values are that `prepare` answered with, and puts them into offset order.
 *
 * @param given what it was given: made by {@link givenItems}
 * @throws PlanError MR-PROCESS-PREPARE where that cannot be known
 */
export function preparedEntries(
  answer: unknown,
  given: readonly unknown[],
  entries: Entries<unknown>,
  place: Place,
): PreparedEntries {
  if (answer === undefined || answer === null) return { ...entries, asGiven: true }
  if (!Array.isArray(answer)) throw unknownOwners(place, 'prepare() answered with something other than an array')
  const indexes = indexesOf(answer, given, entries.values)
  if (indexes === undefined) {
    const [were, are] = [entries.values.length, answer.length]
    throw unknownOwners(place, `prepare() was given ${were} items and answered with ${are} values, some of them new`)
  }
  const kept = [...indexes.entries()].filter(([at]) => answer[at] !== undefined).sort(([, a], [, b]) => a - b)
  return {
    values: kept.map(([at]) => answer[at] as unknown),
    items: kept.map(([, index]) => entries.items[index] as number),
    asGiven: kept.length === given.length && kept.every(([at, index]) => answer[at] === entries.values[index]),
  }
}

/** For each value of the answer the index of the item that it belongs to; undefined where that cannot be known. */
function indexesOf(
  answer: readonly unknown[],
  given: readonly unknown[],
  values: readonly unknown[],
): readonly number[] | undefined {
  const origins = given instanceof GivenItems ? given.origins : new Origins()
  const known = origins.ofArray(answer)
  // Unless it has been changed since it was made.
  const whole = known?.length === answer.length ? known : undefined
  const places = placesOf(values)
  const indexes = answer.map((value, at) => origins.ofValue(value) ?? whole?.[at] ?? places.take(value))
  if (indexes.every((index) => index !== undefined)) return indexes
  // New values, one for each: what Promise.all makes of items.map(), for one.
  return whole === undefined && answer.length === values.length ? [...values.keys()] : undefined
}

/** Where given values stand. Of equal ones, each is taken once. */
function placesOf(values: readonly unknown[]) {
  const places = new Map<unknown, number[]>()
  for (let index = values.length - 1; index >= 0; index--) {
    const value = values[index]
    const known = places.get(value)
    if (known === undefined) places.set(value, [index])
    else known.push(index)
  }
  return { take: (value: unknown): number | undefined => places.get(value)?.pop() }
}

function unknownOwners(place: Place, what: string): PlanError {
  return new PlanError('MR-PROCESS-PREPARE', {
    what,
    why: 'Each value has to belong to an item, so that it can be undone with it.',
    fix: 'Answer with some of the items, with one value for each in their order (undefined to leave one out), or with what items.filter(), items.map() and items.flatMap() make of them.',
    place,
  })
}
