/**
 * The type of a schema's values, for schemas written `as const`. What is not known at compile time (a schema
 * read from a file, a name that stands nowhere in the schema) is `unknown`, never `any`.
 *
 * Everything hangs on one conditional type that looks at a schema once; names are looked up only when one is met,
 * so that ordinary schemas cost a few instantiations a field.
 */

/** What a schema may be: a type's name, a union, or an object. It is checked when the codec is made. */
export type AvroSchema = string | readonly unknown[] | SchemaObject | SchemaLiteral

interface SchemaObject {
  readonly type: unknown
}

/** For literals, whose other attributes would be excess properties. */
interface SchemaLiteral extends SchemaObject {
  readonly [attribute: string]: unknown
}

/** The values of a schema. `Long` is what its longs are read as. */
export type AvroValue<Schema, Long = number> = ValueOf<Schema, Long, Schema>

interface Primitives<Long> {
  null: null
  boolean: boolean
  int: number
  long: Long
  float: number
  double: number
  bytes: Buffer
  string: string
}

interface Logical {
  'long/timestamp-millis': Date
  'long/timestamp-micros': Date
  'int/date': Date
  'bytes/decimal': string
  'fixed/decimal': string
}

/** The first line is true of `any` only, which would be taken for every kind of schema, without an end. */
type ValueOf<Schema, Long, Root> = 0 extends 1 & Schema
  ? unknown
  : Schema extends string
    ? Schema extends keyof Primitives<Long>
      ? Primitives<Long>[Schema]
      : Referenced<Schema, Long, Root>
    : Schema extends readonly unknown[]
      ? UnionOf<Schema, Long, Root>
      : Schema extends { readonly type: infer Type extends string }
        ? ObjectOf<Schema, Type, Long, Root>
        : unknown

type ObjectOf<Schema, Type extends string, Long, Root> = Schema extends {
  readonly logicalType: infer Name extends string
}
  ? `${Type}/${Name}` extends keyof Logical
    ? Logical[`${Type}/${Name}`]
    : PlainOf<Schema, Type, Long, Root>
  : PlainOf<Schema, Type, Long, Root>

type PlainOf<Schema, Type extends string, Long, Root> = Type extends keyof Primitives<Long>
  ? Primitives<Long>[Type]
  : Schema extends { readonly type: 'record' | 'error'; readonly fields: readonly (infer Field extends AnyField)[] }
    ? { [F in Field as F['name']]: ValueOf<F['type'], Long, Root> }
    : Schema extends { readonly type: 'array'; readonly items: infer Items }
      ? ValueOf<Items, Long, Root>[]
      : Schema extends { readonly type: 'map'; readonly values: infer Values }
        ? { [key: string]: ValueOf<Values, Long, Root> }
        : Schema extends { readonly type: 'enum'; readonly symbols: readonly (infer Symbol extends string)[] }
          ? Symbol
          : Schema extends { readonly type: 'fixed' }
            ? Buffer
            : unknown

interface AnyField {
  readonly name: string
  readonly type: unknown
}

/** Nullable is by far the most frequent union, and never ambiguous. */
type UnionOf<Branches extends readonly unknown[], Long, Root> = Branches extends
  | readonly ['null', unknown]
  | readonly [unknown, 'null']
  ? ValueOf<Branches[number], Long, Root>
  : IsAmbiguous<Branches, Root> extends true
    ? Wrapped<Branches[number], Long, Root>
    : ValueOf<Branches[number], Long, Root>

/** `{ branch: value }`. The branch's key is its full name, which can depend on namespaces around it: any string. */
type Wrapped<Branch, Long, Root> = Branch extends 'null' ? null : { [branch: string]: ValueOf<Branch, Long, Root> }

/** Whether two branches have values of the same kind, so that avsc wraps them. */
type IsAmbiguous<Branches extends readonly unknown[], Root, Seen = never> = Branches extends readonly [
  infer First,
  ...infer Rest,
]
  ? [KindOf<First, Root>] extends [Seen]
    ? [KindOf<First, Root>] extends [never]
      ? IsAmbiguous<Rest, Root, Seen>
      : true
    : IsAmbiguous<Rest, Root, Seen | KindOf<First, Root>>
  : false

interface Kinds {
  null: 'null'
  boolean: 'boolean'
  int: 'number'
  long: 'number'
  float: 'number'
  double: 'number'
  bytes: 'buffer'
  fixed: 'buffer'
  string: 'string'
  enum: 'string'
  array: 'array'
  map: 'object'
  record: 'object'
  error: 'object'
}

type KindOf<Branch, Root> = Branch extends string
  ? Branch extends keyof Kinds
    ? Kinds[Branch]
    : KindOfObject<Definition<Branch, Root>>
  : KindOfObject<Branch>

/** never for a logical type, which avsc tells apart by its values. */
type KindOfObject<Branch> = Branch extends { readonly type: infer Type extends keyof Kinds }
  ? Branch extends { readonly logicalType: infer Name extends string }
    ? `${Type}/${Name}` extends keyof Logical
      ? never
      : Kinds[Type]
    : Kinds[Type]
  : never

/** The value of a type that is given by its name, which may be the one that it stands in. */
type Referenced<Name extends string, Long, Root> = string extends Name
  ? unknown
  : [Definition<Name, Root>] extends [never]
    ? unknown
    : ValueOf<Definition<Name, Root>, Long, Root>

type Definition<Name extends string, Root> = WithName<Definitions<Root>, Unqualified<Name>>

type WithName<Defined, Name> = Defined extends { readonly name: infer Own extends string }
  ? Unqualified<Own> extends Name
    ? Defined
    : never
  : never

type Unqualified<Name extends string> = Name extends `${string}.${infer Rest}` ? Unqualified<Rest> : Name

/** All types with a name in a schema. */
type Definitions<Schema> = Schema extends readonly unknown[]
  ? Definitions<Schema[number]>
  : Schema extends { readonly name: string; readonly fields: readonly (infer Field extends AnyField)[] }
    ? Schema | Definitions<Field['type']>
    : Schema extends { readonly items: infer Items }
      ? Definitions<Items>
      : Schema extends { readonly values: infer Values }
        ? Definitions<Values>
        : Schema extends { readonly name: string; readonly type: unknown }
          ? Schema
          : never
