/** The Avro schema of the topic `flights`. `as const` is what gives `avro(flightSchema)` its type. */
export const flightSchema = {
  type: 'record',
  name: 'Flight',
  namespace: 'flights',
  fields: [
    { name: 'date', type: { type: 'long', logicalType: 'timestamp-millis' } },
    { name: 'delay', type: 'int' },
    { name: 'distance', type: 'int' },
    { name: 'origin', type: 'string' },
    { name: 'destination', type: 'string' },
    { name: 'remark', type: ['null', 'string'], default: null },
  ],
} as const

/** The id that a schema registry would have given to the schema: it stands in the 5 bytes before each value. */
export const flightSchemaId = 1

/** A flight as the topic carries it. */
export interface Flight {
  readonly date: Date
  /** Minutes late; below 0 when early. */
  readonly delay: number
  /** Miles. */
  readonly distance: number
  readonly origin: string
  readonly destination: string
  readonly remark: string | null
}
