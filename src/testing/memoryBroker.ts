/**
 * A broker in this process's memory that speaks the same port as the Kafka client, with groups, rebalances, retention
 * and partitions that are added. For tests of what reads from a source, and for trying things out without Kafka.
 * Everything happens at the next microtask, so runs repeat exactly.
 */
import { setMaxListeners } from 'node:events'
import { InternalError } from '../core/errors.ts'
import type { RecordHeader } from '../core/record.ts'
import type { AssignedPartition, Assignment, LogBounds, SourceClient, TopicPartition } from '../core/source.ts'
import { assignPartitions } from '../kafka/assign.ts'
import { PartitionReader } from '../kafka/partitionReader.ts'
import { type PlainRecord, recordListChunk } from '../kafka/recordListChunk.ts'
import { missingTopic, offsetGap } from '../kafka/sourceErrors.ts'

/** A record to append; what is left out is null, no headers, and 0. */
export interface MemoryRecord {
  readonly key?: Buffer | null
  readonly value?: Buffer | null
  readonly headers?: readonly RecordHeader[]
  /** Milliseconds since the epoch. */
  readonly timestamp?: number
}

export interface MemoryBroker {
  /** Throws when the topic exists. */
  createTopic(topic: string, partitions: number): void
  /** Adds partitions up to `partitions`; groups that read the topic rebalance. */
  addPartitions(topic: string, partitions: number): void
  /** Appends one record and answers with its offset. */
  append(topic: string, partition: number, record: MemoryRecord): number
  /** Leaves `positions` offsets unused, as transaction markers and compaction do. */
  skip(topic: string, partition: number, positions: number): void
  /** Forgets the records before an offset, as retention does. */
  deleteBefore(topic: string, partition: number, offset: number): void
  /** A new member-to-be of the group. */
  client(groupId: string): SourceClient
  /** Lets all members of the group join again. */
  rebalance(groupId: string): void
  /**
   * Takes a member out of its group without telling it, as Kafka does with a process that slept through its session:
   * the others get its partitions while it reads on.
   */
  expel(client: SourceClient): void
  /** What a member of the group last hinted at. */
  committed(groupId: string, partition: TopicPartition): number | undefined
}

export interface MemoryBrokerOptions {
  /** Most records of one chunk. Default 1,000. */
  readonly chunkRecords?: number
}

interface Log {
  readonly records: PlainRecord[]
  start: number
  end: number
  readonly readers: Set<PartitionReader>
  /** Its readers are served at the next microtask. */
  serving: boolean
}

interface Group {
  readonly members: MemoryClient[]
  readonly committed: Map<string, number>
  generation: number
  rebalancing: boolean
}

export function createMemoryBroker({ chunkRecords = 1_000 }: MemoryBrokerOptions = {}): MemoryBroker {
  return new Broker(chunkRecords)
}

class Broker implements MemoryBroker {
  readonly #topics = new Map<string, Log[]>()
  readonly #groups = new Map<string, Group>()
  readonly #chunkRecords: number
  #clients = 0

  constructor(chunkRecords: number) {
    this.#chunkRecords = chunkRecords
  }

