/** Streams by key: what works on the values of one key, with state that commits with the rows. */
import {
  Accumulation,
  type Aggregates,
  type Aggregator,
  aggregate,
  type DedupeOptions,
  dedupe,
  type Results,
  type ResultsOf,
  type State,
  type StatefulOptions,
  stateful,
  type WindowOptions,
  type WindowResult,
  type WindowSpec,
  windowed,
} from '../operators/index.ts'
import type { ItemContext } from './core/context.ts'
import { PlanError } from './core/errors.ts'
import type { Key } from './core/key.ts'
import type { KeyRule } from './core/keyed.ts'
import type { ResultStream, Stream } from './stream.ts'

/** A reducer: one value of two. */
type Reducer<V> = (reduced: V, value: V) => V

/** What `reduce` gives for a key. */
export interface Reduced<K, V> {
  readonly key: K
  readonly value: V
}

/** A stream whose values have keys. Made by `keyBy()`. */
export class KeyedStream<K extends Key, out V> {
  readonly #stream: Stream<V>
  // As of never, so that a stream of something narrower is one of something wider.
  readonly #rule: KeyRule<never>

  /** Use `keyBy()`. */
  constructor(stream: Stream<V>, key: KeyRule<V>) {
    this.#stream = stream
    this.#rule = key
  }

  /**
   * Calls a function with what is kept for the value's key.
   *
   * @example
   * payments
   *   .keyBy((payment) => payment.payer, { sameKey: true })
   *   .stateful({ name: 'balance', initial: () => 0 }, (payment, state) => state.update((sum) => sum + payment.amount))
   *
   * *Emits* what it answers other than null and undefined. *On a throw* the item is undone, and what it did to the state with it.
   * State commits with the rows, and is found again under `name`. It may exceed memory: keys that are not there are read, those of a
   * batch together.
   *
   * @param options `name` · `initial` makes the first value of a key · `ttl`: how long after it was set last a value is kept, in event time (for ever)
   */
  stateful<S, N = undefined>(
    options: StatefulOptions<S>,
    callback: (value: V, state: State<S>, ctx: ItemContext) => N,
  ): Stream<Results<N>> {
    return this.#stream.via(stateful<V, S, N>(this.#rule as KeyRule<V>, options, callback), options.name)
  }

  /**
   * Makes one value of all values of a key so far.
   *
   * @example
   * payments.keyBy((payment) => payment.payer, { sameKey: true }).reduce((most, payment) => (payment.amount > most.amount ? payment : most))
   *
   * *Emits* `{ key, value }` for each value. The first value of a key is itself.
   */
  reduce(reducer: Reducer<V>): Stream<Reduced<K, V>> {
    return this.aggregate({ value: reducing(reducer) }).named('reduce')
  }

  /**
   * Passes on the first of equal values, and drops those that come within a time.
   *
   * @example
   * payments.keyBy((payment) => payment.payer, { sameKey: true }).dedupe({ by: (payment) => payment.id, within: { hours: 24 } })
   *
   * *Emits* a value or none. One that was dropped counts as `filtered`.
   *
   * @param options `within` · `by` tells values of a key apart (all are the same) · `time`, `outOfOrderness` and `maxAhead` as for windows
   */
  dedupe(options: DedupeOptions<V>): Stream<V> {
    return this.#stream.via(dedupe(this.#rule as KeyRule<V>, options))
  }

  /**
   * Figures of all values of a key so far.
   *
   * @example
   * flights.keyBy((flight) => flight.origin, { sameKey: true }).aggregate({ flights: count(), delay: mean((flight) => flight.delay) })
   *
   * *Emits* `{ key, … }` for each value.
   */
  aggregate<const Spec extends Aggregates<V>>(spec: Spec): Stream<{ readonly key: K } & ResultsOf<Spec>> {
    const accumulation = new Accumulation('aggregate()', spec, ['key'])
    return this.#stream.via(aggregate(this.#rule as KeyRule<V>, accumulation, spec)) as Stream<
      { readonly key: K } & ResultsOf<Spec>
    >
  }

