import { beforeEach, describe, expect, it } from 'vitest'
import { type ErrorText, SourceError } from '../../src/core/errors.ts'
import { silentLogger } from '../../src/core/logger.ts'
import type { RecordChunk } from '../../src/core/record.ts'
import { recordListChunk } from '../../src/core/recordListChunk.ts'
import type { Connections } from '../../src/kafka/connections.ts'
import { Fetcher } from '../../src/kafka/fetcher.ts'
import type { FetchedPartition, FetchRequest } from '../../src/kafka/fetchProtocol.ts'
import type { FetchSlot } from '../../src/kafka/fetchSlot.ts'
import { loadKafkajs } from '../../src/kafka/kafkajsInternals.ts'
import { PartitionReader } from '../../src/kafka/partitionReader.ts'
import { resolveKafkaSettings } from '../../src/kafka/settings.ts'
import { ManualClock, settle } from './manualClock.ts'

const kafkajs = loadKafkajs()
const settings = resolveKafkaSettings({ brokers: ['b:9092'], groupId: 'g', fetchMaxWaitMs: 250, giveUpAfterMs: 10_000 })

type Answer = Partial<FetchedPartition> & { readonly nexts?: readonly number[] }

/** Brokers whose answers the test gives: each fetch waits until `answer` or `refuse` is called. */
class Brokers {
  readonly leaders = new Map<string, number>()
  readonly asked: {
    node: number
    request: FetchRequest
    answer(...of: Answer[]): void
    refuse(error: unknown): void
  }[] = []
  readonly closing = new AbortController()
  refreshes = 0
  onRefresh = (): void => {}
  topicErrors: { topic: string; code: number }[] = []

  /** The newest fetch that was not answered. */
  get open() {
    const found = this.asked.at(-1)
    if (found === undefined) throw new Error('nothing was fetched')
    return found
  }

  /** What the fetches asked for: `partition@offset` each. */
  get questions(): string[] {
    return this.asked.map(({ request }) =>
      request.partitions
        .map((p) => `${p.partition}@${p.offset}`)
        .sort()
        .join(' '),
    )
  }

  get connections(): Connections {
    const fake = {
      kafkajs,
      context: { settings, sightings: () => [], served: () => true },
      closed: this.closing.signal,
      partitionsOf: (topic: string) => {
        const failed = this.topicErrors.find((one) => one.topic === topic)
        if (failed) throw kafkajs.createErrorFromCode(failed.code)
        return []
      },
      cluster: {
        brokerPool: { metadata: this.#metadata() },
        refreshMetadata: async () => {
          this.refreshes++
          this.onRefresh()
          fake.cluster.brokerPool.metadata = this.#metadata()
        },
        findBroker: async ({ nodeId }: { nodeId: number }) => ({ nodeId }),
      },
      fetch: ({ nodeId }: { nodeId: number }, request: FetchRequest) =>
        new Promise((resolve, reject) => {
          const answer = (...of: Answer[]): void =>
            resolve(
              of.map((one) => ({
                topic: 't',
                partition: 0,
                errorCode: 0,
                startOffset: 0,
                endOffset: 1_000,
                aborted: [],
                records: Buffer.from(JSON.stringify(one.nexts ?? [])),
                ...(one.nexts ? {} : { records: Buffer.alloc(0) }),
                ...one,
              })),
            )
          this.asked.push({ node: nodeId, request, answer, refuse: reject })
        }),
    }
    return fake as unknown as Connections
  }

  #metadata() {
    const partitionMetadata = [...this.leaders].map(([name, leader]) => ({ partitionId: Number(name), leader }))
    return { topicMetadata: [{ topic: 't', partitionMetadata }], topicErrors: this.topicErrors }
  }
}

