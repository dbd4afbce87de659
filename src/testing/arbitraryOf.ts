import type { Arbitrary } from 'fast-check'
import { descriptionOf } from '../codecs/_avro/described.ts'
import { type AvroSchema, type AvroValue, avro } from '../codecs/avro.ts'
import type { Codec } from '../core/codec.ts'
import { SettingsError } from '../core/errors.ts'
import type { TopicSource } from '../core/source.ts'
import { arbitraryOfType } from './_avroArbitrary.ts'
import { type FastCheck, loadFastCheck } from './_fastCheck.ts'

/**
 * A fast-check arbitrary of the values of an Avro schema, as the codec decodes them: for ordinary values, the limits of
 * numbers, NaN, empty and strange texts, times as far away as a Date goes. Types that hold themselves do so a few times.
 *
 * A topic or a codec that `avro()` made gives the values that are read with it (its `longs` too); a schema alone is read as
 * `avro(schema)` does. `check()` needs none of this: `records(topic)` derives the values by itself.
 *
 * @example
 * const flight = await arbitraryOf(FlightSchema)
 * const late = (await arbitraryOf(topic('flights', avro(FlightSchema)))).map((value) => ({ ...value, delay: 60 }))
 * fc.assert(fc.property(flight, (value) => value.origin.length >= 0))
 *
 * @throws SettingsError MR-TEST-ARBITRARY for a codec that avro() did not make, MR-TEST-FAST-CHECK; PlanError MR-PLAN-AVRO-SCHEMA
 */
export async function arbitraryOf<T>(source: TopicSource<T> | Codec<T>): Promise<Arbitrary<T>>
export async function arbitraryOf<const Schema extends AvroSchema>(
  schema: Schema,
): Promise<Arbitrary<AvroValue<Schema>>>
export async function arbitraryOf(
  source: TopicSource<unknown> | Codec<unknown> | AvroSchema,
): Promise<Arbitrary<unknown>> {
  return valuesOf(await loadFastCheck(), isTopic(source) ? source.codec : isCodec(source) ? source : avro(source))
}

/** @throws SettingsError MR-TEST-ARBITRARY */
export function valuesOf(fc: FastCheck, codec: Codec<unknown>): Arbitrary<unknown> {
  const described = descriptionOf(codec)
  if (described !== undefined) return arbitraryOfType(fc, described.type)
  throw new SettingsError('MR-TEST-ARBITRARY', {
    what: `values of the codec ${codec.name} cannot be made up: it has no schema`,
    fix: 'Give a fast-check arbitrary: records(topic, fc.record({ … })).',
  })
}

function isTopic(source: object | string): source is TopicSource<unknown> {
  return typeof source === 'object' && 'codec' in source
}

function isCodec(source: object | string): source is Codec<unknown> {
  return typeof source === 'object' && 'decode' in source
}