  /**
   * Puts the values of each key into windows of event time.
   *
   * @example
   * flights
   *   .keyBy((flight) => flight.origin, { sameKey: true })
   *   .window(tumbling({ hours: 1 }), { time: (flight) => flight.at, grace: { minutes: 10 } })
   *   .aggregate({ flights: count(), delay: mean((flight) => flight.delay) })
   *
   * @param spec `tumbling()`, `hopping()`, `sliding()`, `session()`, `calendarWindow()`, `countWindow()`, `globalWindow()`
   * @param options `time` of a value (its record's) · `grace`: how long a window stays open behind its end (not at all) · `emit`: `'close'` gives
   *   each window once, `'update'` whenever a value has come, `{ every }` at each multiple of a time at which it has changed · `outOfOrderness`: how much older than the newest one a
   *   value may be before time has passed it (none) · `maxAhead`: how far ahead of the clock a time may be (as far as it likes)
   */
  window(spec: WindowSpec, options: WindowOptions<V> = {}): WindowedStream<K, V> {
    return new WindowedStream<K, V>(this.#stream, this.#rule as KeyRule<V>, spec, options)
  }
}

/** Values in windows, to be made results of. Made by `window()`. */
export class WindowedStream<K extends Key, out V> {
  readonly #stream: Stream<V>
  readonly #rule: KeyRule<never>
  readonly #spec: WindowSpec
  readonly #choice: WindowOptions<never>

  /** Use `window()`. */
  constructor(stream: Stream<V>, key: KeyRule<V>, spec: WindowSpec, options: WindowOptions<V>) {
    this.#stream = stream
    this.#rule = key
    this.#spec = spec
    this.#choice = options
  }

  /**
   * Figures of the values of each window.
   *
   * @example
   * const hourly = flights
   *   .keyBy((flight) => flight.origin, { sameKey: true })
   *   .window(tumbling({ hours: 1 }))
   *   .aggregate({ flights: count() })
   * const saved = hourly.to(table<{ origin: string; from: Date; flights: number }>('hourly'), ({ key, window, flights }) => ({ origin: key, from: window.start, flights }))
   *
   * *Emits* `{ key, window: { start, end }, … }`, the end excluded. What a window gives when it closes belongs to no record: if it is refused, no
   * item is undone. A value that came too late for all of its windows leaves by `late()`, and counts as `filtered` when nobody takes it there.
   */
  aggregate<const Spec extends Aggregates<V>>(spec: Spec): ResultStream<WindowResult<K> & ResultsOf<Spec>, V> {
    const accumulation = new Accumulation('aggregate()', spec, ['key', 'window'])
    if (this.#spec.kind === 'session' && !accumulation.canMerge) throw cannotMerge()
    const operator = windowed(
      this.#rule as KeyRule<V>,
      this.#spec,
      this.#choice as WindowOptions<V>,
      accumulation,
      spec,
    )
    return this.#stream.viaWindow(operator) as ResultStream<WindowResult<K> & ResultsOf<Spec>, V>
  }

  /**
   * Makes one value of the values of each window.
   *
   * @example
   * payments
   *   .keyBy((payment) => payment.payer, { sameKey: true })
   *   .window(session({ minutes: 30 }))
   *   .reduce((most, payment) => (payment.amount > most.amount ? payment : most))
   *
   * *Emits* `{ key, window, value }`. In sessions it also joins what two of them have come to, the earlier one first.
   */
  reduce(reducer: Reducer<V>): ResultStream<WindowResult<K> & Reduced<K, V>, V> {
    return this.aggregate({ value: reducing(reducer) })
  }
}

function reducing<V>(reducer: Reducer<V>): Aggregator<V, { value: V } | null, V> {
  const joined = (one: { value: V } | null, other: { value: V } | null) =>
    one === null || other === null ? (one ?? other) : { value: reducer(one.value, other.value) }
  return {
    kind: 'reduce',
    isPure: true,
    init: () => null,
    add: (known, value) => joined(known, { value }),
    merge: joined,
    result: (known) => (known as { value: V }).value,
  }
}

function cannotMerge(): PlanError {
  return new PlanError('MR-PLAN-OPTION', {
    what: 'aggregate(): an aggregator without "merge" cannot be used in session windows',
    why: 'A value may join two sessions, which are one from then on.',
    fix: 'Give it merge(earlier, later), which makes one accumulator of two.',
  })
}
