/**
 * The only place that loads avsc, and all that is used of it beyond its published types.
 *
 * avsc parses schemas, checks defaults and aliases, resolves a writer's schema against a reader's, and encodes.
 * Its types read by calling methods on a tap, so that a tap of ours (tap.ts) decides what a byte may do.
 * This depends on avsc's inside, which has been the same through 5.x; test/codecs/avroHostile.spec.ts notices a change.
 */
import { createRequire } from 'node:module'
import type { Tap } from './tap.ts'

/** What can read a value: a type, or a resolver from a writer's schema to a reader's. */
export interface Reader {
  _read(tap: Tap): unknown
}

/** avsc's own tap on the writing side. */
export interface WriteTap {
  writeLong(value: number): void
  writeString(value: string): void
  writeFixed(bytes: Buffer, length: number): void
}

export type ErrorHook = (value: unknown, type: AvroType) => void

export interface AvroType extends Reader {
  readonly typeName: string
  readonly name: string | undefined
  /** What the value of an ambiguous union is wrapped in; undefined for a union. */
  readonly branchName: string | undefined
  /** Of records. */
  readonly fields?: readonly { readonly name: string; readonly type: AvroType }[]
  /** Of unions. */
  readonly types?: readonly AvroType[]
  readonly itemsType?: AvroType
  readonly valuesType?: AvroType
  readonly underlyingType?: AvroType
  /** Of logical types that are read as something else than the type below them. */
  readonly conversion?: { readonly name: string; readonly attributes: object }
  readonly recordConstructor?: { prototype: object }
  /** Of unions: the number of a branch by its name. */
  readonly _branchIndices?: object
  /** Of enums: the number of a symbol. */
  readonly _indices?: object
  readonly symbols?: readonly string[]
  /** Of fixed, in bytes. */
  readonly size?: number
  readonly _branchConstructor?: (new () => object) | null
  _write(tap: WriteTap, value: unknown): void
  _skip(tap: Tap): void
  /** `hook` is called with what does not fit. */
  _check(value: unknown, flags: unknown, hook?: ErrorHook, path?: string[]): boolean
  createResolver(writer: AvroType): Reader
  schema(options?: { exportAttrs: boolean }): unknown
  toBuffer(value: unknown): Buffer
  isValid(value: unknown, options: { errorHook(path: string[], value: unknown, type: AvroType): void }): boolean
}

/** What a resolver being made is: its `_read` is still to be set. */
export interface Resolution {
  _read: Reader['_read'] | null
}

type Make<Instance> = new (schema: unknown, options: ParseOptions) => Instance

interface RecordInternals extends AvroType {
  _createReader(): Reader['_read']
  _createSkipper(): (this: AvroType, tap: Tap) => void
  _update(resolver: Resolution, writer: AvroType, options: unknown): void
}

interface LongInternals extends AvroType {
  _copy(value: unknown, options?: { coerce?: number }): unknown
  _update(resolver: Resolution, writer: AvroType): void
}

interface LogicalInternals extends AvroType {
  readonly underlyingType: AvroType
  /** Makes `typeName`: `logical:date`. */
  _logicalTypeName: string
}

export interface ParseOptions {
  readonly registry: Record<string, AvroType>
  readonly omitRecordMethods: boolean
  typeHook(schema: unknown, options: ParseOptions): AvroType | undefined
}

export interface Avsc {
  readonly Type: { forSchema(schema: unknown, options: ParseOptions): AvroType }
  readonly types: {
    readonly RecordType: Make<RecordInternals>
    readonly ArrayType: Make<AvroType & { readonly itemsType: Reader }>
    readonly MapType: Make<AvroType & { readonly valuesType: Reader }>
    readonly LongType: new () => LongInternals
    readonly StringType: new () => AvroType
    readonly LogicalType: Make<LogicalInternals>
  }
}

let loaded: Avsc | undefined

/** Loads avsc on first use: plans without Avro do not pay for it. */
export function loadAvsc(): Avsc {
  loaded ??= createRequire(import.meta.url)('avsc') as Avsc
  return loaded
}
