import type { AvroType, Avsc, ParseOptions, Resolution } from './avsc.ts'
import { decimalBytes, decimalOf, decimalText } from './decimal.ts'
import { malformed } from './malformed.ts'

/** How the values of a logical type are made from those of the type below it. */
interface Conversion {
  readonly name: string
  /** What a schema must share beside the name to be read as this one: precision and scale. */
  readonly attributes: object
  read(raw: unknown): unknown
  /** undefined for a value that does not fit. */
  write(value: unknown): unknown
}

const msPerDay = 86_400_000

/** The range of Date, in milliseconds. */
const maxDateMs = 8.64e15

/**
 * The conversion for a schema with a logical type, or undefined where it has none that is known: the
 * specification wants such values read as the type below.
 */
export function conversionOf(schema: { readonly [attribute: string]: unknown }): Conversion | undefined {
  switch (`${schema.type}/${schema.logicalType}`) {
    case 'long/timestamp-millis':
      return {
        name: 'timestamp-millis',
        attributes: {},
        read: (ms) => toDate(ms as number),
        write: (value) => timeOf(value),
      }
    case 'long/timestamp-micros':
      return {
        name: 'timestamp-micros',
        attributes: {},
        read: (us) => toDate(Math.floor((us as number) / 1_000)),
        write: (value) => {
          const ms = timeOf(value)
          return ms === undefined ? undefined : ms * 1_000
        },
      }
    case 'int/date':
      return {
        name: 'date',
        attributes: {},
        read: (days) => toDate((days as number) * msPerDay),
        write: (value) => {
          const ms = timeOf(value)
          return ms === undefined || ms % msPerDay !== 0 ? undefined : ms / msPerDay
        },
      }
    case 'bytes/decimal':
    case 'fixed/decimal':
      return decimalConversion(schema)
    default:
      return undefined
  }
}

function decimalConversion(schema: { readonly [attribute: string]: unknown }): Conversion | undefined {
  const decimal = decimalOf(schema)
  if (decimal === undefined) return undefined
  const { precision, scale } = decimal
  const size = schema.type === 'fixed' ? (schema.size as number) : undefined
  return {
    name: 'decimal',
    attributes: decimal,
    read: (bytes) => decimalText(bytes as Buffer, precision, scale),
    write: (value) => decimalBytes(value, precision, scale, size),
  }
}

/** undefined for what is no Date, and for the Date that is none. */
function timeOf(value: unknown): number | undefined {
  return value instanceof Date && !Number.isNaN(value.getTime()) ? value.getTime() : undefined
}

function toDate(ms: number): Date {
  if (Math.abs(ms) > maxDateMs) throw malformed('a time is outside of what a Date can hold')
  return new Date(ms)
}

/** Wraps a type in a logical one. */
export type MakeLogical = (underlying: AvroType, conversion: Conversion, options: ParseOptions) => AvroType

export function createLogicalType({ types }: Avsc): MakeLogical {
  class ConvertedType extends types.LogicalType {
    override readonly conversion: Conversion

    constructor(underlying: AvroType, conversion: Conversion, options: ParseOptions) {
      super(underlying, options)
      this._logicalTypeName = conversion.name
      this.conversion = conversion
    }

    _fromValue(raw: unknown): unknown {
      return this.conversion.read(raw)
    }

    _toValue(value: unknown): unknown {
      return this.conversion.write(value)
    }

    _export(schema: object): void {
      Object.assign(schema, this.conversion.attributes)
    }

    _update(resolver: Resolution, writer: AvroType): void {
      if (writer instanceof ConvertedType) {
        if (agree(this.conversion, writer.conversion)) resolver._read = (tap) => writer._read(tap)
        return
      }
      const raw = this.underlyingType.createResolver(writer)
      resolver._read = (tap) => this.conversion.read(raw._read(tap))
    }
  }
  return (underlying, conversion, options) => new ConvertedType(underlying, conversion, options)
}

/** Timestamps of any unit become the same Date; decimals must have the same precision and scale. */
function agree(reader: Conversion, writer: Conversion): boolean {
  if (isTimestamp(reader) && isTimestamp(writer)) return true
  return reader.name === writer.name && JSON.stringify(reader.attributes) === JSON.stringify(writer.attributes)
}

function isTimestamp({ name }: Conversion): boolean {
  return name === 'timestamp-millis' || name === 'timestamp-micros'
}