  createTopic(topic: string, partitions: number): void {
    if (this.#topics.has(topic)) throw misuse(`the topic "${topic}" exists already`)
    this.#topics.set(topic, Array.from({ length: partitions }, newLog))
  }

  addPartitions(topic: string, partitions: number): void {
    const logs = this.#logs(topic)
    while (logs.length < partitions) logs.push(newLog())
    for (const [groupId, { members }] of this.#groups) {
      if (members.some(({ topics }) => topics.includes(topic))) this.rebalance(groupId)
    }
  }

  append(topic: string, partition: number, record: MemoryRecord): number {
    const log = this.log({ topic, partition })
    const { key = null, value = null, headers = [], timestamp = 0 } = record
    const offset = log.end++
    log.records.push({ offset, key, value, headers, timestamp })
    this.#serveSoon({ topic, partition }, log)
    return offset
  }

  skip(topic: string, partition: number, positions: number): void {
    const log = this.log({ topic, partition })
    log.end += positions
    this.#serveSoon({ topic, partition }, log)
  }

  deleteBefore(topic: string, partition: number, offset: number): void {
    const log = this.log({ topic, partition })
    log.start = Math.max(log.start, Math.min(offset, log.end))
    log.records.splice(0, indexOf(log, log.start))
  }

  client(groupId: string): SourceClient {
    return new MemoryClient(this, groupId, `member-${String(++this.#clients).padStart(4, '0')}`)
  }

  rebalance(groupId: string): void {
    const group = this.group(groupId)
    for (const member of group.members) member.revoke()
    if (group.rebalancing) return
    group.rebalancing = true
    queueMicrotask(() => {
      group.rebalancing = false
      this.#assign(group)
    })
  }

  expel(client: SourceClient): void {
    for (const [groupId, { members }] of this.#groups) {
      const index = members.indexOf(client as MemoryClient)
      if (index < 0) continue
      members.splice(index, 1)
      this.rebalance(groupId)
    }
  }

  committed(groupId: string, of: TopicPartition): number | undefined {
    return this.group(groupId).committed.get(nameOf(of))
  }

  group(groupId: string): Group {
    const known = this.#groups.get(groupId)
    if (known !== undefined) return known
    const group: Group = { members: [], committed: new Map(), generation: 0, rebalancing: false }
    this.#groups.set(groupId, group)
    return group
  }

  log(of: TopicPartition): Log {
    const log = this.#logs(of.topic)[of.partition]
    if (log === undefined) throw misuse(`the topic "${of.topic}" has no partition ${of.partition}`)
    return log
  }

  requireTopics(topics: readonly string[]): void {
    for (const topic of topics) this.#logs(topic)
  }

  read(of: TopicPartition, offset: number): PartitionReader {
    const log = this.log(of)
    const reader: PartitionReader = new PartitionReader(offset, () => this.#serveSoon(of, log))
    log.readers.add(reader)
    return reader
  }

  #logs(topic: string): Log[] {
    const logs = this.#topics.get(topic)
    if (logs === undefined) throw missingTopic(topic, [...this.#topics.keys()])
    return logs
  }

  #assign(group: Group): void {
    group.generation++
    const counts = new Map([...this.#topics].map(([topic, logs]) => [topic, logs.length]))
    const given = assignPartitions(group.members, counts)
    for (const member of [...group.members]) {
      const partitions = Object.entries(given.get(member.memberId) ?? {}).flatMap(([topic, numbers]) =>
        numbers.map((partition) => ({ topic, partition })),
      )
      member.assign(partitions, group.generation)
    }
  }

  #serveSoon(of: TopicPartition, log: Log): void {
    if (log.serving || log.readers.size === 0) return
    log.serving = true
    queueMicrotask(() => {
      log.serving = false
      for (const reader of log.readers) {
        if (reader.closed) log.readers.delete(reader)
        else this.#serve(of, log, reader)
      }
    })
  }

  #serve(of: TopicPartition, log: Log, reader: PartitionReader): void {
    if (!reader.wants) return
    const offset = reader.position
    if (offset < log.start || offset > log.end) {
      reader.fail(offsetGap(of, offset, { start: log.start, end: log.end }))
      return
    }
    if (offset === log.end) return
    const from = indexOf(log, offset)
    const records = log.records.slice(from, from + this.#chunkRecords)
    const following = log.records[from + records.length]
    const nextOffset = following?.offset ?? log.end
    reader.deliver(recordListChunk({ ...of, records, nextOffset, endOffset: log.end }))
  }
}

class MemoryClient implements SourceClient {
  readonly memberId: string
  topics: readonly string[] = []
  owned: readonly number[] = []
  ownedGeneration = -1
  readonly #broker: Broker
  readonly #groupId: string
  #onAssigned: ((assignment: Assignment) => void) | undefined
  #revoked = new AbortController()
  #state: 'new' | 'started' | 'stopped' = 'new'
  #joined = (): void => {}

  constructor(broker: Broker, groupId: string, memberId: string) {
    this.#broker = broker
    this.#groupId = groupId
    this.memberId = memberId
  }

  async start(topics: readonly string[], onAssigned: (assignment: Assignment) => void): Promise<void> {
    if (this.#state !== 'new') throw misuse('a client was started twice')
    this.#broker.requireTopics(topics)
    this.#state = 'started'
    this.topics = topics
    const joined = new Promise<void>((resolve) => {
      this.#joined = resolve
    })
    this.#onAssigned = onAssigned
    this.#broker.group(this.#groupId).members.push(this)
    this.#broker.rebalance(this.#groupId)
    await joined
  }

  async stop(): Promise<void> {
    this.#state = 'stopped'
    this.revoke()
    this.#broker.expel(this)
    this.#joined()
  }

  async committedOffset(of: TopicPartition): Promise<number | undefined> {
    return this.#broker.committed(this.#groupId, of)
  }

  revoke(): void {
    this.#revoked.abort()
  }

  assign(partitions: readonly TopicPartition[], generation: number): void {
    this.#revoked = new AbortController()
    setMaxListeners(0, this.#revoked.signal)
    this.owned = [...new Set(partitions.map(({ partition }) => partition))]
    this.ownedGeneration = generation
    this.#onAssigned?.({ partitions: partitions.map((of) => this.#assigned(of, this.#revoked.signal)) })
    this.#joined()
  }

  #assigned(of: TopicPartition, revoked: AbortSignal): AssignedPartition {
    const log = this.#broker.log(of)
    let reader: PartitionReader | undefined
    revoked.addEventListener('abort', () => reader?.close())
    return {
      ...of,
      revoked,
      bounds: async (): Promise<LogBounds> => ({ start: log.start, end: log.end }),
      offsetAt: async (timestampMs) => log.records.find(({ timestamp }) => timestamp >= timestampMs)?.offset ?? log.end,
      recordAt: async (offset) => {
        const record = log.records[indexOf(log, offset)]
        if (record?.offset !== offset) return undefined
        return recordListChunk({ ...of, records: [record], nextOffset: offset + 1, endOffset: log.end })
      },
      read: (offset) => {
        reader?.close()
        reader = this.#broker.read(of, offset)
        if (revoked.aborted) reader.close()
        return reader
      },
      hint: (nextOffset) => {
        if (!revoked.aborted) this.#broker.group(this.#groupId).committed.set(nameOf(of), nextOffset)
      },
    }
  }
}

function newLog(): Log {
  return { records: [], start: 0, end: 0, readers: new Set(), serving: false }
}

/** The index of the first record at or after an offset, by halving: logs may hold millions. */
function indexOf({ records }: Log, offset: number): number {
  let low = 0
  let high = records.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if ((records[middle]?.offset ?? 0) < offset) low = middle + 1
    else high = middle
  }
  return low
}

function nameOf({ topic, partition }: TopicPartition): string {
  return `${partition} ${topic}`
}

function misuse(what: string): InternalError {
  return new InternalError('MR-TEST-BROKER', { what, fix: 'Correct the test.' })
}
