/** Values as people read them, and where two lists of them differ. */
import { inspect } from 'node:util'

/** Of a kind of difference at most, so that a failure stays readable. */
const maxShown = 5

/** On one line, all of it, with the properties of objects in order: equal values give equal texts. */
export function textOf(value: unknown): string {
  return inspect(plain(value), {
    sorted: true,
    depth: null,
    breakLength: Number.POSITIVE_INFINITY,
    maxArrayLength: null,
    maxStringLength: null,
  })
}

/** Objects without a prototype, as fast-check makes them, are objects to the reader; of bytes, all count. */
function plain(value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return value
  if (Buffer.isBuffer(value)) return { [inspect.custom]: () => `<Buffer ${value.toString('hex')}>` }
  if (Array.isArray(value)) return value.map(plain)
  const prototype: unknown = Object.getPrototypeOf(value)
  if (prototype !== null && prototype !== Object.prototype) return value
  return Object.fromEntries(Object.entries(value).map(([name, inner]) => [name, plain(inner)]))
}

/** The values that one list has more often than the other; undefined when they hold the same, in any order. */
export function differences(seen: readonly unknown[], expected: readonly unknown[]): string[] | undefined {
  const surplus = new Map<string, number>()
  for (const text of expected.map(textOf)) surplus.set(text, (surplus.get(text) ?? 0) - 1)
  for (const text of seen.map(textOf)) surplus.set(text, (surplus.get(text) ?? 0) + 1)
  const lines = [...listed('missing', surplus, (count) => -count), ...listed('unexpected', surplus, (count) => count)]
  return lines.length === 0 ? undefined : lines
}

function listed(word: string, surplus: ReadonlyMap<string, number>, countOf: (surplus: number) => number): string[] {
  const found = [...surplus].filter(([, count]) => countOf(count) > 0).sort(([a], [b]) => (a < b ? -1 : 1))
  const lines = found.slice(0, maxShown).map(([text, count]) => {
    const times = countOf(count) === 1 ? '' : `  (${countOf(count)} times)`
    return `  ${word}: ${text}${times}`
  })
  return found.length > maxShown ? [...lines, `  ${word}: ${found.length - maxShown} more`] : lines
}

/** The first place where two lists differ; undefined when they are the same. */
export function firstDifference(seen: readonly unknown[], expected: readonly unknown[]): string[] | undefined {
  const given = seen.map(textOf)
  const wanted = expected.map(textOf)
  const at = wanted.findIndex((text, index) => text !== given[index])
  if (at < 0 && given.length === wanted.length) return undefined
  return [`  it is:        ${given.join(', ')}`, `  it has to be: ${wanted.join(', ')}`]
}

/** As `differences`, and where the same values come in another order, that. */
export function orderedDifferences(seen: readonly unknown[], expected: readonly unknown[]): string[] | undefined {
  return differences(seen, expected) ?? firstDifference(seen, expected)
}
