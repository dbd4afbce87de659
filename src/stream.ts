/**
 * The builder. A {@link Stream} is an immutable value: every method answers with a new one and changes nothing, so a
 * prefix may be shared by many streams. What is in the list that is started runs; a common prefix runs once.
 */
import type { OperatorFunction } from 'rxjs'
import type { BatchOptions } from '../operators/batch.ts'
import {
  batch,
  type EventTimeOptions,
  eventTimeOf,
  eventTimeRules,
  filter,
  flatMap,
  type LookupOptions,
  lookup,
  type MapAsyncOptions,
  map,
  mapAsync,
  type Pipe,
  type PipeClass,
  type ProcessOptions,
  process,
  type Results,
  tap,
} from '../operators/index.ts'
import { boundedSourceOf, type FromOptions, type Query } from './bounded/index.ts'
import type { AsyncItemContext, ItemContext } from './core/context.ts'
import { byStream, describePlan, planToMermaid } from './core/describe.ts'
import { type ErrorPolicy, type ErrorPolicyOptions, errorPolicyOf } from './core/errorPolicy.ts'
import { PlanError } from './core/errors.ts'
import type { Key } from './core/key.ts'
import type { EventTime, KeyedOperator } from './core/keyed.ts'
import type { LookupKey, LookupQuery } from './core/lookup.ts'
import type { Operator } from './core/operator.ts'
import { isCharacters, type OptionRules, shown, validateOptions } from './core/options.ts'
import { type PlanLeaf, type PlanNode, sourceNodesOf, stepsOf } from './core/plan.ts'
import type { Sink } from './core/sink.ts'
import type { BoundedSource, TopicSource } from './core/source.ts'
import { KeyedStream } from './keyedStream.ts'
import type { CompactedTopic } from './topic.ts'

declare const sentence: unique symbol

/** What a wrong call needs and nothing has: its sentence is the compiler's error. */
export interface StreamTypeError<Sentence extends string> {
  readonly [sentence]: Sentence
}

/** What `map` of a function that returns a promise is: nothing that goes on. `any` and `never` are no promises. */
type MapOfPromise<N> = 0 extends 1 & N
  ? Stream<N>
  : [N] extends [never]
    ? Stream<N>
    : StreamTypeError<'map() takes a synchronous function; use mapAsync() for one that returns a promise'>

/** Either side of a branch: what a guard leaves over is known too. */
type Rest<T, Yes> = Exclude<T, Yes>

/** `window` of a stream without keys. */
type Keyless = StreamTypeError<'window() needs keys: write keyBy(…).window(…)'>

export interface KeyByOptions {
  /** Records are keyed by the same in their topic. */
  readonly sameKey: true
}

const keyByRules: OptionRules = { sameKey: { type: 'boolean' } }

/** A stream without a source: a function of one, with a name. Made by `segment()`, used by `via()`. */
export interface Segment<in In, out Out> {
  readonly kind: 'segment'
  readonly name: string
  readonly build: (stream: Stream<In>) => Stream<Out>
}

interface StreamParts {
  readonly name: string
  readonly node: PlanNode
  /** Put before the names of new steps while a segment is built. */
  readonly prefix: string
  readonly policy?: ErrorPolicy
}

const streamBrand = Symbol.for('millrace.stream')

/** Streams that write somewhere and the steps of all plans, so that a stream which is in no plan can be named in a warning. */
const writing = new Set<WeakRef<Stream<unknown>>>()
const planned = new WeakSet<PlanNode>()

/** A typed sequence of values, each of which belongs to the item it came from. Made by `stream(name).from(topic)`. */
export class Stream<out Out> {
  protected readonly parts: StreamParts

  /** Use `stream()`. */
  constructor(parts: StreamParts) {
    this.parts = Object.freeze({ ...parts })
    Object.defineProperty(this, streamBrand, { value: true })
  }

  /** The stream's name: what progress, outcomes and errors are kept under. */
  get name(): string {
    return this.parts.name
  }

  /** The step that the stream ends with. */
  get node(): PlanNode {
    return this.parts.node
  }

  /** What was said about items that fail; undefined for what is usual. */
  get policy(): ErrorPolicy | undefined {
    return this.parts.policy
  }

