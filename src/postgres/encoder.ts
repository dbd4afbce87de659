import { ItemError } from '../core/errors.ts'
import { type ArrayElement, textArray } from './arrayLiteral.ts'
import type { ByteWriter } from './byteWriter.ts'
import type { ColumnType } from './columnType.ts'
import { dayText, hasPlainYear, instantText, isIsoTime, writeInstant } from './timestamp.ts'

/**
 * Turns a value that is not null into what Postgres reads for one column.
 * A value that can never fit is refused here, so that it blames its own item; what only the database can know
 * (a CHECK, a label of an enum, a text that is no inet) is left to it.
 */
export interface Encoder {
  /** As text. @throws ItemError */
  text(value: unknown): string
  /** Into a COPY line. @throws ItemError; what was written until then has to be dropped. */
  write(out: ByteWriter, value: unknown): void
  /** Whether the database cannot refuse the value for itself. Only asked for values that `text` took. */
  sure(value: unknown): boolean
}

/** Where a value goes, for errors. */
export interface ColumnPlace {
  readonly table: string
  readonly column: string
  /** As Postgres prints it: `character varying(3)`. */
  readonly shownType: string
}

const integerRanges = { int2: 2 ** 15, int4: 2 ** 31, int8: 2 ** 63 } as const
const int8Limits = { low: -(2n ** 63n), high: 2n ** 63n - 1n } as const
const wholeNumber = /^\s*[+-]?\d{1,19}\s*$/
const decimal = /^\s*([+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?|NaN|[+-]?Infinity)\s*$/i
const plainDecimal = /^[+-]?(\d+)(?:\.(\d+))?$/
/** A numeric without a declared size has a limit too, far above this. */
const unlimitedDigits = 1_000
const uuid = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i
const loneSurrogate = /\p{Surrogate}/u
/** An escape in JSON text that jsonb refuses: NUL, or half of a surrogate pair; the backslash must not be escaped itself. */
const refusedByJsonb = /(?:^|[^\\])(?:\\\\)*\\u(?:0000|d[89a-f])/

/** Makes the encoder of one column. */
export function createEncoder(type: ColumnType, place: ColumnPlace): Encoder {
  const refuse = (value: unknown, why?: string): never => {
    throw misfit(value, place, why)
  }
  const viaText = (text: (value: unknown) => string, sure: (value: unknown) => boolean): Encoder => ({
    text,
    write: (out, value) => out.escaped(text(value)),
    sure,
  })

  switch (type.kind) {
    case 'int2':
    case 'int4':
      return smallInteger(type.kind, refuse)
    case 'int8':
      return bigInteger(refuse)
    case 'float4':
    case 'float8':
      return viaText(
        (value) => decimalText(value, refuse),
        (value) => typeof value === 'number' && (value === 0 || isMidRange(Math.abs(value), type.kind === 'float4')),
      )
    case 'numeric':
      return viaText(
        (value) => decimalText(value, refuse),
        (value) => fitsDigits(String(value), type),
      )
    case 'bool':
      return viaText(
        (value) => booleanText(value, refuse),
        (value) => typeof value === 'boolean',
      )
    case 'text':
      return text(refuse, (value) => type.maxLength === undefined || String(value).length <= type.maxLength)
    case 'timestamptz':
    case 'timestamp':
      return instant(refuse)
    case 'date':
      return viaText((value) => dateText(value, refuse), isSureTime)
    case 'bytea':
      return viaText(
        (value) => byteaText(value, refuse),
        (value) => typeof value !== 'string',
      )
    case 'json':
    case 'jsonb':
      return viaText(
        (value) => jsonText(value, type.kind === 'jsonb', refuse),
        () => true,
      )
    case 'array':
      return array(type.element ?? { kind: 'other' }, place, refuse)
    case 'uuid':
      return text(refuse, (value) => typeof value === 'string' && uuid.test(value))
    case 'other':
      return text(refuse, () => false)
  }
}

type Refuse = (value: unknown, why?: string) => never

function smallInteger(kind: 'int2' | 'int4', refuse: Refuse): Encoder {
  const limit = integerRanges[kind]
  const toNumber = (value: unknown): number => {
    const number = typeof value === 'string' && wholeNumber.test(value) ? Number(value) : value
    if (typeof number === 'bigint') return toNumber(String(number))
    if (typeof number !== 'number' || !Number.isInteger(number)) return refuse(value)
    if (number < -limit || number >= limit) return refuse(value, 'It is out of range.')
    return number
  }
  return {
    text: (value) => String(toNumber(value) + 0),
    write: (out, value) => out.int(toNumber(value)),
    sure: () => true,
  }
}

function bigInteger(refuse: Refuse): Encoder {
  return {
    text: (value) => int8Text(value, refuse),
    write(out, value) {
      if (typeof value === 'number' && Number.isInteger(value) && Math.abs(value) < integerRanges.int4) out.int(value)
      else out.ascii(int8Text(value, refuse))
    },
    sure: () => true,
  }
}

function int8Text(value: unknown, refuse: Refuse): string {
  if (typeof value === 'number') {
    if (!Number.isInteger(value)) return refuse(value)
    if (value < -integerRanges.int8 || value >= integerRanges.int8) return refuse(value, 'It is out of range.')
    return Number.isSafeInteger(value) ? String(value + 0) : String(BigInt(value))
  }
  if (typeof value !== 'bigint' && !(typeof value === 'string' && wholeNumber.test(value))) return refuse(value)
  const whole = BigInt(value)
  return whole < int8Limits.low || whole > int8Limits.high ? refuse(value, 'It is out of range.') : String(whole)
}

function decimalText(value: unknown, refuse: Refuse): string {
  if (typeof value === 'number' || typeof value === 'bigint') return String(value)
  return typeof value === 'string' && decimal.test(value) ? value.trim() : refuse(value)
}

// Far enough from overflow that the sum of a batch is no overflow either, which the database would refuse.
function isMidRange(size: number, isSingle: boolean): boolean {
  return isSingle ? size > 1e-37 && size < 1e33 : size < 1e300
}

function fitsDigits(text: string, { digits }: ColumnType): boolean {
  const [, before = '', after = ''] = plainDecimal.exec(text) ?? []
  if (before === '') return false
  if (digits === undefined) return text.length < unlimitedDigits
  return before.length <= digits.before && after.length <= digits.after
}

function booleanText(value: unknown, refuse: Refuse): string {
  if (typeof value === 'boolean') return value ? 't' : 'f'
  return typeof value === 'string' ? textValue(value, refuse) : refuse(value)
}

/** Any text column, and every type that has no encoder of its own. */
function text(refuse: Refuse, sure: (value: unknown) => boolean): Encoder {
  return {
    text: (value) => textValue(value, refuse),
    write(out, value) {
      if (typeof value === 'string' && out.plain(value)) return
      out.escaped(textValue(value, refuse))
    },
    sure,
  }
}

// Postgres refuses a NUL in a text. Half of a surrogate pair it would never see: it would be replaced on the way.
function textValue(value: unknown, refuse: Refuse): string {
  if (typeof value === 'string') {
    if (value.includes('\0')) return refuse(value, 'A text cannot hold the character U+0000.')
    if (loneSurrogate.test(value)) return refuse(value, 'It holds half of a surrogate pair, which is no character.')
    return value
  }
  if (typeof value === 'number' || typeof value === 'bigint' || typeof value === 'boolean') return String(value)
  return value instanceof Date ? instantText(timeOf(value, refuse)) : refuse(value)
}

function timeOf(value: unknown, refuse: Refuse): number {
  const ms = value instanceof Date ? value.getTime() : value
  if (typeof ms !== 'number') return refuse(value)
  return Math.abs(ms) <= 8.64e15 ? Math.floor(ms) : refuse(value, 'It is no valid time.')
}

/** `timestamptz`, and `timestamp` as the UTC clock shows it: Postgres drops the zone there. */
function instant(refuse: Refuse): Encoder {
  return {
    text: (value) => (typeof value === 'string' ? textValue(value, refuse) : instantText(timeOf(value, refuse))),
    write(out, value) {
      if (typeof value === 'string') out.escaped(textValue(value, refuse))
      else writeInstant(out, timeOf(value, refuse))
    },
    sure: isSureTime,
  }
}

function dateText(value: unknown, refuse: Refuse): string {
  return typeof value === 'string' ? textValue(value, refuse) : dayText(timeOf(value, refuse))
}

function isSureTime(value: unknown): boolean {
  return typeof value === 'string' ? isIsoTime(value) : hasPlainYear(Number(value))
}

function byteaText(value: unknown, refuse: Refuse): string {
  if (value instanceof Uint8Array) {
    return `\\x${Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString('hex')}`
  }
  return typeof value === 'string' ? textValue(value, refuse) : refuse(value)
}

// What is written is what is read back: a string becomes a JSON string, and is not taken for JSON text.
function jsonText(value: unknown, binary: boolean, refuse: Refuse): string {
  let json: string | undefined
  try {
    json = JSON.stringify(value)
  } catch (error) {
    return refuse(value, error instanceof Error ? error.message : undefined)
  }
  if (json === undefined) return refuse(value)
  if (binary && json.includes('\\u') && refusedByJsonb.test(json)) {
    return refuse(value, 'jsonb cannot hold the character U+0000 or half of a surrogate pair.')
  }
  return json
}

function array(elementType: ColumnType, place: ColumnPlace, refuse: Refuse): Encoder {
  const element = createEncoder(elementType, place)
  const nests = elementType.kind !== 'json' && elementType.kind !== 'jsonb'
  const toElement = (value: unknown): ArrayElement => {
    if (value === null || value === undefined) return null
    return nests && Array.isArray(value) ? value.map(toElement) : element.text(value)
  }
  const toText = (value: unknown): string => {
    if (Array.isArray(value)) return textArray(value.map(toElement))
    if (ArrayBuffer.isView(value) && Symbol.iterator in value)
      return toText([...(value as Iterable<unknown> & typeof value)])
    return typeof value === 'string' ? textValue(value, refuse) : refuse(value)
  }
  return {
    text: toText,
    write: (out, value) => out.escaped(toText(value)),
    // Rows of arrays must be of one length, which is left to the database.
    sure: (value) =>
      Array.isArray(value) &&
      value.every((part) => part === null || part === undefined || (!Array.isArray(part) && element.sure(part))),
  }
}

function misfit(value: unknown, { table, column, shownType }: ColumnPlace, why?: string): ItemError {
  return new ItemError('MR-SINK-TYPE', {
    what: `column "${column}" of table "${table}" is ${shownType} and cannot take ${described(value)}`,
    why,
    fix: 'Convert the value in a map() before it is written, or change the type of the column.',
  })
}

const shownLength = 60

function described(value: unknown): string {
  if (Array.isArray(value)) return 'an array'
  if (value instanceof Date)
    return Number.isNaN(value.getTime()) ? 'an invalid Date' : `the Date ${value.toISOString()}`
  if (value instanceof Uint8Array) return 'bytes'
  switch (typeof value) {
    case 'object':
      return 'an object'
    case 'function':
    case 'symbol':
      return `a ${typeof value}`
    case 'string':
      return `the text ${JSON.stringify(value.length > shownLength ? `${value.slice(0, shownLength)}…` : value)}`
    default:
      return `the ${typeof value} ${String(value)}`
  }
}

/** Whether the column takes a null is known from the catalog. */
export function nullMisfit({ table, column }: ColumnPlace, given: 'null' | 'nothing'): ItemError {
  return new ItemError('MR-SINK-NULL', {
    what: `column "${column}" of table "${table}" must not be null, and the row has ${given} for it`,
    fix: 'Fill it in a map() or drop the item in a filter() before it is written, or let the column take nulls.',
  })
}
