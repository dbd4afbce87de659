import type { Source } from '../core/source.ts'

/**
 * Freezes a value and all that it holds: values are immutable by contract, and a callback that changes one shows at once.
 * What cannot be frozen (bytes) or does not change by assignment (dates, maps, sets) stays as it is.
 */
function deepFreeze<T>(value: T): T {
  if (typeof value !== 'object' || value === null || ArrayBuffer.isView(value) || Object.isFrozen(value)) return value
  Object.freeze(value)
  for (const inner of Object.values(value)) deepFreeze(inner)
  return value
}

/** A source whose values are frozen when they are decoded. */
export function frozen(source: Source<unknown>): Source<unknown> {
  const { codec } = source
  return { ...source, codec: { ...codec, decode: (...range) => deepFreeze(codec.decode(...range)) } }
}