  /**
   * One value for each value.
   *
   * @example
   * flights.map((flight) => ({ ...flight, late: flight.delay > 15 }))
   *
   * *Emits* one value for each, in order. *On a throw* the item is undone and collected.
   * A function that returns a promise does not compile: use {@link mapAsync}.
   */
  map<N extends PromiseLike<unknown>>(change: (value: Out, ctx: ItemContext) => N): MapOfPromise<N>
  map<N>(change: (value: Out, ctx: ItemContext) => N): Stream<N>
  map<N>(change: (value: Out, ctx: ItemContext) => N): Stream<N> {
    return this.via(map(change))
  }

  /**
   * Passes on the values for which the predicate holds; a type guard narrows.
   *
   * @example
   * flights.filter((flight) => flight.distance > 0)
   *
   * *Emits* a value or none, in order. An item of which nothing is left counts as `filtered`.
   */
  filter<N extends Out>(keep: (value: Out, ctx: ItemContext) => value is N): Stream<N>
  filter(keep: (value: Out, ctx: ItemContext) => boolean): Stream<Out>
  filter(keep: (value: Out, ctx: ItemContext) => boolean): Stream<Out> {
    return this.via(filter(keep))
  }

  /**
   * Any number of values for each value.
   *
   * @example
   * orders.flatMap((order) => order.lines)
   *
   * *Emits* what the iterable gives, in order; `signal.continue()` on one of them leaves the others alone.
   */
  flatMap<N>(expand: (value: Out, ctx: ItemContext) => Iterable<N>): Stream<N> {
    return this.via(flatMap(expand))
  }

  /**
   * Looks at each value and passes it on as it is.
   *
   * @example
   * flights.tap((flight, ctx) => ctx.log.debug({ flight }, 'seen'))
   */
  tap(look: (value: Out, ctx: ItemContext) => void): Stream<Out> {
    return this.via(tap(look))
  }

  /**
   * One value for each value, by an asynchronous callback.
   *
   * @example
   * flights.mapAsync(async (flight, ctx) => ({ ...flight, weather: await weatherAt(flight, ctx.abortSignal) }), { concurrency: 4 })
   *
   * *Emits* in offset order, whatever order the calls end in. *On a rejection or timeout* the item is undone and collected.
   * *Delivery*: a call is made at least once for each item; in one process it is not made again when the batch is
   * replayed with an equal value. After a crash it is: pass `ctx.idempotencyKey` on.
   *
   * @param options `concurrency` calls in flight in a task (16) · `order`: `'key'` keeps one call in flight for each record
   *   key, started in offset order; `'none'` does not ('key') · `timeoutMs` after which a call has failed (30,000)
   */
  mapAsync<N>(
    change: (value: Out, ctx: AsyncItemContext) => Promise<N> | N,
    options?: MapAsyncOptions,
  ): Stream<Awaited<N>> {
    return this.via(mapAsync<Out, N>(change, options)) as Stream<Awaited<N>>
  }

  /**
   * Collects values into groups.
   *
   * @example
   * flights.batch({ max: 25, maxWaitMs: 500, by: (flight) => flight.origin })
   *
   * *Emits* a group when it is full (`max` values, or `maxBytes` of their records), when it has been open for `maxWaitMs`, or when its batch
   * ends: `ctx.trigger` is `size`, `time` or `flush`. *A signal* on a group acts on all its members; for a throw the guilty
   * member is found by halving, collected, and the group made again without it.
   * *Delivery*: no group outlives the batch (the transaction), so where groups are cut depends on how records arrive.
   */
  batch(options: BatchOptions<Out>): Stream<Out[]> {
    return this.via(batch(options))
  }

  /**
   * The elements of arrays, one by one.
   *
   * @example
   * flights.batch({ max: 25 }).flatten()
   */
  flatten<Element>(
    this: Out extends readonly unknown[]
      ? Stream<readonly Element[]>
      : StreamTypeError<'flatten() needs a stream of arrays; call batch() first, or use flatMap()'>,
  ): Stream<Element> {
    return (this as Stream<readonly Element[]>).via(
      flatMap<readonly Element[], Element>((values) => values),
      'flatten',
    )
  }

