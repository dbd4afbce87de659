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
