import { messageOf, PlanError } from '../../core/errors.ts'
import { oneLine } from '../excerpt.ts'
import { type AvroType, type Avsc, loadAvsc, type ParseOptions } from './avsc.ts'
import { createGuardedTypes, type GuardedTypes } from './guardedTypes.ts'
import { conversionOf, createLogicalType, type MakeLogical } from './logicalTypes.ts'

/** How longs are read: as numbers up to 2^53 - 1, or as bigints. */
export type Longs = 'number' | 'bigint'

/** @throws PlanError MR-PLAN-AVRO-SCHEMA */
export function parsePlanSchema(schema: unknown, longs: Longs, owner: string): AvroType {
  try {
    return parseSchema(schema, longs)
  } catch (cause) {
    const text = typeof schema === 'string' && /^\s*[[{]/.test(schema)
    throw new PlanError('MR-PLAN-AVRO-SCHEMA', {
      what: `${owner} is no Avro schema: ${oneLine(messageOf(cause))}`,
      fix: text
        ? 'It is the text of one: give JSON.parse(text).'
        : 'Correct it; the specification is at avro.apache.org.',
      cause,
    })
  }
}

/**
 * A schema as avsc's type, with our types in place of those of avsc's that lose data or have no bound.
 *
 * @throws what avsc throws for a schema that is wrong
 */
function parseSchema(schema: unknown, longs: Longs): AvroType {
  // Whether a schema holds itself is seen only after its names are resolved.
  const type = build(schema, longs, false)
  const { recursive } = inspect(type)
  const final = recursive ? build(schema, longs, true) : type
  for (const part of inspect(final).parts) prepare(part)
  return final
}

/** Made once: types of two schemas are compared by their classes when one is resolved against the other. */
let shared: { readonly avsc: Avsc; readonly guarded: GuardedTypes; readonly makeLogical: MakeLogical } | undefined

function sharedTypes() {
  if (shared === undefined) {
    const avsc = loadAvsc()
    shared = { avsc, guarded: createGuardedTypes(avsc), makeLogical: createLogicalType(avsc) }
  }
  return shared
}

function build(schema: unknown, longs: Longs, recursive: boolean): AvroType {
  const { avsc, guarded, makeLogical } = sharedTypes()
  const long = longs === 'bigint' ? guarded.bigintLong : guarded.numberLong

  function typeHook(part: unknown, options: ParseOptions): AvroType | undefined {
    const name = typeof part === 'string' ? part : (part as { type?: unknown } | null)?.type
    const conversion = typeof part === 'object' ? conversionOf({ ...part }) : undefined
    if (conversion !== undefined) {
      const plain = { ...(part as object), logicalType: undefined }
      const underlying = name === 'long' ? guarded.numberLong : avsc.Type.forSchema(plain, options)
      const type = makeLogical(underlying, conversion, options)
      // References to a named type must find the logical one.
      if (underlying.name !== undefined) options.registry[underlying.name] = type
      return type
    }
    if (name === 'long') return long
    if (name === 'string') return guarded.string
    if (name === 'array') return guarded.array(part, options)
    if (name === 'map') return guarded.map(part, options)
    if (recursive && (name === 'record' || name === 'error')) return guarded.recursiveRecord(part, options)
    return undefined
  }

  return avsc.Type.forSchema(schema, { registry: {}, omitRecordMethods: true, typeHook })
}

/** Every type below one, and whether one of them holds itself. */
function inspect(root: AvroType): { readonly parts: ReadonlySet<AvroType>; readonly recursive: boolean } {
  const parts = new Set<AvroType>()
  const open = new Set<AvroType>()
  let recursive = false
  const visit = (type: AvroType) => {
    if (open.has(type)) recursive = true
    if (parts.has(type)) return
    parts.add(type)
    open.add(type)
    for (const part of partsOf(type)) visit(part)
    open.delete(type)
  }
  visit(root)
  return { parts, recursive }
}

function partsOf(type: AvroType): readonly AvroType[] {
  const single = [type.itemsType, type.valuesType, type.underlyingType].filter((part) => part !== undefined)
  return [...(type.fields ?? []).map((field) => field.type), ...(type.types ?? []), ...single]
}

/** Makes the type's values plain objects, and its lookups by name safe. */
function prepare(type: AvroType): void {
  for (const field of type.fields ?? []) {
    // The generated constructor would assign the prototype.
    if (field.name === '__proto__') throw new Error('a field is named "__proto__"')
  }
  if (type.recordConstructor !== undefined) type.recordConstructor.prototype = Object.prototype
  // Of the objects that hold the value of an ambiguous union: { branch: value }.
  if (type.types === undefined && type._branchConstructor) type._branchConstructor.prototype = Object.prototype
  // Else `toString` is taken for a symbol of every enum.
  for (const lookup of [type._indices, type._branchIndices]) {
    if (lookup !== undefined) Object.setPrototypeOf(lookup, null)
  }
}