  /**
   * Two streams: where the predicate holds, and the rest. It is asked once for each value.
   *
   * @example
   * const [delayed, onTime] = flights.branch((flight) => flight.delay > 60)
   */
  branch<N extends Out>(decide: (value: Out, ctx: ItemContext) => value is N): [Stream<N>, Stream<Rest<Out, N>>]
  branch(decide: (value: Out, ctx: ItemContext) => boolean): [Stream<Out>, Stream<Out>]
  branch(decide: (value: Out, ctx: ItemContext) => boolean): [Stream<Out>, Stream<Out>] {
    const predicate = decide as (value: unknown, ctx: ItemContext) => boolean
    const node = this.#node('branch', { kind: 'branch', predicate })
    const side = (port: 0 | 1) =>
      this.#stream<Out>({ kind: 'port', name: `${node.name}:${port === 0 ? 'yes' : 'no'}`, inputs: [node], port })
    return [side(0), side(1)]
  }

  /**
   * The values of this stream and of others that began at the same source, in offset order.
   *
   * @example
   * const [delayed, onTime] = flights.branch((flight) => flight.delay > 60)
   * delayed.map((flight) => ({ ...flight, late: true })).merge(onTime.map((flight) => ({ ...flight, late: false })))
   */
  merge<Others extends readonly Stream<unknown>[]>(
    ...others: Others
  ): Stream<Out | (Others[number] extends Stream<infer Other> ? Other : never)> {
    const foreign = others.find((other) => sourceOf(other.node) !== sourceOf(this.node))
    if (foreign !== undefined) {
      throw new PlanError('MR-PLAN-MERGE', {
        what: `merge() joins branches of one source, but "${foreign.name}" begins elsewhere`,
        why: 'One stream is one source: streams of two topics have no common order.',
        fix: 'Write both into the same table from two streams of one plan.',
        place: { stream: this.name },
      })
    }
    const name = `${this.parts.prefix}merge`
    return this.#stream({ kind: 'merge', name, inputs: [this.node, ...others.map((other) => other.node)] })
  }

  /**
   * Writes a row for each value, in the item's transaction, and passes the value on.
   *
   * @example
   * flights.to(table('airport_totals', { key: 'origin', onConflict: { flights: 'add' } }), (flight) => ({ origin: flight.origin, flights: 1 }))
   *
   * *Emits* the value as it came. *On ignore, break or a throw*, also in a later step, the row is not written.
   *
   * @param sink where to: `table(…)`
   * @param row makes the row; without it the value is the row
   */
  to<Row extends object>(
    this: Out extends Row
      ? Stream<Out>
      : StreamTypeError<'to(sink) needs a stream of the rows of that sink; pass a function that makes the row: to(sink, (value) => ({ … }))'>,
    sink: Sink<Row>,
  ): Stream<Out>
  to<Row extends object>(sink: Sink<Row>, row: (value: Out, ctx: ItemContext) => NoInfer<Row>): Stream<Out>
  /**
   * Writes a record to a topic for each value, and passes the value on. It commits with the item's rows and is sent then: exactly once for
   * readers that drop repeats, see {@link EmittedSequences}.
   *
   * @example
   * flights.to(topic('delays', json<Flight>(), { key: (flight) => flight.origin }))
   *
   * *Emits* the value as it came. *On ignore, break or a throw*, also in a later step, the record is not sent.
   *
   * @param target where to: `topic(…)`
   * @param make makes the value of the record; without it the value is that
   */
  to<T>(
    this: Out extends T
      ? Stream<Out>
      : StreamTypeError<'to(topic) needs a stream of the values of that topic; pass a function that makes the value: to(topic, (value) => …)'>,
    target: TopicSource<T>,
  ): Stream<Out>
  to<T>(target: TopicSource<T>, make: (value: Out, ctx: ItemContext) => NoInfer<T>): Stream<Out>
  to(target: Sink<never> | TopicSource<unknown>, make?: (value: Out, ctx: ItemContext) => unknown): Stream<Out> {
    const node = this.#node(`to:${target.name}`, writerOf(target, make as Make | undefined))
    const written = this.#stream<Out>(node)
    writing.add(new WeakRef<Stream<unknown>>(written))
    return written
  }

