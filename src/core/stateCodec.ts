/**
 * State as text: JSON, with tags for what JSON has no words for, so that it can be looked at with SQL.
 *
 * Version 1. A `Date` is `{"$date":"…"}`, a bigint `{"$bigint":"…"}`, a number that JSON lacks `{"$number":"NaN"}`, bytes `{"$bytes":"…"}`
 * in base64, a `Map` `{"$map":[[key,value],…]}`, a `Set` `{"$set":[…]}`; an object with one property that begins with `$` is `{"$object":{…}}`.
 * Properties that are undefined are left out, as JSON does it.
 */
import { PlanError } from './errors.ts'
import { shown } from './options.ts'

/** Goes up when text of before could be read wrongly. */
export const stateEncoding = 1

/** Deeper values are taken for ones that hold themselves. */
const maxDepth = 100

/** @throws PlanError MR-STATE-VALUE for a function, a symbol, an object of a class, or a value that holds itself */
export function encodeState(value: unknown): string {
  if (isPlainNumber(value)) return String(value)
  // As windows keep their sums: there are many of them.
  if (Array.isArray(value) && value.every(isPlainNumber)) return `[${value.join(',')}]`
  return JSON.stringify(tagged(value, 0))
}

/** Whether JSON can say a number. */
function isPlainNumber(value: unknown): value is number {
  return typeof value === 'number' && Number.isFinite(value) && !Object.is(value, -0)
}

export function decodeState(text: string): unknown {
  const value: unknown = JSON.parse(text)
  return typeof value === 'object' && value !== null && text.includes('"$') ? untagged(value) : value
}

/** The value itself where JSON can say it, so that what needs no tags is not copied. */
function tagged(value: unknown, depth: number): unknown {
  switch (typeof value) {
    case 'string':
    case 'boolean':
      return value
    case 'number':
      if (isPlainNumber(value)) return value
      return { $number: Object.is(value, -0) ? '-0' : String(value) }
    case 'bigint':
      return { $bigint: String(value) }
    case 'undefined':
      return { $undefined: true }
    case 'object':
      if (depth > maxDepth) throw noState(value, 'it is nested too deep, or holds itself')
      return value === null ? null : taggedObject(value, depth + 1)
    default:
      throw noState(value, `a ${typeof value} cannot be kept`)
  }
}

function taggedObject(value: object, depth: number): unknown {
  if (Array.isArray(value)) return withTagged(value, depth)
  if (value instanceof Date) return { $date: Number.isNaN(value.getTime()) ? 'Invalid Date' : value.toISOString() }
  if (value instanceof Uint8Array) return { $bytes: Buffer.from(value).toString('base64') }
  if (value instanceof Map) return { $map: [...value].map(([key, held]) => [tagged(key, depth), tagged(held, depth)]) }
  if (value instanceof Set) return { $set: [...value].map((held) => tagged(held, depth)) }
  const prototype: unknown = Object.getPrototypeOf(value)
  if (prototype !== Object.prototype && prototype !== null) {
    throw noState(value, 'it is an object of a class, whose methods would be lost')
  }
  const entries = Object.entries(value).filter(([, held]) => held !== undefined)
  const parts = entries.map(([name, held]) => [name, tagged(held, depth)] as const)
  if (parts.length === 1 && parts[0]?.[0].startsWith('$')) return { $object: Object.fromEntries(parts) }
  return parts.every(([, held], index) => held === entries[index]?.[1]) ? value : Object.fromEntries(parts)
}

function withTagged(values: readonly unknown[], depth: number): readonly unknown[] {
  const parts = values.map((value) => tagged(value, depth))
  return parts.every((part, index) => part === values[index]) ? values : parts
}

function untagged(value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return value
  if (Array.isArray(value)) return value.map(untagged)
  const entries = Object.entries(value)
  const [only] = entries
  if (entries.length === 1 && only !== undefined) {
    const [tag, held] = only
    if (Object.hasOwn(readers, tag)) return readers[tag]?.(held)
  }
  return Object.fromEntries(entries.map(([name, held]) => [name, untagged(held)]))
}

const readers: Readonly<Record<string, ((held: unknown) => unknown) | undefined>> = {
  $date: (held) => new Date(String(held)),
  $bigint: (held) => BigInt(String(held)),
  $number: (held) => Number(held),
  $undefined: () => undefined,
  $bytes: (held) => Buffer.from(String(held), 'base64'),
  $map: (held) => new Map((held as [unknown, unknown][]).map(([key, value]) => [untagged(key), untagged(value)])),
  $set: (held) => new Set((held as unknown[]).map(untagged)),
  $object: (held) => Object.fromEntries(Object.entries(held as object).map(([name, value]) => [name, untagged(value)])),
}

function noState(value: unknown, why: string): PlanError {
  return new PlanError('MR-STATE-VALUE', {
    what: `state cannot hold ${shown(value)}: ${why}`,
    fix: 'Keep plain objects, arrays, texts, numbers, bigints, booleans, Date, Map, Set and bytes.',
  })
}
