/** Hostile records and values through the whole runtime, each between two good ones of the same batch. */
import { deepStrictEqual, ok } from 'node:assert'
import fc from 'fast-check'
import { table } from '../../sinks/table.ts'
import { avro, json } from '../../src/codecs/index.ts'
import type { Codec } from '../../src/core/codec.ts'
import { type Plan, type Stream, stream } from '../../src/stream.ts'
import { createMemoryBroker } from '../../src/testing/memoryBroker.ts'
import { topic } from '../../src/topic.ts'
import { damaged, type HostileRecord, hostileJson, hostileRecord, hostileValue } from './hostile.ts'
import { startRunner } from './runner.ts'

interface Order {
  readonly n: number
  readonly at?: string
}

const orderSchema = {
  type: 'record',
  name: 'Order',
  fields: [
    { name: 'n', type: 'int' },
    { name: 'at', type: ['null', 'string'], default: null },
  ],
} as const
const olderSchema = { ...orderSchema, fields: [orderSchema.fields[0]] }

interface Case {
  readonly codec: Codec<Order>
  /** Bad bytes of the kind that the codec reads. */
  readonly bad: fc.Arbitrary<Buffer>
}

const avroOrders: Codec<Order> = avro<Order>(orderSchema, {
  framing: { confluent: { 1: olderSchema, 2: orderSchema } },
})
const honest = fc
  .tuple(fc.nat(), fc.option(fc.string({ maxLength: 5 })))
  .map(([n, at]) => avroOrders.encode({ n, at } as Order))

const cases: Readonly<Record<string, Case>> = {
  json: { codec: json<Order>(), bad: damaged(hostileJson) },
  // Also schemas that nobody registered, and another one than was written.
  avro: {
    codec: avroOrders,
    bad: fc.oneof(
      damaged(honest),
      fc.tuple(honest, fc.nat({ max: 3 })).map(([bytes, id]) => {
        const copy = Buffer.from(bytes)
        copy.writeUInt32BE(id, 1)
        return copy
      }),
    ),
  },
}

const rows = table<{ n: number; label: string }>('rows')
const latest = table<{ n: number; label: string }>('latest', { key: 'n' })

/** What a user might do with an order: everything that throws on one that is none. */
const label = ({ n, at }: Order) =>
  `${n.toFixed(0)}${at === undefined || at === null ? '' : new Date(at).toISOString()}`

const plans: Readonly<Record<string, (orders: Stream<Order>) => Plan>> = {
  plain: (orders) => orders.to(rows, (order) => ({ n: order.n, label: label(order) })),
  'with all that a record has': (orders) =>
    orders
      .tap((_, { record }) => {
        void [record.header('same'), record.key?.toString(), record.value?.length, record.timestamp.getTime()]
      })
      .to(rows, (order) => ({ n: order.n, label: label(order) })),
  'in groups': (orders) =>
    orders
      .batch({ max: 3 })
      .map((group) => group.map((order) => ({ n: order.n, label: label(order) })))
      .flatten()
      .to(rows),
  asynchronously: (orders) =>
    orders.mapAsync(async (order) => ({ n: order.n, label: label(order) }), { concurrency: 3 }).to(rows),
  'into two tables': (orders) => {
    const labelled = orders.map((order) => ({ n: order.n, label: label(order) }))
    return [labelled.to(rows), labelled.to(latest)]
  },
}

export interface Burst {
  readonly codec: string
  readonly plan: string
  readonly records: readonly HostileRecord[]
  readonly chunkRecords: number
  readonly maxItems: number
}

export const burst: fc.Arbitrary<Burst> = fc.constantFrom(...Object.keys(cases)).chain((codec) =>
  fc.record({
    codec: fc.constant(codec),
    plan: fc.constantFrom(...Object.keys(plans)),
    records: fc.array(hostileRecord((cases[codec] as Case).bad), { minLength: 1, maxLength: 12 }),
    chunkRecords: fc.integer({ min: 1, max: 30 }),
    maxItems: fc.integer({ min: 1, max: 30 }),
  }),
)