  /**
   * Applies an operator or a segment: your own have the rights of the built-in ones.
   *
   * @example
   * flights.via(defineOperator<Flight, Flight>({ kind: 'even', attach: (next) => (flight, item) => flight.delay % 2 === 0 && next(flight, item) }))
   *
   * @param name the step's name; by default the operator's kind
   */
  via<N>(operator: Operator<Out, N>, name?: string): Stream<N>
  via<N>(segment: Segment<Out, N>): Stream<N>
  via<N>(part: Operator<Out, N> | Segment<Out, N>, name?: string): Stream<N> {
    if ('build' in part) {
      const { prefix } = this.parts
      const inside = new Stream<Out>({ ...this.parts, prefix: `${prefix}${part.name}/` })
      return new Stream<N>({ ...part.build(inside).parts, prefix })
    }
    const operator = part as Operator<unknown, unknown>
    return this.#stream(this.#node(name ?? part.kind, { kind: 'operator', operator }))
  }

  /**
   * Hands the values to RxJS.
   *
   * @example
   * flights.pipe(auditTime(1_000)).to(table('samples'))
   *
   * *Delivery*: from here on values have no item: a failing one is collected without its record, and an item's own
   * undo does not reach what RxJS already holds. Values that come late join the batch that is open then. What RxJS holds at a crash is lost.
   */
  pipe<N>(rx: OperatorFunction<Out, N>): Stream<N> {
    return this.#stream(this.#node('pipe', { kind: 'rx', rx: rx as OperatorFunction<unknown, unknown> }))
  }

  /**
   * Gives the last step a name, for errors, progress and drawings.
   *
   * @example
   * flights.map((flight) => flight.delay).named('delay')
   */
  named(step: string): Stream<Out> {
    if (this.node.kind === 'source') {
      throw new PlanError('MR-PLAN-NAME', {
        what: `named("${step}") would rename the source: its name is kept with the progress`,
        fix: 'Name a later step.',
        place: { stream: this.name },
      })
    }
    const renamed = this.#stream<Out>({ ...this.node, name: `${this.parts.prefix}${step}` })
    if (this.node.kind === 'sink' || this.node.kind === 'emit') {
      planned.add(this.node)
      writing.add(new WeakRef<Stream<unknown>>(renamed))
    }
    return renamed
  }

  /** The stream's steps as text. Connects to nothing. */
  describe(): string {
    return describePlan([this])
  }

  /** The stream as a Mermaid flowchart. Connects to nothing. */
  toMermaid(): string {
    return planToMermaid([this])
  }

  /**
   * Gives the values keys: what comes behind keeps state for each key.
   *
   * @example
   * flights.keyBy((flight) => flight.origin, { sameKey: true }).aggregate({ flights: count() })
   *
   * @param options `sameKey` says that records are keyed by the same already, so that those of a key are in one partition. It is compared for
   *   each record; an item that differs is collected.
   */
  keyBy<K extends Key>(key: (value: Out, ctx: ItemContext) => K, options: KeyByOptions): KeyedStream<K, Out>
  keyBy<K extends Key>(
    key: (value: Out, ctx: ItemContext) => K,
    options: Partial<KeyByOptions> = {},
  ): KeyedStream<K, Out> {
    validateOptions('keyBy()', options, keyByRules)
    if (options.sameKey !== true) {
      throw new PlanError('MR-PLAN-LATER', {
        what: 'keyBy() without { sameKey: true } is not in this release',
        why: 'Records of one key would have to be brought together from several partitions.',
        fix: 'Key the records so when they are produced, and say { sameKey: true }.',
        place: { stream: this.name },
      })
    }
    return new KeyedStream<K, Out>(this, { of: key, isRecordKey: true })
  }

  /** Applies a keyed operator that has a second way out. Use `window()`. */
  viaWindow<N>(operator: KeyedOperator<Out, N>): ResultStream<N, Out> {
    return new ResultStream<N, Out>(this.via(operator).parts)
  }