/** The bytes of an answer are the positions after each of its chunks. */
async function* decode(fetched: FetchedPartition, offset: number): AsyncGenerator<RecordChunk> {
  let position = offset
  for (const nextOffset of JSON.parse(fetched.records.toString()) as number[]) {
    if (nextOffset < 0) throw new SourceError('MR-KAFKA-BATCH-MALFORMED', { what: 'bad bytes' } satisfies ErrorText)
    const records = [{ offset: position, timestamp: 0, key: null, value: null, headers: [] }]
    yield recordListChunk({ topic: fetched.topic, partition: fetched.partition, records, nextOffset, endOffset: 1_000 })
    position = nextOffset
  }
}

describe('Fetcher', () => {
  let clock: ManualClock
  let brokers: Brokers
  let fetcher: Fetcher
  let slots: FetchSlot[]
  let bounds: { start: number; end: number }

  beforeEach(() => {
    clock = new ManualClock()
    brokers = new Brokers()
    bounds = { start: 0, end: 1_000 }
  })

  /** Assigns the partitions, each led by the node that stands at its place. */
  const assign = (...leaders: number[]): void => {
    leaders.forEach((leader, partition) => {
      if (leader >= 0) brokers.leaders.set(String(partition), leader)
    })
    const connections = brokers.connections
    fetcher = new Fetcher({ connections, clock, logger: silentLogger, decode, bounds: async () => bounds })
    slots = leaders.map((_, partition) => ({ topic: 't', partition, reader: undefined }))
    fetcher.assign(slots)
  }
  const read = (partition: number, offset = 0): PartitionReader => {
    const reader = new PartitionReader(offset, () => fetcher.wake())
    const slot = slots[partition]
    if (slot) slot.reader = reader
    return reader
  }
  const nextOf = async (reader: PartitionReader): Promise<number | undefined> => (await reader.next()).value?.nextOffset

  it('fetches nothing while nobody asks, and one answer ahead of who does', async () => {
    assign(1)
    const reader = read(0)
    await settle()
    expect(brokers.asked).toHaveLength(0)
    const first = nextOf(reader)
    await settle()
    brokers.open.answer({ nexts: [10] })
    expect(await first).toBe(10)
    await settle()
    brokers.open.answer({ nexts: [20] })
    await clock.advance(2_000)
    expect(brokers.questions).toEqual(['0@0', '0@10'])
    expect(await nextOf(reader)).toBe(20)
    await settle()
    expect(brokers.questions).toEqual(['0@0', '0@10', '0@20'])
  })

  it('lets the broker wait only when the request holds all it leads that is read', async () => {
    assign(1, 1, 2)
    const [slow, idle, other] = [read(0), read(1), read(2)]
    const asked = [slow, idle, other].map((reader) => reader.next())
    await settle()
    const of = (node: number) => brokers.asked.filter((fetch) => fetch.node === node).map(({ request }) => request)
    expect(of(1).map(({ maxWaitMs, partitions }) => [maxWaitMs, partitions.length])).toEqual([[250, 2]])
    expect(of(2).map(({ maxWaitMs, partitions }) => [maxWaitMs, partitions.length])).toEqual([[250, 1]])
    brokers.asked.find(({ node }) => node === 1)?.answer({ partition: 0, nexts: [5, 6] }, { partition: 1 })
    await asked[0]
    await settle()
    expect(
      of(1)
        .map(({ maxWaitMs, partitions }) => [maxWaitMs, partitions.length])
        .slice(1),
    ).toEqual([[0, 1]])
  })

  it('asks for idle partitions without waiting while another one is worked on, and is woken when that is free', async () => {
    assign(1, 1)
    const [busy, idle] = [read(0), read(1)]
    void idle.next()
    const first = busy.next()
    await settle()
    brokers.open.answer({ partition: 0, nexts: [5] }, { partition: 1 })
    await first
    await settle()
    brokers.open.answer({ partition: 0, nexts: [9] }, { partition: 1 })
    await settle()
    // Partition 0 holds a chunk that nobody took.
    expect([brokers.questions.at(-1), brokers.open.request.maxWaitMs]).toEqual(['1@0', 0])
    brokers.open.answer({ partition: 1 })
    await settle()
    const count = brokers.asked.length
    await clock.advance(20)
    expect(brokers.asked).toHaveLength(count)
    expect(await nextOf(busy)).toBe(9)
    await settle()
    expect(brokers.questions.at(-1)).toBe('0@9 1@0')
    expect(clock.pending).toEqual([])
  })

  it('asks again after a moment when nothing wakes it', async () => {
    assign(1, 1)
    const [held, idle] = [read(0), read(1)]
    void idle.next()
    const first = held.next()
    await settle()
    brokers.open.answer({ partition: 0, nexts: [5, 6] }, { partition: 1 })
    await first
    await settle()
    brokers.open.answer({ partition: 1 })
    await settle()
    const count = brokers.asked.length
    await clock.advance(25)
    expect(brokers.asked).toHaveLength(count + 1)
  })

  it('does not poll for the sake of a partition that is assigned and not read', async () => {
    assign(1, 1)
    const reader = read(1)
    void reader.next()
    await settle()
    expect(brokers.open.request.maxWaitMs).toBe(0)
    for (let round = 0; round < 60 && brokers.open.request.maxWaitMs === 0; round++) {
      brokers.open.answer({ partition: 1 })
      await clock.advance(25)
    }
    expect(brokers.open.request.maxWaitMs).toBe(250)
  })

  it('hands over several chunks of one answer, the next only when the last was taken', async () => {
    assign(1)
    const reader = read(0)
    const first = nextOf(reader)
    await settle()
    brokers.open.answer({ nexts: [3, 7, 9] })
    expect(await first).toBe(3)
    await settle()
    expect(brokers.questions).toEqual(['0@0'])
    expect([await nextOf(reader), await nextOf(reader)]).toEqual([7, 9])
    await settle()
    expect(brokers.questions).toEqual(['0@0', '0@9'])
  })

  it('drops an answer to a reader that was closed or replaced meanwhile', async () => {
    assign(1)
    const old = read(0)
    const ended = old.next()
    await settle()
    old.close()
    const reader = read(0, 50)
    const first = nextOf(reader)
    brokers.open.answer({ nexts: [10] })
    await settle()
    expect((await ended).done).toBe(true)
    brokers.open.answer({ nexts: [60] })
    expect(await first).toBe(60)
    expect(brokers.questions.slice(0, 2)).toEqual(['0@0', '0@50'])
  })

  it('does not hold an error of a closed reader against the one that replaced it', async () => {
    assign(1)
    const old = read(0, 2_000)
    void old.next()
    await settle()
    old.close()
    const reader = read(0, 50)
    const first = nextOf(reader)
    brokers.open.answer({ errorCode: 6 })
    await settle()
    expect([brokers.questions, brokers.refreshes]).toEqual([['0@2000', '0@50'], 0])
    brokers.open.answer({ nexts: [60] })
    expect(await first).toBe(60)
  })

  it('ends the readers of an assignment that is replaced', async () => {
    assign(1)
    const ended = read(0).next()
    await settle()
    fetcher.assign([])
    expect((await ended).done).toBe(true)
    brokers.open.answer({ nexts: [10] })
    await clock.advance(5_000)
    expect(brokers.asked).toHaveLength(1)
  })

  it('asks the leader that moved, and leaves the other partitions alone', async () => {
    assign(1, 1)
    const [moved, stays] = [read(0), read(1)]
    const first = nextOf(moved)
    void stays.next()
    await settle()
    brokers.onRefresh = () => brokers.leaders.set('0', 2)
    brokers.open.answer({ partition: 0, errorCode: 6 })
    await clock.advance(200)
    const onNewLeader = brokers.asked.find(({ node }) => node === 2)
    onNewLeader?.answer({ partition: 0, nexts: [4] })
    expect(await first).toBe(4)
    expect(stays.closed).toBe(false)
  })

  it('waits for a partition without a leader, and names it when it gives up', async () => {
    assign(-1, 1)
    const [lost, fine] = [read(0), read(1)]
    const failure = lost.next().catch((error: unknown) => error)
    void fine.next()
    await clock.advance(20_000)
    expect(await failure).toMatchObject({
      code: 'MR-KAFKA-UNREACHABLE',
      place: { topic: 't', partition: 0, offset: 0 },
    })
    expect(fine.closed).toBe(false)
  })

  it('names a topic that was deleted when it gives up on it', async () => {
    assign(-1)
    brokers.topicErrors = [{ topic: 't', code: 3 }]
    const failure = read(0)
      .next()
      .catch((error: unknown) => error)
    await clock.advance(20_000)
    expect(await failure).toMatchObject({ code: 'MR-KAFKA-TOPIC-MISSING', place: { topic: 't' } })
  })

  it('fails a reader whose position is outside the log, never moves it, and goes on with the others', async () => {
    assign(1, 1)
    bounds = { start: 40, end: 90 }
    const [outside, fine] = [read(0, 7), read(1)]
    const failure = outside.next().catch((error: unknown) => error)
    const other = nextOf(fine)
    await settle()
    await settle()
    brokers.asked[0]?.answer({ partition: 0, errorCode: 1 })
    await clock.advance(100)
    expect(await failure).toMatchObject({ code: 'MR-KAFKA-OFFSET-GAP', place: { partition: 0, offset: 7 } })
    brokers.open.answer({ partition: 1, nexts: [3] })
    expect(await other).toBe(3)
    expect(brokers.questions.filter((question) => question.includes('0@') && !question.includes('0@7'))).toEqual([])
  })

  it('asks again when the log does hold the position: a new leader may not have caught up', async () => {
    assign(1)
    const reader = read(0, 7)
    const first = nextOf(reader)
    await settle()
    brokers.open.answer({ errorCode: 1 })
    await clock.advance(500)
    brokers.open.answer({ nexts: [8] })
    expect(await first).toBe(8)
  })

  it('fails only the partition whose bytes cannot be read, after what came before them', async () => {
    assign(1, 1)
    const [bad, fine] = [read(0), read(1)]
    const first = nextOf(bad)
    const other = nextOf(fine)
    await settle()
    brokers.open.answer({ partition: 0, nexts: [5, -1] })
    expect(await first).toBe(5)
    await expect(bad.next()).rejects.toThrow('MR-KAFKA-BATCH-MALFORMED')
    await clock.advance(50)
    brokers.open.answer({ partition: 1, nexts: [3] })
    expect(await other).toBe(3)
  })

  it('fails a reader whose answers hold no whole batch, rather than ask for ever', async () => {
    assign(1)
    const failure = read(0)
      .next()
      .catch((error: unknown) => error)
    await settle()
    brokers.open.answer({ records: Buffer.from('[]') })
    expect(await failure).toMatchObject({ code: 'MR-KAFKA-PROTOCOL' })
  })

  it('tries again when the broker does not answer, and gives up after a time', async () => {
    assign(1)
    const reader = read(0)
    const failure = reader.next().catch((error: unknown) => error)
    await settle()
    const lost = Object.assign(new Error('Connection error: read ECONNRESET'), { name: 'KafkaJSConnectionError' })
    for (let round = 0; round < 40 && !reader.closed; round++) {
      brokers.open.refuse(lost)
      await clock.advance(1_000)
    }
    expect(await failure).toMatchObject({ code: 'MR-KAFKA-UNREACHABLE', retryable: true })
    expect(brokers.asked.length).toBeGreaterThan(3)
    expect(brokers.refreshes).toBeGreaterThan(3)
  })

  it('stops at once on an error that no retry helps with', async () => {
    assign(1)
    const failure = read(0)
      .next()
      .catch((error: unknown) => error)
    await settle()
    brokers.open.answer({ errorCode: 29 })
    expect(await failure).toMatchObject({ code: 'MR-KAFKA-AUTHORIZATION' })
  })

  it('ends its loops when the client is closed', async () => {
    assign(1)
    void read(0).next()
    await settle()
    brokers.closing.abort()
    brokers.open.refuse(new Error('the client is closed'))
    await clock.advance(10_000)
    expect(brokers.asked).toHaveLength(1)
    expect(clock.pending).toEqual([])
  })
})
