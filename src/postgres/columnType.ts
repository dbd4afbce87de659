/** What a column can take, as far as the encoders tell types apart. A domain counts as what it is made of. */

export type TypeKind =
  | 'int2'
  | 'int4'
  | 'int8'
  | 'float4'
  | 'float8'
  | 'numeric'
  | 'bool'
  | 'text'
  | 'timestamptz'
  | 'timestamp'
  | 'date'
  | 'bytea'
  | 'json'
  | 'jsonb'
  | 'uuid'
  | 'array'
  | 'other'

export interface ColumnType {
  readonly kind: TypeKind
  /** Of an array. */
  readonly element?: ColumnType
  /** Most characters of a text, when limited. */
  readonly maxLength?: number
  /** Most digits of a numeric before and after the point, when limited. */
  readonly digits?: { readonly before: number; readonly after: number }
}

const kinds: Readonly<Record<string, TypeKind>> = {
  int2: 'int2',
  int4: 'int4',
  int8: 'int8',
  float4: 'float4',
  float8: 'float8',
  numeric: 'numeric',
  bool: 'bool',
  text: 'text',
  varchar: 'text',
  bpchar: 'text',
  timestamptz: 'timestamptz',
  timestamp: 'timestamp',
  date: 'date',
  bytea: 'bytea',
  json: 'json',
  jsonb: 'jsonb',
  uuid: 'uuid',
}

/** Bytes that `atttypmod` of varchar and numeric is larger than what was declared. */
const typmodHeader = 4

/** The type by its name in the system catalog; `typmod` is -1 where none was declared. */
export function scalarType(catalogName: string, typmod: number): ColumnType {
  const kind = kinds[catalogName] ?? 'other'
  if (typmod < typmodHeader) return { kind }
  const declared = typmod - typmodHeader
  if (kind === 'text') return { kind, maxLength: declared }
  if (kind !== 'numeric') return { kind }
  const after = ((declared & 0x7ff) ^ 1024) - 1024
  return { kind, digits: { before: ((declared >> 16) & 0xffff) - after, after } }
}