  /** Applies a keyed operator to two streams. Use `joinWithin()`, `joinTable()`, `joinLatest()`. */
  viaJoin<Other, N>(operator: KeyedOperator<Out, N>, other: Stream<Other>): ResultStream<N, Out | Other> {
    const name = `${this.parts.prefix}${operator.kind}`
    const node: PlanNode = {
      kind: 'operator',
      name,
      operator: operator as Operator<unknown, unknown>,
      inputs: [this.node, other.node],
    }
    return new ResultStream<N, Out | Other>(this.#stream<N>(node).parts)
  }

  /** Windows are made of values with keys. */
  window(this: Keyless, ...args: unknown[]): never
  window(): never {
    throw new PlanError('MR-PLAN-KEY', { what: 'window() needs keys', fix: 'Write keyBy(…).window(…).' })
  }

  /**
   * One value for each value, combined with the row that a query has for its key: one query for a batch.
   *
   * @example
   * const byCode = query<{ code: string; name: string }>('select code, name from airports where code = any($1)', { by: 'code' })
   * const looked = flights.lookup(byCode, (flight) => flight.origin, (flight, airport) => ({ ...flight, airport: airport?.name }), { ttl: { minutes: 5 } })
   *
   * *Emits* one value for each, in order; the row is undefined where there is none, and where the key is null or undefined. Of several rows of
   * a key the first one counts. *On a throw* the item is undone and collected, and so is one whose key the database refuses.
   * *Delivery*: a replay of the batch asks nothing again and finds what was found first. A replay after a crash finds what is there by then.
   *
   * @param query made with `by`: `$1` stands for the keys of a batch, which are compared with the column as texts
   * @param key what to look a value up by
   * @param combine makes the new value
   * @param options `ttl` for which an answer is used again, also that there is no row (1 minute) · `maxKeys` whose answers are kept in each task (10,000)
   */
  lookup<Row extends object, N>(
    query: LookupQuery<Row>,
    key: (value: Out, ctx: ItemContext) => LookupKey,
    combine: (value: Out, row: Readonly<Row> | undefined, ctx: ItemContext) => N,
    options?: LookupOptions,
  ): Stream<N> {
    return this.via(lookup(query, key, combine, options))
  }

  /**
   * Works on all items of a run in three callbacks: `prepare` sees all of them first, `process` each one, `finish` all
   * results. A run is one batch of an endless source, or the whole of a bounded input.
   *
   * @example
   * payments.process({
   *   prepare: (paid) => paid.filter((payment) => payment.amount > 0),
   *   process: (payment, ctx) => ctx.scope.batch.update(total, (sum) => sum + payment.amount),
   *   finish: (sums, ctx) => ctx.log.info({ payments: sums.length }),
   * })
   *
   * *Emits* what `process` answers other than null and undefined, when `finish` is through. An item without a result is `done`.
   * *On a throw* in `process` the item is undone and collected. A signal in `prepare` or `finish` acts on all items of the run; for a throw
   * the guilty item is found by halving, and the run made again without it.
   * *Delivery*: an asynchronous `process` works on one item at a time, in offset order. What goes through `ctx.call` is called once, also when the batch is replayed.
   * What `prepare` sees depends on where batches are cut.
   *
   * @param pipe an object with `process`, and `prepare` and `finish` if wanted, or a class, of which each run gets an object of its own
   * @param options `timeoutMs` after which an asynchronous callback has failed (30,000)
   */
  process<Item = Out, Result = undefined>(
    pipe: Pipe<Out, Item, Result> | PipeClass<Out, Item, Result>,
    options?: ProcessOptions,
  ): Stream<Results<Result>> {
    return this.via(process<Out, Item, Result>(pipe, options))
  }

  /**
   * Runs a segment on the same items first, from its `prepare` to its `finish`, and shares its context scope.
   *
   * @example
   * payments.dependsOn(rates).map((payment, ctx) => ({ ...payment, rate: ctx.scope.context.get(rate) }))
   *
   * *Emits* the values as they came, when the segment is through with all items of the run. *On ignore, continue or a throw* in the segment the
   * item is undone there, and counted and collected under the segment's name; here it goes on. `signal.break` and `signal.error` act on
   * the whole batch. *On an undo* here, what the segment did stays.
   */
  dependsOn(segment: Segment<Out, unknown>): Stream<Out> {
    return this.#tied(segment, 'depends')
  }

  /**
   * Hands the values to a segment when the batch has no more of them: all results of a run, once, with the context scope.
   * Segments are triggered in the order in which they were given; without results none is.
   *
   * @example
   * payments.process(discountSum).triggers(receipts)
   *
   * *Emits* the values as they came. *On ignore, continue or a throw* in the segment the item is undone there, and counted and collected under the
   * segment's name; what it did here stays. *On an undo* here, what it triggered is undone with it.
   */
  triggers(segment: Segment<Out, unknown>): Stream<Out> {
    return this.#tied(segment, 'triggers')
  }

  /**
   * Says what becomes of items that fail, in the whole stream: whether they are tried again, who waits for them, and how
   * many may fail before the stream is halted.
   *
   * @example
   * payments.errorPolicy({ retry: retry.backoff({ attempts: 3, firstMs: 200, factor: 2 }), budget: { inARow: 100 }, park: 'key' })
   *
   * A pause of less than a second is waited for in place; for a longer one the item is put off, with what outside calls have
   * answered for it, and comes back to its own task. Bytes that cannot be decoded and rows that a table refuses are not tried again.
   *
   * @param options `retry`: `retry.backoff(…)` or `retry.soft(…)` (none) · `budget`: `inARow` items collected one after the other (100), `share` of the
   *   last 1,000 (0.5), for each partition; `false` for none · `park`: `'key'` lets later items of a key wait for one that failed · `maxParked` (10,000) ·
   *   `redact` changes what the collector keeps
   */
  errorPolicy(options: ErrorPolicyOptions): Stream<Out> {
    const policy = errorPolicyOf(options)
    if (this.parts.prefix !== '') {
      throw new PlanError('MR-PLAN-POLICY', {
        what: 'errorPolicy() inside of a segment would be that of every stream which uses it',
        fix: 'Say it of the stream: stream(…).from(…).via(…).errorPolicy(…).',
        place: { stream: this.name },
      })
    }
    return new Stream<Out>({ ...this.parts, policy })
  }

  #tied(segment: Segment<Out, unknown>, relation: 'depends' | 'triggers'): Stream<Out> {
    const { prefix } = this.parts
    const entry = this.#node(`${segment.name}/input`, { kind: 'entry', stream: segment.name, relation })
    const inside = new Stream<Out>({ ...this.parts, node: entry, prefix: `${prefix}${segment.name}/` })
    const end = segment.build(inside)
    if (!stepsOf([end]).includes(entry)) throw foreignSegment(this.name, segment.name)
    const name = `${prefix}${relation === 'depends' ? 'dependsOn' : 'triggers'}:${segment.name}`
    const tied = this.#stream<Out>({ kind: 'tie', name, relation, inputs: [this.node, end.node] })
    writing.add(new WeakRef<Stream<unknown>>(tied))
    return tied
  }

