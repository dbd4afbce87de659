/** Random values of an Avro type: what the codec gives for them is what was drawn. */
import type { Arbitrary } from 'fast-check'
import type { AvroType } from '../codecs/_avro/avsc.ts'
import { SettingsError } from '../core/errors.ts'
import type { FastCheck } from './_fastCheck.ts'

/** How often values hold values of their own type before they take the next way out. */
const maxDepth = 3
/** Deeper than any schema needs that has finite values. */
const hopeless = -50
const maxItems = 5

const maxSafe = Number.MAX_SAFE_INTEGER
const minLong = -(1n << 63n)
const maxLong = (1n << 63n) - 1n
const oddNumbers = [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, -0]

export function arbitraryOfType(fc: FastCheck, type: AvroType): Arbitrary<unknown> {
  return new Draw(fc).any(type, maxDepth)
}

class Draw {
  readonly #fc: FastCheck
  readonly #recursive = new Map<AvroType, boolean>()

  constructor(fc: FastCheck) {
    this.#fc = fc
  }

  /** @param depth how much deeper values may go into themselves; from 0 on they take every way out */
  any(type: AvroType, depth: number): Arbitrary<unknown> {
    const fc = this.#fc
    if (type.conversion !== undefined) return this.#logical(type, type.conversion)
    if (type.fields !== undefined) return this.#record(type, type.fields, depth)
    if (type.types !== undefined) return this.#union(type, type.types, depth)
    if (type.itemsType !== undefined) {
      if (this.#ends(type.itemsType, depth)) return fc.constant([])
      return fc.array(this.any(type.itemsType, depth), { maxLength: maxItems })
    }
    if (type.valuesType !== undefined) {
      if (this.#ends(type.valuesType, depth)) return fc.constant({})
      const values = this.any(type.valuesType, depth)
      // The one key that the codec refuses.
      const keys = this.#text().filter((key) => key !== '__proto__')
      return fc.dictionary(keys, values, { maxKeys: maxItems, noNullPrototype: true })
    }
    return this.#simple(type)
  }

  #simple(type: AvroType): Arbitrary<unknown> {
    const fc = this.#fc
    switch (type.typeName) {
      case 'null':
        return fc.constant(null)
      case 'boolean':
        return fc.boolean()
      case 'int':
        return fc.oneof(small(fc), fc.integer(), fc.constantFrom(-(2 ** 31), 2 ** 31 - 1))
      case 'long':
        return fc.oneof(small(fc), fc.maxSafeInteger(), fc.constantFrom(-maxSafe, maxSafe))
      case 'abstract:long':
        return fc.oneof(
          small(fc).map(BigInt),
          fc.bigInt({ min: minLong, max: maxLong }),
          fc.constantFrom(minLong, maxLong),
        )
      case 'float':
        return fc.oneof(small(fc), fc.float(), fc.constantFrom(...oddNumbers))
      case 'double':
        return fc.oneof(small(fc), fc.double(), fc.constantFrom(...oddNumbers))
      case 'string':
        return this.#text()
      case 'bytes':
        return bytes(fc, 0, 16)
      case 'fixed':
        return bytes(fc, type.size as number, type.size as number)
      case 'enum':
        return fc.constantFrom(...(type.symbols ?? []))
      default:
        throw new SettingsError('MR-TEST-ARBITRARY', {
          what: `values of the Avro type ${type.typeName} cannot be made up`,
        })
    }
  }

  /** Mostly what people type, at times anything that UTF-8 can hold. */
  #text(): Arbitrary<string> {
    const fc = this.#fc
    return fc.oneof({ weight: 2, arbitrary: fc.string() }, fc.string({ unit: 'binary' }))
  }

