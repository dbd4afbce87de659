/** About how many bytes of memory a value takes: enough to keep an eye on it, and quick. */
export function sizeOf(value: unknown, depth = 3): number {
  switch (typeof value) {
    case 'string':
      return 16 + value.length
    case 'object':
      return value === null ? 0 : sizeOfObject(value, depth)
    case 'bigint':
      return 16
    default:
      return 8
  }
}

/** Elements and properties that are looked at; the others count as they do on average. */
const looksAt = 16

function sizeOfObject(value: object, depth: number): number {
  if (ArrayBuffer.isView(value)) return value.byteLength
  if (depth === 0) return 64
  const parts = Array.isArray(value) ? value : Object.keys(value)
  const looked = Math.min(parts.length, looksAt)
  let bytes = 0
  for (let index = 0; index < looked; index++) bytes += 8 + sizeOf(partOf(value, parts, index), depth - 1)
  return 16 + (looked === parts.length ? bytes : Math.ceil((bytes * parts.length) / looked))
}

/** A getter may throw: that is for whoever asks for the value. */
function partOf(value: object, parts: readonly unknown[], index: number): unknown {
  if (Array.isArray(value)) return parts[index]
  try {
    return (value as Readonly<Record<string, unknown>>)[parts[index] as string]
  } catch {
    return undefined
  }
}
