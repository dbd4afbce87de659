import type { Codec } from './core/codec.ts'
import { type OptionRules, validateOptions } from './core/options.ts'
import type { TopicSource } from './core/source.ts'

export interface TopicOptions {
  /** What null values do: `skip` drops and counts them, `pass` lets them through as null. Default `skip`. */
  readonly tombstones?: 'skip' | 'pass'
}

const rules: OptionRules = { tombstones: { type: 'choice', of: ['skip', 'pass'] } }

/**
 * Names a topic and how its values are decoded. Connects to nothing.
 *
 * @example
 * const flights = topic('flights', json<Flight>())
 *
 * @param name the topic in Kafka
 * @param codec decodes the values: `json()`, `avro()`, `text()`, `bytes()`
 */
export function topic<T>(name: string, codec: Codec<T>, options: { readonly tombstones: 'pass' }): TopicSource<T | null>
export function topic<T>(name: string, codec: Codec<T>, options?: TopicOptions): TopicSource<T>
export function topic<T>(name: string, codec: Codec<T>, options: TopicOptions = {}): TopicSource<T> {
  validateOptions(`topic("${name}")`, options, rules)
  return Object.freeze({ kind: 'topic', name, codec, tombstones: options.tombstones ?? 'skip' })
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
