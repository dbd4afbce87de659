import { ItemError, messageOf } from '../../core/errors.ts'
import { shown } from '../../core/options.ts'
import { hexExcerpt, oneLine } from '../excerpt.ts'
import { tooLarge } from '../limits.ts'
import type { AvroType, Reader } from './avsc.ts'
import { Malformed, malformed, malformedCode } from './malformed.ts'
import { Tap, type TapLimits } from './tap.ts'

const schemaFix = 'Compare the schema with the one that the producer writes with.'
const framingFix =
  'If 00 and the next 4 bytes are a Confluent header, say so: { framing: { confluent: { [id]: schema } } }.'

/** How far into nested records an error names the field. */
const maxPath = 20

export interface ValueOptions extends TapLimits {
  /** How errors name the codec: `avro(Flight)`. */
  readonly name: string
  /** Whether values come without a header; one that begins with 0 may then have one all the same. */
  readonly plain: boolean
  readonly maxBytes: number
}

/** Reads and writes the Avro of single values, without any framing, and words what goes wrong. */
export class ValueCodec {
  readonly #options: ValueOptions
  readonly #tap: Tap

  constructor(options: ValueOptions) {
    this.#options = options
    this.#tap = new Tap(options)
  }

  /**
   * @param reader the writer's type, or a resolver from it
   * @param writer the type that the bytes were written with, to find the field at fault
   */
  read(reader: Reader, writer: AvroType, bytes: Buffer, start: number, end: number): unknown {
    const { name, maxBytes } = this.#options
    if (end - start > maxBytes) throw tooLarge(name, end - start, maxBytes)
    const tap = this.#tap
    tap.open(bytes, start, end)
    try {
      const value = reader._read(tap)
      if (tap.left !== 0) throw trailing(tap.left)
      return value
    } catch (thrown) {
      throw this.#unreadable(thrown, writer, bytes, start, end)
    } finally {
      tap.close()
    }
  }

  #unreadable(thrown: unknown, writer: AvroType, bytes: Buffer, start: number, end: number): ItemError {
    const { fault, at, path } = this.#locate(thrown, writer, bytes, start, end)
    const known = fault instanceof Malformed ? fault : undefined
    const overflow = fault instanceof RangeError
    const reason = overflow ? 'it is nested too deep for the stack' : oneLine(messageOf(fault))
    const field = path.length === 0 ? '' : ` in field "${path.join('.')}"`
    const excerpt = start === end ? 'is empty' : `begins with ${hexExcerpt(bytes, start, end)}`
    const framed = this.#options.plain && bytes[start] === 0 && end - start > 5
    return new ItemError(known?.code ?? (overflow ? 'MR-DECODE-DEPTH' : malformedCode), {
      what: `the value cannot be read as ${this.#options.name}: ${reason}`,
      why: `That is at byte ${at - start} of ${end - start}${field}; the value ${excerpt}.`,
      fix: known?.fix ?? (framed ? framingFix : schemaFix),
      cause: fault,
    })
  }

  /**
   * Reads once more, field by field, until it fails. avsc keeps no path while it reads, and keeping one would
   * slow the values that are right; behind a resolver the writer's own type also says more exactly what is wrong.
   */
  #locate(thrown: unknown, writer: AvroType, bytes: Buffer, start: number, end: number) {
    const tap = this.#tap
    const failedAt = Math.min(tap.pos, end)
    const path: string[] = []
    tap.open(bytes, start, end)
    try {
      readByField(writer, tap, path)
    } catch (fault) {
      return { fault, at: Math.min(tap.pos, end), path }
    }
    return { fault: thrown, at: failedAt, path: [] }
  }

  write(type: AvroType, value: unknown): Buffer {
    try {
      return type.toBuffer(value)
    } catch (cause) {
      const misfit = firstMisfit(type, value)
      const reason = misfit === undefined ? oneLine(messageOf(cause)) : misfitText(misfit)
      throw new ItemError('MR-ENCODE-AVRO', {
        what: `the value cannot be written as ${this.#options.name}: ${reason}`,
        fix: 'Change the value, or the schema that it is written with.',
        cause,
      })
    }
  }
}

function trailing(left: number): Malformed {
  return malformed(left === 1 ? 'a byte is left over' : `${left} bytes are left over`)
}

/** Leaves the path of the field in `path` when it throws. */
function readByField(type: AvroType, tap: Tap, path: string[]): void {
  if (type.fields !== undefined && path.length < maxPath) {
    for (const field of type.fields) {
      path.push(field.name)
      readByField(field.type, tap, path)
      path.pop()
    }
  } else if (type.types !== undefined) {
    const index = tap.readLong()
    const branch = type.types[index]
    if (branch === undefined) throw malformed(`a union of ${type.types.length} branches has no branch ${index}`)
    readByField(branch, tap, path)
  } else {
    type._read(tap)
  }
}

interface Misfit {
  readonly path: readonly string[]
  readonly value: unknown
  readonly type: AvroType
}

function firstMisfit(type: AvroType, value: unknown): Misfit | undefined {
  const misfits: Misfit[] = []
  try {
    type.isValid(value, {
      errorHook: (path, part, expected) => {
        misfits.push({ path, value: part, type: expected })
      },
    })
  } catch {
    // A value that refers to itself overflows the stack here too.
  }
  return misfits[0]
}

function misfitText({ path, value, type }: Misfit): string {
  const place = path.length === 0 ? 'it' : `field "${path.join('.')}"`
  return `${place} must be ${expectation(type)}, but is ${shown(value)}`
}

const expectations: Readonly<Record<string, string>> = {
  null: 'null',
  boolean: 'a boolean',
  int: 'a whole number of 32 bits',
  long: 'a whole number up to 2^53 - 1',
  'abstract:long': 'a bigint of 64 bits',
  float: 'a number',
  double: 'a number',
  string: 'a string without half surrogate pairs',
  bytes: 'a Buffer',
  array: 'an array',
  map: 'an object',
  record: 'an object',
  error: 'an object',
  'logical:timestamp-millis': 'a valid Date',
  'logical:timestamp-micros': 'a valid Date',
  'logical:date': 'a Date at midnight UTC',
  'logical:decimal': 'a decimal as text within its precision and scale',
}

function expectation(type: AvroType): string {
  if (type.symbols !== undefined) return `one of ${type.symbols.join(', ')}`
  if (type.size !== undefined) return `a Buffer of ${type.size} bytes`
  return expectations[type.typeName] ?? `one of ${shown(type.schema())}`
}
