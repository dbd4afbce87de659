/**
 * What the codecs made by `avro()` read, for tests that make up values. Kept beside the codecs, because a codec is two
 * functions and a name to everybody else.
 */
import type { Codec } from '../../core/codec.ts'
import type { AvroType } from './avsc.ts'
import type { Longs } from './parseSchema.ts'

export interface Described {
  readonly type: AvroType
  readonly longs: Longs
}

const known = new WeakMap<Codec<unknown>, Described>()

export function describeCodec<T>(codec: Codec<T>, described: Described): Codec<T> {
  known.set(codec, described)
  return codec
}

/** undefined for a codec that `avro()` did not make. */
export function descriptionOf(codec: Codec<unknown>): Described | undefined {
  return known.get(codec)
}
