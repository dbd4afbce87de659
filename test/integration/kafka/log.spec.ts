/** What only a real log holds: transactions, compression, large batches, topics that are made anew. */
import { CompressionTypes, type Transaction } from 'kafkajs'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import type { RecordChunk } from '../../../src/core/record.ts'
import type { AssignedPartition, SourceClient } from '../../../src/core/source.ts'
import { createKafkaClient } from '../../../src/kafka/kafkaClient.ts'
import { readRecords } from '../../contracts/sourceClient.ts'
import { type KafkaHarness, openKafkaHarness } from './kafkaHarness.ts'

let harness: KafkaHarness
let topic: string
let unique = 0
const clients: SourceClient[] = []

beforeAll(async () => {
  harness = await openKafkaHarness()
})
afterAll(() => harness.close())
beforeEach(async () => {
  topic = `log-${process.pid}-${Date.now()}-${unique++}`
  await harness.createTopic(topic, 1)
})
afterEach(async () => {
  await Promise.all(clients.splice(0).map((client) => client.stop(5_000)))
})

async function openPartition(settings: object = {}): Promise<AssignedPartition> {
  const client = createKafkaClient({ ...harness.settings(`group-${topic}`), ...settings })
  clients.push(client)
  return new Promise((resolve, reject) => {
    client.start([topic], ({ partitions: [first] }) => first && resolve(first), reject).catch(reject)
  })
}

/** Reads until the position reaches the end, as a service does that catches up. */
async function readToEnd(partition: AssignedPartition, offset = 0): Promise<RecordChunk[]> {
  const { end } = await partition.bounds()
  const chunks: RecordChunk[] = []
  let position = offset
  if (position >= end) return chunks
  for await (const chunk of partition.read(offset)) {
    chunks.push(chunk)
    position = chunk.nextOffset
    if (position >= end) break
  }
  expect(position).toBe(end)
  return chunks
}

function values(chunks: readonly RecordChunk[]): (string | undefined)[] {
  return chunks.flatMap((chunk) => [...Array(chunk.size).keys()].map((index) => chunk.value(index)?.toString()))
}

/** A producer with a transaction of its own at a time. */
async function withTransactions<T>(
  count: number,
  work: (begin: (producer: number) => Promise<Transaction>) => Promise<T>,
): Promise<T> {
  const producers = Array.from({ length: count }, (_, index) =>
    harness.kafka.producer({ transactionalId: `tx-${topic}-${index}`, idempotent: true, maxInFlightRequests: 1 }),
  )
  await Promise.all(producers.map((producer) => producer.connect()))
  try {
    return await work((index) => {
      const producer = producers[index]
      if (producer === undefined) throw new Error(`no producer ${index}`)
      return producer.transaction()
    })
  } finally {
    await Promise.all(producers.map((producer) => producer.disconnect()))
  }
}

const message = (value: string, key: Buffer | string | null = null) => ({
  topic,
  messages: [{ key, value, partition: 0 }],
})

