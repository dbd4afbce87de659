import { isWellFormed } from '../utf8.ts'
import type { AvroType, Avsc, ErrorHook, ParseOptions, Reader, Resolution, WriteTap } from './avsc.ts'
import { Malformed } from './malformed.ts'
import type { Tap } from './tap.ts'

/** avsc's types where their own behaviour loses data or has no bound. */
export interface GuardedTypes {
  readonly array: (schema: unknown, options: ParseOptions) => AvroType
  readonly map: (schema: unknown, options: ParseOptions) => AvroType
  readonly recursiveRecord: (schema: unknown, options: ParseOptions) => AvroType
  readonly string: AvroType
  readonly numberLong: AvroType
  readonly bigintLong: AvroType
}

export function createGuardedTypes({ types }: Avsc): GuardedTypes {
  const GuardedArray = arrayClass(types)
  const GuardedMap = mapClass(types)
  const GuardedRecord = recordClass(types)
  return {
    array: (schema, options) => new GuardedArray(schema, options),
    map: (schema, options) => new GuardedMap(schema, options),
    recursiveRecord: (schema, options) => new GuardedRecord(schema, options),
    string: new (stringClass(types))(),
    numberLong: new (numberLongClass(types))(),
    bigintLong: new (bigintLongClass(types))(),
  }
}

/** Counts items before reading them, and grows with what is there instead of with what is announced. */
function arrayClass({ ArrayType }: Avsc['types']) {
  return class extends ArrayType {
    override _read(tap: Tap): unknown {
      // `this` may be a resolver, which has the same two members.
      const items = this.itemsType
      const values: unknown[] = []
      for (let left = tap.readBlock(); left > 0; left = tap.readBlock()) {
        while (left-- > 0) values.push(items._read(tap))
      }
      return values
    }

    /** avsc's jumps by a size out of the bytes, also backwards, for ever. */
    override _skip(tap: Tap): void {
      this._read(tap)
    }
  }
}

function mapClass({ MapType }: Avsc['types']) {
  return class extends MapType {
    override _read(tap: Tap): unknown {
      const type = this.valuesType
      const values: Record<string, unknown> = {}
      for (let left = tap.readBlock(); left > 0; left = tap.readBlock()) {
        while (left-- > 0) {
          const key = tap.readString()
          // Assigned, it would replace the prototype; kept as a key, whatever copies the map would.
          if (key === '__proto__') throw protoKey()
          values[key] = type._read(tap)
        }
      }
      return values
    }

    override _skip(tap: Tap): void {
      this._read(tap)
    }
  }
}

function protoKey(): Malformed {
  return new Malformed(
    'MR-DECODE-PROTO',
    'a map has the key "__proto__"',
    'No honest producer writes it; look at where the record comes from.',
  )
}

/** Records that may hold themselves count how deep they are. */
function recordClass({ RecordType }: Avsc['types']) {
  return class extends RecordType {
    override _createReader() {
      return countingDepth(super._createReader())
    }

    override _update(resolver: Resolution, writer: AvroType, options: unknown): void {
      super._update(resolver, writer, options)
      if (resolver._read !== null) resolver._read = countingDepth(resolver._read)
    }

    override _createSkipper() {
      return function (this: AvroType, tap: Tap) {
        this._read(tap)
      }
    }
  }
}

function countingDepth(read: Reader['_read']): Reader['_read'] {
  return function (this: Reader, tap) {
    tap.enter()
    const value = read.call(this, tap)
    tap.leave()
    return value
  }
}

function stringClass({ StringType }: Avsc['types']) {
  return class extends StringType {
    override _check(value: unknown, _flags: unknown, hook?: ErrorHook): boolean {
      const fits = typeof value === 'string' && isWellFormed(value)
      if (!fits) hook?.(value, this)
      return fits
    }

    /** avsc's writes half a surrogate pair as bytes that are not UTF-8. */
    override _write(tap: WriteTap, value: unknown): void {
      if (typeof value !== 'string' || !isWellFormed(value)) throw new Error('not a well-formed string')
      tap.writeString(value)
    }
  }
}

function numberLongClass({ LongType }: Avsc['types']) {
  return class extends LongType {
    override _read(tap: Tap): number {
      return tap.readLong()
    }

    override _check(value: unknown, _flags: unknown, hook?: ErrorHook): boolean {
      const fits = Number.isSafeInteger(value)
      if (!fits) hook?.(value, this)
      return fits
    }

    override _write(tap: WriteTap, value: unknown): void {
      if (!Number.isSafeInteger(value)) throw new Error('not a whole number up to 2^53 - 1')
      const long = value as number
      // avsc computes with doubles, in which 2 * 2^52 + 1 has no odd neighbours left: the sign would be lost.
      if (long < -(2 ** 52)) writeBigLong(tap, BigInt(long))
      else tap.writeLong(long)
    }
  }
}

const minLong = -(1n << 63n)
const maxLong = (1n << 63n) - 1n

function isLong(value: unknown): value is bigint {
  return typeof value === 'bigint' && value >= minLong && value <= maxLong
}

function bigintLongClass({ LongType }: Avsc['types']) {
  return class extends LongType {
    // avsc sorts a union's values by JavaScript type and knows no bigint: `abstract` makes it ask _check.
    override get typeName(): string {
      return 'abstract:long'
    }

    get _concreteTypeName(): string {
      return 'long'
    }

    _deref(): string {
      return 'long'
    }

    override _read(tap: Tap): bigint {
      return tap.readBigLong()
    }

    override _check(value: unknown, _flags: unknown, hook?: ErrorHook): boolean {
      const fits = isLong(value)
      if (!fits) hook?.(value, this)
      return fits
    }

    override _write(tap: WriteTap, value: unknown): void {
      if (!isLong(value)) throw new Error('not a bigint of 64 bits')
      writeBigLong(tap, value)
    }

    /** Defaults come as JSON numbers (coerce 2) and go back as such when a schema is printed (coerce 3). */
    override _copy(value: unknown, options?: { coerce?: number }): unknown {
      if (options?.coerce === 2) return BigInt(value as number)
      return options?.coerce === 3 ? Number(value) : value
    }

    override _update(resolver: Resolution, writer: AvroType): void {
      if (writer.typeName === 'int') resolver._read = (tap) => BigInt(tap.readInt())
      else if (writer.typeName === 'long' || writer.typeName === this.typeName) resolver._read = this._read
    }
  }
}

/** Zigzag and varint, exact over all 64 bits. */
function writeBigLong(tap: WriteTap, value: bigint): void {
  let bits = value < 0n ? -value * 2n - 1n : value * 2n
  const bytes: number[] = []
  while (bits >= 0x80n) {
    bytes.push(Number(bits & 0x7fn) | 0x80)
    bits >>= 7n
  }
  bytes.push(Number(bits))
  tap.writeFixed(Buffer.from(bytes), bytes.length)
}