  #record(type: AvroType, fields: NonNullable<AvroType['fields']>, depth: number): Arbitrary<unknown> {
    if (depth < hopeless) {
      throw new SettingsError('MR-TEST-ARBITRARY', {
        what: `a value of the record "${type.name}" would have no end: it holds itself`,
        fix: "Make the field that holds it nullable: ['null', …].",
      })
    }
    const inner = this.#isRecursive(type) ? depth - 1 : depth
    const values = fields.map(({ name, type: field }) => [name, this.any(field, inner)] as const)
    return this.#fc.record(Object.fromEntries(values), { noNullPrototype: true })
  }

  #union(type: AvroType, branches: readonly AvroType[], depth: number): Arbitrary<unknown> {
    const ending = branches.filter((branch) => !this.#ends(branch, depth))
    const drawn = (ending.length > 0 ? ending : branches).map((branch) => {
      const values = this.any(branch, depth)
      if (type.typeName !== 'union:wrapped' || branch.typeName === 'null') return values
      return values.map((value) => ({ [branch.branchName as string]: value }))
    })
    // A decimal is a text too, and a date a time: what may be of two branches is not encoded.
    return this.#fc.oneof(...drawn).filter((value) => isEncodable(type, value))
  }

  #logical(type: AvroType, { name, attributes }: NonNullable<AvroType['conversion']>): Arbitrary<unknown> {
    const fc = this.#fc
    switch (name) {
      case 'timestamp-millis':
        return times(fc, 8.64e15, 1)
      case 'timestamp-micros':
        return times(fc, Math.floor(maxSafe / 1_000), 1)
      case 'date':
        return times(fc, 8.64e15, 86_400_000)
      case 'decimal': {
        const { precision, scale } = attributes as { precision: number; scale: number }
        return decimals(fc, precision, scale, type.underlyingType?.size)
      }
      default:
        throw new SettingsError('MR-TEST-ARBITRARY', { what: `values of the logical type ${name} cannot be made up` })
    }
  }

  /** Whether values of this type would go on into themselves where they have to end. */
  #ends(type: AvroType, depth: number): boolean {
    return depth <= 0 && this.#reachesRecursion(type, new Set())
  }

  #reachesRecursion(type: AvroType, seen: Set<AvroType>): boolean {
    if (seen.has(type)) return false
    seen.add(type)
    return this.#isRecursive(type) || partsOf(type).some((part) => this.#reachesRecursion(part, seen))
  }

  #isRecursive(type: AvroType): boolean {
    const known = this.#recursive.get(type)
    if (known !== undefined) return known
    const seen = new Set<AvroType>()
    const reaches = (from: AvroType): boolean =>
      partsOf(from).some((part) => {
        if (part === type) return true
        if (seen.has(part)) return false
        seen.add(part)
        return reaches(part)
      })
    const recursive = type.fields !== undefined && reaches(type)
    this.#recursive.set(type, recursive)
    return recursive
  }
}

function partsOf(type: AvroType): readonly AvroType[] {
  const single = [type.itemsType, type.valuesType].filter((part) => part !== undefined)
  return [...(type.fields ?? []).map((field) => field.type), ...(type.types ?? []), ...single]
}

function isEncodable(type: AvroType, value: unknown): boolean {
  try {
    type.toBuffer(value)
    return true
  } catch {
    return false
  }
}

function small(fc: FastCheck): Arbitrary<number> {
  return fc.integer({ min: -10, max: 100 })
}

function bytes(fc: FastCheck, minLength: number, maxLength: number): Arbitrary<Buffer> {
  return fc.uint8Array({ minLength, maxLength }).map((array) => Buffer.from(array))
}

/** Mostly of these times, at times as far away as a Date goes. */
function times(fc: FastCheck, maxMs: number, unitMs: number): Arbitrary<Date> {
  const within = (from: number, to: number) =>
    fc.integer({ min: Math.ceil(from / unitMs), max: Math.floor(to / unitMs) }).map((units) => new Date(units * unitMs))
  return fc.oneof({ weight: 3, arbitrary: within(0, Date.UTC(2100, 0)) }, within(-maxMs, maxMs))
}

/** The text that the codec gives: as many digits behind the point as the scale says. */
function decimals(fc: FastCheck, precision: number, scale: number, size: number | undefined): Arbitrary<string> {
  const digits = 10n ** BigInt(precision) - 1n
  const room = size === undefined ? digits : (1n << BigInt(size * 8 - 1)) - 1n
  const max = room < digits ? room : digits
  return fc.bigInt({ min: -max, max }).map((unscaled) => {
    const text = (unscaled < 0n ? -unscaled : unscaled).toString().padStart(scale + 1, '0')
    const point = text.length - scale
    return `${unscaled < 0n ? '-' : ''}${text.slice(0, point)}${scale === 0 ? '' : `.${text.slice(point)}`}`
  })
}
