/**
 * The broken records that the demo puts among the real flights, and what must become of each.
 *
 * Each is made of the flight before it and stands in that flight's partition, so that it has good neighbours on both sides.
 */
import type { Flight } from './schema.ts'

/** `collected`: undone and in the error collector · `ignored`: undone on purpose by the plan · `skipped`: a null value, counted only. */
export type Fate = 'collected' | 'ignored' | 'skipped'

export interface BrokenRecord {
  readonly name: string
  readonly fate: Fate
  /** The code of the error that the collector must hold for it: one of millrace's own, or an SQLSTATE. */
  readonly code: string | undefined
  /** The key of its record: an airport's code. */
  readonly key: string
  readonly value: Buffer | null
}

interface Recipe {
  readonly name: string
  /** The error's code where it must be collected. */
  readonly code?: string
  readonly fate: Fate
  readonly make: (flight: Flight, encode: (flight: Flight) => Buffer) => Buffer | null
}

const recipes: readonly Recipe[] = [
  {
    name: 'truncated Avro',
    fate: 'collected',
    code: 'MR-DECODE-AVRO',
    make: (flight, encode) => shortened(encode(flight), 4),
  },
  {
    name: 'NUL in a text',
    fate: 'collected',
    code: 'MR-SINK-TYPE',
    make: (flight, encode) => encode({ ...flight, remark: 'gate\u0000A7' }),
  },
  { name: 'unknown origin', fate: 'ignored', make: (flight, encode) => encode({ ...flight, origin: 'ZZZ' }) },
  {
    name: 'delay beyond the CHECK',
    fate: 'collected',
    code: '23514',
    make: (flight, encode) => encode({ ...flight, delay: 999_999 }),
  },
  { name: 'null value', fate: 'skipped', make: () => null },
  {
    name: 'unknown schema id',
    fate: 'collected',
    code: 'MR-DECODE-SCHEMA-ID',
    make: (flight, encode) => withSchemaId(encode(flight), 4_711),
  },
  {
    name: 'JSON in place of Avro',
    fate: 'collected',
    code: 'MR-DECODE-FRAMING',
    make: (flight) => Buffer.from(JSON.stringify(flight)),
  },
  { name: 'unknown destination', fate: 'ignored', make: (flight, encode) => encode({ ...flight, destination: 'QQQ' }) },
  { name: 'empty value', fate: 'collected', code: 'MR-DECODE-FRAMING', make: () => Buffer.alloc(0) },
  {
    name: 'landing where it started',
    fate: 'collected',
    code: '23514',
    make: (flight, encode) => encode({ ...flight, destination: flight.origin }),
  },
  {
    name: 'text of 2 GB, it says',
    fate: 'collected',
    code: 'MR-DECODE-AVRO',
    make: (flight, encode) => withHugeText(encode(flight), flight),
  },
  {
    name: 'date in no calendar',
    fate: 'collected',
    code: 'MR-DECODE-LONG',
    make: (flight, encode) => withDateBeyondCalendars(encode(flight)),
  },
]

export const brokenCount = recipes.length

/** How many of the broken records end in each way. */
export function expectedFates(): Record<Fate, number> {
  const fates = { collected: 0, ignored: 0, skipped: 0 }
  for (const { fate } of recipes) fates[fate]++
  return fates
}

/** Positions among `flights` flights, evenly spread: broken record `i` follows the flight at `positions[i]`. */
export function brokenPositions(flights: number): number[] {
  return recipes.map((_, index) => Math.floor(((index + 1) * flights) / (recipes.length + 1)))
}

/**
 * The broken record `index`, made of the flight that it follows.
 *
 * @param encode a good flight's bytes, framing included
 */
export function brokenRecord(index: number, after: Flight, encode: (flight: Flight) => Buffer): BrokenRecord {
  const recipe = recipes[index]
  if (recipe === undefined) throw new RangeError(`there are ${recipes.length} broken records, not ${index + 1}`)
  // Far enough that the plan's filter keeps it, or it would be dropped before what is wrong with it shows.
  const value = recipe.make({ ...after, distance: 500 }, encode)
  return { name: recipe.name, fate: recipe.fate, code: recipe.code, key: after.origin, value }
}

const framingBytes = 5

function shortened(bytes: Buffer, by: number): Buffer {
  return bytes.subarray(0, bytes.length - by)
}

function withSchemaId(bytes: Buffer, id: number): Buffer {
  const changed = Buffer.from(bytes)
  changed.writeUInt32BE(id, 1)
  return changed
}

/** Avro counts a text's bytes in front of it; here it counts 2^31 - 1 of them. */
function withHugeText(bytes: Buffer, flight: Flight): Buffer {
  const length = Buffer.from([0xfe, 0xff, 0xff, 0xff, 0x0f])
  const at = bytes.indexOf(flight.origin, framingBytes) - 1
  return Buffer.concat([bytes.subarray(0, at), length, bytes.subarray(at + 1)])
}

/** 2^60 milliseconds after 1970: 36 million years. */
function withDateBeyondCalendars(bytes: Buffer): Buffer {
  let end = framingBytes
  while ((bytes[end] ?? 0) >= 0x80) end++
  const date = Buffer.from([0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x20])
  return Buffer.concat([bytes.subarray(0, framingBytes), date, bytes.subarray(end + 1)])
}
