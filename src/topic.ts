import type { Codec } from './core/codec.ts'
import type { EmitKey } from './core/emit.ts'
import { type OptionRules, validateOptions } from './core/options.ts'
import type { TopicSource } from './core/source.ts'

export interface TopicOptions<T = never> {
  /** Where it is read: what null values do. `skip` drops and counts them, `pass` lets them through as null. Default `skip`. */
  readonly tombstones?: 'skip' | 'pass'
  /**
   * Where it is written: makes the key of a record from its value. Records of one key go to one partition, the same that Kafka's own
   * clients choose. Default: no key, and records are dealt out to the partitions in turn.
   */
  readonly key?: (value: T) => EmitKey
}

const rules: OptionRules = { tombstones: { type: 'choice', of: ['skip', 'pass'] }, key: { type: 'function' } }

/**
 * Names a topic, and how its values are decoded and encoded. Connects to nothing.
 *
 * @example
 * const flights = topic('flights', json<Flight>())
 * const delays = topic('delays', json<Flight>(), { key: (flight) => flight.origin })
 *
 * @param name the topic in Kafka
 * @param codec of the values: `json()`, `avro()`, `text()`, `bytes()`
 */
export function topic<T>(
  name: string,
  codec: Codec<T>,
  options: TopicOptions<NoInfer<T>> & { readonly tombstones: 'pass' },
): TopicSource<T | null>
export function topic<T>(name: string, codec: Codec<T>, options?: TopicOptions<NoInfer<T>>): TopicSource<T>
export function topic<T>(name: string, codec: Codec<T>, options: TopicOptions<NoInfer<T>> = {}): TopicSource<T> {
  validateOptions(`topic("${name}")`, options, rules)
  const { tombstones = 'skip', key } = options
  return Object.freeze({ kind: 'topic', name, codec, tombstones, key: key as TopicSource<T>['key'] })
}

/** A topic that holds the newest value of each key. Made by `compacted()`. */
export interface CompactedTopic<out T> extends TopicSource<T | null> {
  readonly isCompacted: true
}

/**
 * Names a compacted topic: one that holds, for each key, what was said of it last. A null value says that the key is gone. Connects to nothing.
 *
 * @example
 * const airports = compacted('airports', json<{ code: string; name: string }>())
 * const named = flights
 *   .keyBy((flight) => flight.origin, { sameKey: true })
 *   .joinTable(airports, (flight, airport) => ({ ...flight, airport: airport.name }))
 *
 * @param name the topic in Kafka
 * @param codec decodes the values: `json()`, `avro()`, `text()`, `bytes()`
 */
export function compacted<T>(name: string, codec: Codec<T>): CompactedTopic<T> {
  return Object.freeze({ ...topic(name, codec, { tombstones: 'pass' }), isCompacted: true })
}
