import * as fc from 'fast-check'

/** A schema and what its values are. */
export interface SchemaWithValues {
  readonly schema: unknown
  readonly values: fc.Arbitrary<unknown>
}

/** How to make a schema, given names that are not taken yet. */
type Plan = (name: (kind: string) => string) => SchemaWithValues

export interface SchemaOptions {
  /** Logical types, which avsc alone reads as the types below them. */
  readonly logical: boolean
  readonly longs: fc.Arbitrary<number | bigint>
}

/** Avro schemas of a bounded size, each with an arbitrary of its values. */
export function schemasWithValues(options: SchemaOptions): fc.Arbitrary<SchemaWithValues> {
  const { plan } = fc.letrec<{ plan: Plan }>((tie) => ({
    plan: fc.oneof(
      { maxDepth: 3, depthSize: 'small' },
      leaf(options),
      tie('plan').map(arrayOf),
      tie('plan').map(mapOf),
      fc.array(tie('plan'), { maxLength: 4 }).map(recordOf),
      // A union in a union is no schema.
      leaf(options).map(nullable),
      fc.array(tie('plan'), { maxLength: 3 }).map((plans) => nullable(recordOf(plans))),
    ),
  }))
  return plan.map((make) => {
    let taken = 0
    return make((kind) => `${kind}${taken++}`)
  })
}

function leaf({ logical, longs }: SchemaOptions): fc.Arbitrary<Plan> {
  const simple: [unknown, fc.Arbitrary<unknown>][] = [
    ['boolean', fc.boolean()],
    ['int', fc.integer()],
    ['long', longs],
    ['float', fc.float()],
    ['double', fc.double()],
    ['string', fc.string({ unit: 'binary', maxLength: 12 })],
    ['bytes', buffers(12)],
    [{ type: 'array', items: 'string' }, fc.array(fc.string({ maxLength: 4 }), { maxLength: 4 })],
  ]
  if (logical) {
    simple.push(
      [{ type: 'long', logicalType: 'timestamp-millis' }, dates(8.64e15, 1)],
      [{ type: 'long', logicalType: 'timestamp-micros' }, dates(9e12, 1)],
      [{ type: 'int', logicalType: 'date' }, dates(8.64e15, 86_400_000)],
      [{ type: 'bytes', logicalType: 'decimal', precision: 24, scale: 3 }, decimals(21, 3)],
    )
  }
  const named: Plan[] = [
    (name) => ({
      schema: { type: 'enum', name: name('Enum'), symbols: ['A', 'B', 'C'] },
      values: fc.constantFrom('A', 'B', 'C'),
    }),
    (name) => ({ schema: { type: 'fixed', name: name('Fixed'), size: 5 }, values: buffers(5, 5) }),
  ]
  return fc.constantFrom(
    ...simple.map(
      ([schema, values]): Plan =>
        () => ({ schema, values }),
    ),
    ...named,
  )
}

const arrayOf =
  (items: Plan): Plan =>
  (name) => {
    const { schema, values } = items(name)
    return { schema: { type: 'array', items: schema }, values: fc.array(values, { maxLength: 4 }) }
  }

const mapOf =
  (items: Plan): Plan =>
  (name) => {
    const { schema, values } = items(name)
    const keys = fc.string({ unit: 'binary', maxLength: 5 }).filter((key) => key !== '__proto__')
    return {
      schema: { type: 'map', values: schema },
      values: fc.dictionary(keys, values, { maxKeys: 4, noNullPrototype: true }),
    }
  }

const recordOf =
  (plans: readonly Plan[]): Plan =>
  (name) => {
    const own = name('Record')
    const fields = plans.map((make, index) => ({ name: `f${index}`, ...make(name) }))
    return {
      schema: {
        type: 'record',
        name: own,
        fields: fields.map(({ name: field, schema }) => ({ name: field, type: schema })),
      },
      values: fc.record(Object.fromEntries(fields.map((field) => [field.name, field.values])), {
        noNullPrototype: true,
      }),
    }
  }

const nullable =
  (inner: Plan): Plan =>
  (name) => {
    const { schema, values } = inner(name)
    return { schema: ['null', schema], values: fc.option(values) }
  }

function buffers(maxLength: number, minLength = 0): fc.Arbitrary<Buffer> {
  return fc.uint8Array({ minLength, maxLength }).map((bytes) => Buffer.from(bytes))
}

function dates(maxMs: number, unitMs: number): fc.Arbitrary<Date> {
  const most = Math.floor(maxMs / unitMs)
  return fc.integer({ min: -most, max: most }).map((units) => new Date(units * unitMs))
}

function decimals(digits: number, scale: number): fc.Arbitrary<string> {
  const limit = 10n ** BigInt(digits)
  const fraction = 10n ** BigInt(scale)
  return fc.bigInt({ min: 1n - limit, max: limit - 1n }).map((unscaled) => {
    const magnitude = unscaled < 0n ? -unscaled : unscaled
    return `${unscaled < 0n ? '-' : ''}${magnitude / fraction}.${String(magnitude % fraction).padStart(scale, '0')}`
  })
}
