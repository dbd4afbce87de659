/**
 * Aggregators: what windows and `aggregate()` make of values, one by one.
 *
 * An accumulator is state: it is kept in Postgres as JSON, so it is made of plain values. `add` may change it in place or answer
 * with another one. What never changes one in place can be taken back at once when an item is undone; else its batch is run again.
 */
import { PlanError } from '../../src/core/errors.ts'

/** Makes one figure of many values. */
export interface Aggregator<in V, A, out R> {
  /** What the accumulator is made of: a plan in which it differs is refused as long as state of the old one is there. */
  readonly kind: string
  /** Whether `add` never changes an accumulator in place. */
  readonly isPure?: boolean
  init(): A
  /** @param time the value's event time, in milliseconds */
  add(accumulator: A, value: V, time: number): A
  /** Makes one accumulator of two: of sessions that a value has joined. The first one is that of the earlier session. */
  merge?(earlier: A, later: A): A
  result(accumulator: A): R
}

/** Aggregators by the names of their results. */
export type Aggregates<V> = Readonly<Record<string, AnyAggregator<V>>>

// biome-ignore lint/suspicious/noExplicitAny: what is accumulated is nobody's business but the aggregator's
export type AnyAggregator<V> = Aggregator<V, any, unknown>

/** What aggregates give, by name. */
export type ResultsOf<Spec> = {
  // biome-ignore lint/suspicious/noExplicitAny: as above
  readonly [Name in keyof Spec]: Spec[Name] extends Aggregator<any, any, infer R> ? R : never
}

/**
 * How many values there were.
 *
 * @example
 * flights.keyBy((flight) => flight.origin, { sameKey: true }).aggregate({ flights: count() })
 */
export function count(): Aggregator<unknown, number, number> {
  return { kind: 'count', isPure: true, init: () => 0, add: (n) => n + 1, merge: (a, b) => a + b, result: (n) => n }
}

/** The sum of a number of each value. 0 for none. */
export function sum<V>(of: (value: V) => number): Aggregator<V, number, number> {
  return {
    kind: 'sum',
    isPure: true,
    init: () => 0,
    add: (total, value) => total + of(value),
    merge: (a, b) => a + b,
    result: (n) => n,
  }
}

/** The mean of a number of each value. */
export function mean<V>(of: (value: V) => number): Aggregator<V, [count: number, sum: number], number> {
  return {
    kind: 'mean',
    isPure: true,
    init: () => [0, 0],
    add: ([n, total], value) => [n + 1, total + of(value)],
    merge: ([n, total], [m, other]) => [n + m, total + other],
    result: ([n, total]) => total / n,
  }
}

/** What can be compared with `<`. */
export type Comparable = number | string | bigint | Date

/** The smallest one. Null for none. */
export function min<V, T extends Comparable>(of: (value: V) => T): Aggregator<V, T | null, T | null> {
  return extreme('min', of, (one, other) => one < other)
}

/** The largest one. Null for none. */
export function max<V, T extends Comparable>(of: (value: V) => T): Aggregator<V, T | null, T | null> {
  return extreme('max', of, (one, other) => one > other)
}

function extreme<V, T extends Comparable>(
  kind: string,
  of: (value: V) => T,
  isBetter: (one: T, other: T) => boolean,
): Aggregator<V, T | null, T | null> {
  const better = (known: T | null, other: T | null) =>
    known === null || (other !== null && isBetter(other, known)) ? other : known
  return {
    kind,
    isPure: true,
    init: () => null,
    add: (known, value) => better(known, of(value)),
    merge: better,
    result: (n) => n,
  }
}

/** All of them in the order in which they came, up to a number: the first ones. Default: 10,000. */
export function collect<V, T = V>(
  of: (value: V) => T = (value) => value as unknown as T,
  options: { readonly max?: number } = {},
): Aggregator<V, T[], readonly T[]> {
  const { max: most = 10_000 } = options
  return {
    kind: `collect ${most}`,
    init: () => [],
    add(all, value) {
      if (all.length < most) all.push(of(value))
      return all
    },
    merge: (earlier, later) => [...earlier, ...later].slice(0, most),
    result: (all) => [...all],
  }
}

/** How many different ones there were. Each is kept, as long as the window is. */
export function distinctCount<V>(
  of: (value: V) => string | number | boolean | bigint,
): Aggregator<V, Set<string | number | boolean | bigint>, number> {
  return {
    kind: 'distinctCount',
    init: () => new Set(),
    add: (seen, value) => seen.add(of(value)),
    merge: (a, b) => new Set([...a, ...b]),
    result: (seen) => seen.size,
  }
}

/**
 * The number below which a share of them lies, exactly, by linear interpolation between the nearest two: 0.5 is the median.
 * Each is kept, as long as the window is. Null for none.
 *
 * As PostgreSQL's percentile_cont.
 */
export function percentile<V>(share: number, of: (value: V) => number): Aggregator<V, number[], number | null> {
  if (!(share >= 0 && share <= 1)) {
    throw new PlanError('MR-PLAN-OPTION', { what: `percentile() takes a share from 0 to 1, but was given ${share}` })
  }
  return {
    kind: 'percentile',
    init: () => [],
    add(all, value) {
      all.push(of(value))
      return all
    },
    merge: (a, b) => [...a, ...b],
    result(all) {
      if (all.length === 0) return null
      const sorted = all.toSorted((a, b) => a - b)
      const place = share * (sorted.length - 1)
      const [low, high] = [sorted[Math.floor(place)] as number, sorted[Math.ceil(place)] as number]
      return low + (high - low) * (place - Math.floor(place))
    },
  }
}

