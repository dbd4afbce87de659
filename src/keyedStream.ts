/** Streams by key: what works on the values of one key, with state that commits with the rows. */
import {
  Accumulation,
  type Aggregates,
  type Aggregator,
  aggregate,
  type Combine,
  type DedupeOptions,
  dedupe,
  type JoinLatestOptions,
  type JoinTableOptions,
  type JoinWithinOptions,
  joinLatest,
  joinTable,
  joinWithin,
  type Latest,
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
import { type ResultStream, type Stream, tableOf } from './stream.ts'
import type { CompactedTopic } from './topic.ts'

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

  /**
   * Joins each value with those of another stream that have its key and are near it in event time.
   *
   * @example
   * const departures = stream('departures').from(topic('departures', json<{ tail: string; origin: string }>()))
   * const landings = stream('landings').from(topic('landings', json<{ tail: string; at: string }>()))
   * const trips = departures
   *   .keyBy((departure) => departure.tail, { sameKey: true })
   *   .joinWithin(
   *     landings.keyBy((landing) => landing.tail, { sameKey: true }),
   *     { before: { minutes: 0 }, after: { hours: 6 }, join: 'left' },
   *     (departure, landing) => ({ ...departure, landed: landing?.at }),
   *   )
   *
   * *Emits* what `combine` makes of each pair when its later value comes, and belongs to that value's item. With `left` and `outer` a value that has met no
   * other is given alone when event time has passed all that it could meet: such a result belongs to no record. *Late* is a value that
   * comes when nothing is kept any more that it could meet: it leaves by `late()`.
   * The stream is one task with both inputs: their topics need as many partitions, and their records are read in the order of their times.
   *
   * @param options `before` and `after`: how much older and newer than the left value the right one may be, both included · `grace`: how long behind that it
   *   may come (not at all) · `join`: `'inner'`, `'left'`, `'outer'` (`'inner'`)
   */
  joinWithin<R, N>(
    other: KeyedStream<K, R>,
    options: JoinWithinOptions & { readonly join?: 'inner' },
    combine: Combine<V, R, N>,
  ): ResultStream<N, V | R>
  joinWithin<R, N>(
    other: KeyedStream<K, R>,
    options: JoinWithinOptions & { readonly join: 'left' },
    combine: Combine<V, R | undefined, N>,
  ): ResultStream<N, V | R>
  joinWithin<R, N>(
    other: KeyedStream<K, R>,
    options: JoinWithinOptions,
    combine: Combine<V | undefined, R | undefined, N>,
  ): ResultStream<N, V | R>
  joinWithin<R, N>(
    other: KeyedStream<K, R>,
    options: JoinWithinOptions,
    combine: Combine<never, never, N>,
  ): ResultStream<N, V | R> {
    const [left, right] = [this.#rule as KeyRule<V>, other.#rule as KeyRule<R>]
    return this.#stream.viaJoin(
      joinWithin(left, right, options, combine as Combine<V | undefined, R | undefined, N>),
      other.#stream,
    )
  }

  /**
   * Joins each value with the row that a compacted topic has for its key.
   *
   * @example
   * const airports = compacted('airports', json<{ name: string }>())
   * const named = flights
   *   .keyBy((flight) => flight.origin, { sameKey: true })
   *   .joinTable(airports, (flight, airport) => ({ ...flight, airport: airport.name }))
   *
   * *Emits* what `combine` makes of the value and the row that is there when the value comes; with `versions`, of the one that was there at its event time.
   * A later row changes nothing that was given. Keys are compared as texts.
   * The stream is one task with both inputs: their topics need as many partitions, and their records are read in the order of their times.
   *
   * @param options `join`: `'inner'` drops values without a row, `'left'` hands them on with undefined (`'inner'`) · `versions`: how long rows are kept once newer ones
   *   have taken their place (not at all)
   */
  joinTable<Row, N>(
    table: CompactedTopic<Row>,
    combine: (value: V, row: Row, ctx: ItemContext) => N,
    options?: JoinTableOptions & { readonly join?: 'inner' },
  ): Stream<N>
  joinTable<Row, N>(
    table: CompactedTopic<Row>,
    combine: (value: V, row: Row | undefined, ctx: ItemContext) => N,
    options: JoinTableOptions,
  ): Stream<N>
  joinTable<Row, N>(
    table: CompactedTopic<Row>,
    combine: (value: V, row: never, ctx: ItemContext) => N,
    options: JoinTableOptions = {},
  ): Stream<N> {
    const made = combine as (value: V, row: Row | undefined, ctx: ItemContext) => N
    const operator = joinTable<V, Row, N>(byText(this.#rule as KeyRule<V>), recordKey, options, made)
    return this.#stream.viaJoin(operator, tableOf(this.#stream.name, table))
  }

  /**
   * Joins what two streams have said last of each key: both are read as tables, where null says that the key is gone.
   *
   * @example
   * const orders = stream('orders').from(topic('orders', json<{ id: string; total: number }>()))
   * const states = stream('states').from(topic('states', json<{ order: string; state: string }>()))
   * const current = orders
   *   .keyBy((order) => order.id, { sameKey: true })
   *   .joinLatest(states.keyBy((state) => state.order, { sameKey: true }), (order, state) => ({ ...order, state: state.state }))
   *   .to(table<{ id: string; total: number | null; state: string | null }>('current_orders', { key: 'id' }), ({ key, value }) => ({
   *     id: key,
   *     total: value?.total ?? null,
   *     state: value?.state ?? null,
   *   }))
   *
   * *Emits* `{ key, value }` whenever a side has changed; `value` is null when the key has no result any more.
   *
   * @param options `join`: which keys have a result: those of both sides, `'left'` all of the left one, `'outer'` all of either (`'inner'`)
   */
  joinLatest<R, N>(
    other: KeyedStream<K, R>,
    combine: Combine<NonNullable<V>, NonNullable<R>, N>,
    options?: JoinLatestOptions & { readonly join?: 'inner' },
  ): Stream<Latest<K, N>>
  joinLatest<R, N>(
    other: KeyedStream<K, R>,
    combine: Combine<NonNullable<V>, NonNullable<R> | undefined, N>,
    options: JoinLatestOptions & { readonly join: 'left' },
  ): Stream<Latest<K, N>>
  joinLatest<R, N>(
    other: KeyedStream<K, R>,
    combine: Combine<NonNullable<V> | undefined, NonNullable<R> | undefined, N>,
    options: JoinLatestOptions,
  ): Stream<Latest<K, N>>
  joinLatest<R, N>(
    other: KeyedStream<K, R>,
    combine: Combine<never, never, N>,
    options: JoinLatestOptions = {},
  ): Stream<Latest<K, N>> {
    const [left, right] = [this.#rule as KeyRule<V>, other.#rule as KeyRule<R>]
    const operator = joinLatest<K, V, R, N>(left, right, options, combine as Combine<V | undefined, R | undefined, N>)
    return this.#stream.viaJoin(operator, other.#stream)
  }
}

/** A table's row has the key of its record. */
const recordKey: KeyRule<unknown> = {
  of: (_, ctx) => ctx.record.key?.toString() ?? '',
  isRecordKey: false,
}

/** Keys of a table are texts, whatever the values of a stream are keyed by. */
function byText<V>(rule: KeyRule<V>): KeyRule<V> {
  return { ...rule, of: (value, ctx) => String(rule.of(value, ctx)) }
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