  #node<const Parts extends object>(name: string, parts: Parts) {
    return Object.freeze({ ...parts, name: `${this.parts.prefix}${name}`, inputs: [this.node] as const })
  }

  #stream<N>(node: PlanNode): Stream<N> {
    return new Stream<N>({ ...this.parts, node: Object.freeze(node) })
  }
}

/** Results of windows, with a second way out for values that came too late. Made by `aggregate()` and `reduce()` of windows. */
export class ResultStream<out Out, In> extends Stream<Out> {
  /**
   * The values that came too late for all of their windows.
   *
   * @example
   * const hourly = flights.keyBy((flight) => flight.origin, { sameKey: true }).window(tumbling({ hours: 1 })).aggregate({ flights: count() })
   * const late = hourly.late().to(table('late_flights'))
   *
   * Without it they are counted, and their items are `filtered`.
   */
  late(): Stream<In> {
    const node: PlanNode = Object.freeze({ kind: 'port', name: 'late', port: 1, inputs: [this.node] })
    return new Stream<In>({ ...this.parts, node })
  }

  override named(step: string): ResultStream<Out, In> {
    return new ResultStream<Out, In>({ ...this.parts, node: super.named(step).node })
  }
}

type Make = (value: unknown, ctx: ItemContext) => unknown