/** The ones with the largest numbers, the largest first; of equal ones those that came first. */
export function topK<V, T = V>(
  k: number,
  by: (value: V) => number,
  of: (value: V) => T = (value) => value as unknown as T,
): Aggregator<V, [by: number, value: T][], readonly T[]> {
  if (!(Number.isInteger(k) && k > 0)) {
    throw new PlanError('MR-PLAN-OPTION', { what: `topK() takes a whole number of at least 1, but was given ${k}` })
  }
  const best = (all: [number, T][]) => all.sort(([a], [b]) => b - a).slice(0, k)
  return {
    kind: `topK ${k}`,
    isPure: true,
    init: () => [],
    add: (all, value) => best([...all, [by(value), of(value)]]),
    merge: (a, b) => best([...a, ...b]),
    result: (all) => all.map(([, value]) => value),
  }
}

/** The one of the earliest event time; of equal ones that which came first. Undefined for none. */
export function first<V, T = V>(
  of: (value: V) => T = (value) => value as unknown as T,
): Aggregator<V, Timed<T>, T | undefined> {
  return timed('first', of, (time, known) => time < known)
}

/** The one of the latest event time; of equal ones that which came last. Undefined for none. */
export function last<V, T = V>(
  of: (value: V) => T = (value) => value as unknown as T,
): Aggregator<V, Timed<T>, T | undefined> {
  return timed('last', of, (time, known) => time >= known)
}

type Timed<T> = [time: number, value: T] | null

function timed<V, T>(
  kind: string,
  of: (value: V) => T,
  isBetter: (time: number, known: number) => boolean,
): Aggregator<V, Timed<T>, T | undefined> {
  const better = (known: Timed<T>, other: Timed<T>) =>
    known === null || (other !== null && isBetter(other[0], known[0])) ? other : known
  return {
    kind,
    isPure: true,
    init: () => null,
    add: (known, value, time) => better(known, [time, of(value)]),
    merge: better,
    result: (known) => known?.[1],
  }
}

/** Aggregates of one window or key: their accumulators in an array, in the order of their names in the plan. */
export class Accumulation<V> {
  /** What is kept, for comparing plans. */
  readonly shape: string
  readonly #names: readonly string[]
  readonly #aggregators: readonly AnyAggregator<V>[]
  /** Whether none of the aggregators changes an accumulator in place. */
  readonly isPure: boolean

  /** @throws PlanError MR-PLAN-OPTION for what is no aggregator */
  constructor(owner: string, spec: Aggregates<V>, reserved: readonly string[]) {
    this.#names = Object.keys(spec)
    this.#aggregators = Object.values(spec)
    for (const name of this.#names) {
      const aggregator: Partial<AnyAggregator<V>> | undefined = spec[name]
      if (reserved.includes(name) || typeof aggregator?.add !== 'function' || typeof aggregator.init !== 'function') {
        throw new PlanError('MR-PLAN-OPTION', {
          what: reserved.includes(name)
            ? `${owner}: "${name}" is what each result has anyway`
            : `${owner}: "${name}" must be an aggregator`,
          fix: 'Write it as { flights: count(), delay: mean((flight) => flight.delay) }.',
        })
      }
    }
    this.isPure = this.#aggregators.every(({ isPure }) => isPure === true)
    this.shape = this.#names.map((name) => `${name}: ${spec[name]?.kind}`).join(', ')
  }

  get canMerge(): boolean {
    return this.#aggregators.every(({ merge }) => merge !== undefined)
  }

  init(): unknown[] {
    return this.#aggregators.map((aggregator) => aggregator.init())
  }

  /** Adds a value to accumulators, in place. */
  add(accumulators: unknown[], value: V, time: number): unknown[] {
    const aggregators = this.#aggregators
    for (let index = 0; index < aggregators.length; index++) {
      accumulators[index] = (aggregators[index] as AnyAggregator<V>).add(accumulators[index], value, time)
    }
    return accumulators
  }

  /** What accumulators are, to go back to; undefined where `add` may change one of them in place. */
  copyOf(accumulators: readonly unknown[]): unknown[] | undefined {
    return this.isPure ? accumulators.slice() : undefined
  }

  /** Adds a value to a copy of accumulators, as far as that can be had: else the item in hand joins others. */
  added(accumulators: unknown[], value: V, time: number): unknown[] {
    return this.add(this.copyOf(accumulators) ?? accumulators, value, time)
  }

  merge(earlier: readonly unknown[], later: readonly unknown[]): unknown[] {
    return this.#aggregators.map((aggregator, index) => aggregator.merge?.(earlier[index], later[index]))
  }

  /** Puts the results into an object. */
  results<Target extends object>(accumulators: readonly unknown[], target: Target): Target {
    const results = target as Record<string, unknown>
    for (let index = 0; index < this.#names.length; index++) {
      results[this.#names[index] as string] = (this.#aggregators[index] as AnyAggregator<V>).result(accumulators[index])
    }
    return target
  }
}