describe('transactions', { timeout: 60_000 }, () => {
  it('shows what was committed and nothing that was aborted, when transactions of several producers overlap', async () => {
    await withTransactions(3, async (begin) => {
      const [a, b, c] = [await begin(0), await begin(1), await begin(2)]
      await a.send(message('a-aborted-1'))
      await b.send(message('b-committed-1'))
      await c.send(message('c-aborted-1'))
      await a.send(message('a-aborted-2'))
      await harness.append(topic, 0, [{ value: 'plain' }])
      await c.abort()
      const again = await begin(2)
      await again.send(message('c-committed'))
      await a.abort()
      await b.send(message('b-committed-2'))
      await again.commit()
      await b.commit()
      const last = await begin(0)
      await last.send(message('a-aborted-3'))
      await last.abort()
    })
    const partition = await openPartition()
    expect(values(await readToEnd(partition))).toEqual(['b-committed-1', 'plain', 'c-committed', 'b-committed-2'])
  })

  it('reads the same from every offset, markers and aborted records included', async () => {
    await withTransactions(2, async (begin) => {
      for (let round = 0; round < 4; round++) {
        const [kept, lost] = [await begin(0), await begin(1)]
        await lost.send(message(`lost-${round}`))
        await kept.send(message(`kept-${round}`))
        await lost.abort()
        await kept.commit()
      }
    })
    const partition = await openPartition()
    const { end } = await partition.bounds()
    const all = (await readToEnd(partition)).flatMap((chunk) =>
      [...Array(chunk.size).keys()].map((index) => [chunk.offset(index), chunk.value(index)?.toString()] as const),
    )
    expect(all.map(([, value]) => value)).toEqual(['kept-0', 'kept-1', 'kept-2', 'kept-3'])
    for (let from = 0; from < end; from++) {
      const expected = all.filter(([offset]) => offset >= from).map(([, value]) => value)
      expect(values(await readToEnd(partition, from)), `from ${from}`).toEqual(expected)
    }
  })

  it('takes a record with a key of four zero bytes for a record, beside aborted ones', async () => {
    await withTransactions(2, async (begin) => {
      const [kept, lost] = [await begin(0), await begin(1)]
      await lost.send(message('lost-1'))
      await lost.send(message('looks like a marker', Buffer.alloc(4)))
      await lost.send(message('lost-2'))
      await kept.send(message('kept', Buffer.alloc(4)))
      await lost.abort()
      await kept.commit()
    })
    const partition = await openPartition()
    expect(values(await readToEnd(partition))).toEqual(['kept'])
  })

  it('moves on where there was nothing but an aborted transaction', async () => {
    await withTransactions(1, async (begin) => {
      const lost = await begin(0)
      await lost.send(message('lost'))
      await lost.abort()
    })
    const partition = await openPartition()
    const chunks = await readToEnd(partition)
    expect(chunks.map((chunk) => chunk.size)).toEqual([0])
    expect(await partition.recordAt(0)).toBeUndefined()
  })

  it('ends at what is decided: an open transaction is neither read nor counted as lag', async () => {
    await withTransactions(1, async (begin) => {
      await harness.append(topic, 0, [{ value: 'before' }])
      const open = await begin(0)
      await open.send(message('undecided'))
      await harness.append(topic, 0, [{ value: 'behind' }])
      const partition = await openPartition()
      expect(await partition.bounds()).toEqual({ start: 0, end: 1 })
      const reading = readRecords(partition, 0, 3)
      await open.commit()
      expect((await reading).map(({ value }) => value)).toEqual(['before', 'undecided', 'behind'])
    })
  })
})

describe('the log', { timeout: 60_000 }, () => {
  it('is read when it is compressed, beside what is not', async () => {
    const produce = (from: number, compression: CompressionTypes): Promise<unknown> =>
      harness.producer.send({
        topic,
        compression,
        messages: Array.from({ length: 100 }, (_, index) => ({ value: `v${from + index}`, partition: 0 })),
      })
    await produce(0, CompressionTypes.GZIP)
    await produce(100, CompressionTypes.None)
    await produce(200, CompressionTypes.GZIP)
    const partition = await openPartition()
    expect(values(await readToEnd(partition))).toEqual(Array.from({ length: 300 }, (_, index) => `v${index}`))
    expect(values(await readToEnd(partition, 250))).toHaveLength(50)
  })

  it('is read though a batch is larger than what one fetch may bring', async () => {
    const large = 'x'.repeat(300_000)
    await harness.append(topic, 0, [{ value: 'small' }])
    await harness.append(topic, 0, [{ value: large }, { value: large }])
    await harness.append(topic, 0, [{ value: 'last' }])
    const partition = await openPartition({ fetchMaxBytes: 1_000, fetchMaxBytesPerPartition: 1_000 })
    expect(values(await readToEnd(partition)).map((value) => value?.length)).toEqual([5, 300_000, 300_000, 4])
  })

  it('is refused where a batch unpacks to more than the setting allows', async () => {
    const messages = [{ value: 'x'.repeat(20_000), partition: 0 }]
    await harness.producer.send({ topic, compression: CompressionTypes.GZIP, messages })
    const partition = await openPartition({ maxUnpackedBytes: 10_000 })
    await expect(readToEnd(partition)).rejects.toMatchObject({ code: 'MR-KAFKA-BATCH-SIZE' })
  })

  it('that was made anew is a gap with a name, and another record at the old position', async () => {
    await harness.append(topic, 0, [{ value: 'old 0' }, { value: 'old 1' }, { value: 'old 2' }])
    const partition = await openPartition()
    expect(values(await readToEnd(partition))).toHaveLength(3)
    const reading = readRecords(partition, 3, 1).then(
      () => undefined,
      (error: { code: string }) => error.code,
    )
    await harness.admin.deleteTopics({ topics: [topic] })
    await harness.createTopic(topic, 1)
    await harness.append(topic, 0, [{ value: 'new 0' }])
    expect(await reading).toBe('MR-KAFKA-OFFSET-GAP')
    expect((await partition.recordAt(0))?.value(0)?.toString()).toBe('new 0')
  })
})