function writerOf(target: Sink<never> | TopicSource<unknown>, make: Make | undefined) {
  if (target.kind === 'topic') return { kind: 'emit', topic: target, value: make } as const
  return {
    kind: 'sink',
    sink: target,
    row: make as ((value: unknown, ctx: ItemContext) => object) | undefined,
  } as const
}

function foreignSegment(stream: string, segment: string): PlanError {
  return new PlanError('MR-PLAN-SEGMENT', {
    what: `segment "${segment}" answers with a stream that is not made of the one it was given`,
    fix: `Build on what the function is given: segment('${segment}', (values) => values.map(…)).`,
    place: { stream },
  })
}

function sourceOf(node: PlanNode): PlanNode {
  let current = node
  for (;;) {
    const [input] = current.inputs
    if (input === undefined) return current
    current = input
  }
}

/** A stream that has a name and no source yet. */
export interface NamedStream {
  /**
   * Reads a topic. The step is called `from:<topic>`; progress is kept under that name.
   *
   * @example
   * stream('flights').from(topic('flights', json<Flight>()))
   *
   * @param options event time, for all steps that are not told another: `time` of a value (its record's) · `outOfOrderness`: how much older than the newest one a
   *   value may be before time has passed it (none) · `maxAhead`: how far ahead of the clock a time may be (as far as it likes)
   */
  from<T>(source: TopicSource<T> | BoundedSource<T> | Query<T>, options?: EventTimeOptions<NonNullable<T>>): Stream<T>
  /**
   * Reads an array, or anything that can be iterated, to its end: such a plan is run with `run()`. The values are handed over as they are.
   *
   * @example
   * await run(stream('squares').from([1, 2, 3]).to(table<{ n: number }>('squares'), (n) => ({ n: n * n })), { postgres: { url } })
   *
   * Items have a position as records have: the topic is `array` or `iterable`, the offset counts from 0.
   *
   * @param options `name` in place of `array` or `iterable`, for errors and progress · event time, as for topics
   */
  from<T>(values: Iterable<T> | AsyncIterable<T>, options?: FromOptions & EventTimeOptions<NonNullable<T>>): Stream<T>
}

/**
 * Begins a stream. Its name is what progress, outcomes and collected items are kept under: two leaves of one name are
 * one stream, and must begin at the same source.
 *
 * @example
 * const flights = stream('flights').from(topic('flights', json<Flight>()))
 */
export function stream(name: string): NamedStream {
  if (typeof name !== 'string' || name === '') {
    throw new PlanError('MR-PLAN-NAME', { what: 'stream() needs a name that is not empty' })
  }
  if (!isCharacters(name)) {
    throw new PlanError('MR-PLAN-NAME', {
      what: `the name ${shown(name)} of a stream holds the character U+0000 or half of a surrogate pair`,
      why: 'Progress is kept under it, and Postgres would refuse the one and take all of the others for the same.',
    })
  }
  return {
    from<T>(
      input: TopicSource<T> | BoundedSource<T> | Query<T> | Iterable<T> | AsyncIterable<T>,
      options: FromOptions & EventTimeOptions<NonNullable<T>> = {},
    ): Stream<T> {
      const { time, outOfOrderness, maxAhead, ...others } = options
      const source = isTopic(input) ? topicOf(input, others) : boundedSourceOf(input, others)
      const node: PlanNode = Object.freeze({
        ...{ kind: 'source', name: `from:${source.name}`, inputs: [], source },
        time: sourceTimeOf({ time, outOfOrderness, maxAhead }),
      })
      return new Stream<T>({ name, node, prefix: '' })
    },
  }
}

function topicOf<T>(source: TopicSource<T>, options: object): TopicSource<T> {
  validateOptions(`from(topic("${source.name}"))`, options, eventTimeRules)
  return source
}

/** How a source reads event time; undefined where nothing was said. */
function sourceTimeOf<T>(options: EventTimeOptions<T>): EventTime<unknown> | undefined {
  if (Object.values(options).every((option) => option === undefined)) return undefined
  validateOptions('from()', options, eventTimeRules)
  return eventTimeOf('from()', options) as EventTime<unknown>
}