/** @throws when a good neighbour is missing or doubled, an item has no outcome, or the service stops */
export async function amongNeighbours({ codec, plan, records, chunkRecords, maxItems }: Burst): Promise<void> {
  const chosen = cases[codec] as Case
  const orders = topic('orders', chosen.codec)
  const broker = createMemoryBroker({ chunkRecords })
  broker.createTopic('orders', 1)
  const good = (n: number) => broker.append('orders', 0, { value: chosen.codec.encode({ n: first + n }) })
  // No record that only looks like a good one is in the way.
  const first = 1_000_000_000
  for (const [index, record] of records.entries()) {
    good(index)
    broker.append('orders', 0, record)
  }
  good(records.length)
  const count = 2 * records.length + 1
  const service = await startRunner((plans[plan] as (typeof plans)['plain'])(stream('orders').from(orders)), {
    client: broker.client('fuzz'),
    maxItems,
  })
  await service.readUpTo(count)
  const { outcomes, items } = service
  deepStrictEqual([items, outcomes.failed, outcomes.deferred, outcomes.broken, outcomes.ignored], [count, 0, 0, 0, 0])
  const sum = Object.values(outcomes).reduce((total, each) => total + each, 0)
  deepStrictEqual(sum, count, 'outcomes add up')
  const collected = service.store.collected
  deepStrictEqual(collected.length, outcomes.collected, 'what is collected is in the collector')
  for (const { error } of collected) ok(error.message.length > 0, 'an error without a text')
  const seen = service.store.rows('rows').map(({ n }) => n)
  for (let n = 0; n <= records.length; n++) {
    deepStrictEqual(seen.filter((each) => each === first + n).length, 1, `the row of neighbour ${n}`)
  }
  deepStrictEqual(seen.length, outcomes.done, 'rows are those of items that are done')
  await service.stop()
}

/** Rows and throws of any kind, each between two good ones. */
export const deeds = fc.array(
  fc.record({ value: hostileValue, deed: fc.constantFrom('row', 'throw', 'reject', 'key') }),
  { minLength: 1, maxLength: 10 },
)

type Deeds = typeof deeds extends fc.Arbitrary<infer T> ? T : never

export async function hostileDeeds(all: Deeds): Promise<void> {
  const numbers = topic('numbers', json<number>())
  const broker = createMemoryBroker()
  broker.createTopic('numbers', 1)
  const count = 2 * all.length + 1
  for (let n = 0; n < count; n++) broker.append('numbers', 0, { value: Buffer.from(String(n)) })
  const deedOf = (n: number) => (n % 2 === 1 ? all[n >> 1] : undefined)
  const plan = stream('deeds')
    .from(numbers)
    .map((n) => {
      const deed = deedOf(n)
      if (deed?.deed === 'throw') throw deed.value
      return n
    })
    .mapAsync((n) => (deedOf(n)?.deed === 'reject' ? Promise.reject(deedOf(n)?.value) : Promise.resolve(n)))
    .batch({ max: 4, by: (n) => (deedOf(n)?.deed === 'key' ? deedOf(n)?.value : 'same') })
    .flatten()
    .to(rows, (n) => (deedOf(n)?.deed === 'row' ? (deedOf(n)?.value as never) : { n, label: 'good' }))
  const service = await startRunner(plan, { client: broker.client('fuzz'), maxItems: 30 })
  await service.readUpTo(count)
  const { done, collected } = service.outcomes
  deepStrictEqual(done + collected, count, 'outcomes add up')
  deepStrictEqual(service.store.collected.length, collected)
  const good = service.store.rows('rows').filter((row) => row.label === 'good')
  const expected = Array.from({ length: count }, (_, n) => n).filter(
    (n) => !['row', 'throw', 'reject'].includes(deedOf(n)?.deed ?? ''),
  )
  deepStrictEqual(
    good.map(({ n }) => n as number).sort((a, b) => a - b),
    expected,
    'the rows of the good ones',
  )
  await service.stop()
}