/** Where the tables of a stream are read: one step each, however often it is joined. */
const tables = new WeakMap<CompactedTopic<unknown>, PlanNode>()

/** A compacted topic as an input of a stream of that name. */
export function tableOf<T>(name: string, table: CompactedTopic<T>): Stream<T | null> {
  let node = tables.get(table)
  if (node === undefined) {
    node = Object.freeze({ kind: 'source', name: `from:${table.name}`, inputs: [], source: table, time: undefined })
    tables.set(table, node)
  }
  return new Stream<T | null>({ name, node, prefix: '' })
}

function isTopic<T>(input: object): input is TopicSource<T> {
  return typeof input === 'object' && input !== null && 'kind' in input && input.kind === 'topic'
}

/**
 * A part of a stream that can be used in many: a typed function of a stream, with a name that its steps carry.
 *
 * @example
 * const euros = segment('euros', (paid: Stream<Payment>) => paid.filter((p) => p.currency === 'EUR'))
 * stream('payments').from(topic('payments', json<Payment>())).via(euros)
 */
export function segment<In, Out>(name: string, build: (stream: Stream<In>) => Stream<Out>): Segment<In, Out> {
  return Object.freeze({ kind: 'segment', name, build })
}

/** What can be started: one stream, or a list of them. */
export type Plan = Stream<unknown> | readonly Stream<unknown>[]

/**
 * The streams of a plan as the runtime takes them.
 *
 * @throws PlanError MR-PLAN-EMPTY, MR-PLAN-NOT-A-STREAM, MR-PLAN-SOURCE (one name with two sources)
 */
export function leavesOf(plan: Plan): readonly PlanLeaf[] {
  const streams: readonly unknown[] = Array.isArray(plan) ? plan : [plan]
  if (streams.length === 0)
    throw new PlanError('MR-PLAN-EMPTY', { what: 'the plan is an empty list: nothing would run' })
  const leaves = streams.map((entry, index) => {
    if (!isStream(entry)) {
      throw new PlanError('MR-PLAN-NOT-A-STREAM', {
        what: `entry ${index + 1} of the plan is no stream`,
        fix: "Export streams: export default [stream('flights').from(…).to(…)].",
      })
    }
    for (const node of stepsOf([entry])) planned.add(node)
    return { name: entry.name, node: entry.node, policy: entry.policy }
  })
  for (const [name, own] of byStream(leaves)) requireShared(name, own)
  return leaves
}

/** Leaves of one name are one stream: each begins at a source that another one reads too. */
function requireShared(name: string, leaves: readonly PlanLeaf[]): void {
  const sources = leaves.map((leaf) => sourceNodesOf([leaf]))
  const shared = new Set(sources[0])
  // What one leaf joins, another one may begin at.
  for (let grown = true; grown; ) {
    const before = shared.size
    for (const own of sources) if (own.some((source) => shared.has(source))) for (const one of own) shared.add(one)
    grown = shared.size > before
  }
  if (sources.every((own) => own.some((source) => shared.has(source)))) return
  throw new PlanError('MR-PLAN-SOURCE', {
    what: `two streams are called "${name}" but begin at different sources`,
    why: 'A stream is its name: progress is kept under it, so one name is one source, or several that are joined.',
    fix: 'Share the prefix (const flights = stream(…).from(…)), or give one of them another name.',
  })
}

/** Also true for streams that another copy of this package made. */
function isStream(value: unknown): value is Stream<unknown> {
  return typeof value === 'object' && value !== null && streamBrand in value
}

/** Names of the steps that write and are in no plan made so far: each is probably a value that was dropped. */
export function forgottenSinks(): string[] {
  const forgotten = new Set<string>()
  for (const reference of writing) {
    const written = reference.deref()
    if (written === undefined || planned.has(written.node)) writing.delete(reference)
    else forgotten.add(`${written.name}: ${written.node.name}`)
  }
  return [...forgotten]
}

/** A stream or a plan as text. Connects to nothing. */
export function describe(plan: Plan): string {
  return describePlan(leavesOf(plan))
}

/** A stream or a plan as a Mermaid flowchart. Connects to nothing. */
export function toMermaid(plan: Plan): string {
  return planToMermaid(leavesOf(plan))
}
