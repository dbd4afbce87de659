/**
 * A broker in this process's memory that speaks the same port as the Kafka client, with groups, rebalances, retention
 * and partitions that are added. For tests of what reads from a source, and for trying things out without Kafka.
 * Everything happens at the next microtask, so runs repeat exactly.
 */
import { setMaxListeners } from 'node:events'
import { InternalError } from '../core/errors.ts'
import { type PlainRecord, recordListChunk } from '../core/recordListChunk.ts'
import type { AssignedPartition, Assignment, LogBounds, SourceClient, TopicPartition } from '../core/source.ts'
import { assignPartitions } from '../kafka/assign.ts'
import { PartitionReader } from '../kafka/partitionReader.ts'
import { missingTopic, offsetGap } from '../kafka/sourceErrors.ts'
import { MemoryLog, type MemoryRecord } from './memoryLog.ts'

/** Records that are seen together when it is committed, and never when it is aborted. Others wait behind its first one. */
export interface MemoryTransaction {
  append(topic: string, partition: number, record: MemoryRecord): number
  commit(): void
  abort(): void
}

/** How what the broker says reaches a member: at once, later, or never. What was given first has to be called first. */
export type Deliver = (callback: () => void) => void

export interface MemoryBroker {
  /** Throws when the topic exists. */
  createTopic(topic: string, partitions: number): void
  /** Adds partitions up to `partitions`; groups that read the topic rebalance. */
  addPartitions(topic: string, partitions: number): void
  /** What the log of a partition holds. */
  records(of: TopicPartition): readonly PlainRecord[]
  /** How many partitions a topic has; 0 when there is none. */
  partitionsOf(topic: string): number
  /** Deletes a topic: those who read it are told that it is missing. */
  deleteTopic(topic: string): void
  /** Appends one record and answers with its offset. */
  append(topic: string, partition: number, record: MemoryRecord): number
  /** Begins a transaction of a producer. */
  transaction(): MemoryTransaction
  /** Leaves `positions` offsets unused, as transaction markers and compaction do. */
  skip(topic: string, partition: number, positions: number): void
  /** Forgets the records before an offset, as retention does. */
  deleteBefore(topic: string, partition: number, offset: number): void
  /** Loses the records from an offset on, as a leader does that was elected without having had them. */
  truncate(topic: string, partition: number, offset: number): void
  /** Where the log of a partition begins and ends for readers of committed records. */
  bounds(of: TopicPartition): LogBounds
  /** A new member-to-be of the group. */
  client(groupId: string, deliver?: Deliver): SourceClient
  /** Lets all members of the group join again. */
  rebalance(groupId: string): void
  /**
   * Takes a member out of its group without telling it, as Kafka does with a process that slept through its session:
   * the others get its partitions while it reads on.
   */
  expel(client: SourceClient): void
  /** Tells a member that was expelled, which joins again. Nothing for one that has not started, or has left. */
  readmit(client: SourceClient): void
  /** What a member of the group last hinted at. */
  committed(groupId: string, partition: TopicPartition): number | undefined
}

export interface MemoryBrokerOptions {
  /** Most records of one chunk. Default 1,000. */
  readonly chunkRecords?: number
}

interface Partition {
  readonly log: MemoryLog
  /** Those who read it, and whether a chunk is on its way to them. */
  readonly readers: Map<PartitionReader, { underWay: boolean; readonly deliver: Deliver }>
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
  readonly #topics = new Map<string, Partition[]>()
  readonly #groups = new Map<string, Group>()
  readonly #chunkRecords: number
  #clients = 0

  constructor(chunkRecords: number) {
    this.#chunkRecords = chunkRecords
  }

  createTopic(topic: string, partitions: number): void {
    if (this.#topics.has(topic)) throw misuse(`the topic "${topic}" exists already`)
    this.#topics.set(topic, Array.from({ length: partitions }, newPartition))
  }

  addPartitions(topic: string, partitions: number): void {
    const present = this.#partitions(topic)
    while (present.length < partitions) present.push(newPartition())
    for (const [groupId, { members }] of this.#groups) {
      if (members.some(({ topics }) => topics.includes(topic))) this.rebalance(groupId)
    }
  }

  records(of: TopicPartition): readonly PlainRecord[] {
    const log = this.log(of)
    return log.read(log.bounds.start, Number.MAX_SAFE_INTEGER).records
  }

  partitionsOf(topic: string): number {
    return this.#topics.get(topic)?.length ?? 0
  }

  deleteTopic(topic: string): void {
    const partitions = this.#partitions(topic)
    this.#topics.delete(topic)
    const missing = missingTopic(topic, [...this.#topics.keys()])
    for (const { readers } of partitions) {
      for (const [reader, { deliver }] of readers) deliver(() => reader.fail(missing))
    }
  }

  append(topic: string, partition: number, record: MemoryRecord): number {
    const offset = this.log({ topic, partition }).append(record)
    this.#serveSoon({ topic, partition })
    return offset
  }

  transaction(): MemoryTransaction {
    const written = new Map<MemoryLog, TopicPartition>()
    const end = (committed: boolean) => {
      for (const [log, of] of written) {
        log.endTransaction(written, committed)
        this.#serveSoon(of)
      }
    }
    return {
      append: (topic, partition, record) => {
        const log = this.log({ topic, partition })
        written.set(log, { topic, partition })
        return log.append(record, written)
      },
      commit: () => end(true),
      abort: () => end(false),
    }
  }

  skip(topic: string, partition: number, positions: number): void {
    this.log({ topic, partition }).skip(positions)
    this.#serveSoon({ topic, partition })
  }

  deleteBefore(topic: string, partition: number, offset: number): void {
    this.log({ topic, partition }).deleteBefore(offset)
  }

  truncate(topic: string, partition: number, offset: number): void {
    this.log({ topic, partition }).truncate(offset)
    this.#serveSoon({ topic, partition })
  }

  bounds(of: TopicPartition): LogBounds {
    return this.log(of).bounds
  }

  client(groupId: string, deliver: Deliver = (callback) => callback()): SourceClient {
    return new MemoryClient(this, groupId, `member-${String(++this.#clients).padStart(4, '0')}`, deliver)
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

  readmit(client: SourceClient): void {
    if (!(client instanceof MemoryClient)) throw misuse('a client of another broker')
    const { members } = this.group(client.groupId)
    if (members.includes(client) || !client.isStarted) return
    members.push(client)
    this.rebalance(client.groupId)
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

  log(of: TopicPartition): MemoryLog {
    return this.#partition(of).log
  }

  requireTopics(topics: readonly string[]): void {
    for (const topic of topics) this.#partitions(topic)
  }

  read(of: TopicPartition, offset: number, deliver: Deliver): PartitionReader {
    const reader: PartitionReader = new PartitionReader(offset, () => this.#serveSoon(of))
    this.#partition(of).readers.set(reader, { underWay: false, deliver })
    return reader
  }

  #partitions(topic: string): Partition[] {
    const partitions = this.#topics.get(topic)
    if (partitions === undefined) throw missingTopic(topic, [...this.#topics.keys()])
    return partitions
  }

  #partition({ topic, partition }: TopicPartition): Partition {
    const found = this.#partitions(topic)[partition]
    if (found === undefined) throw misuse(`the topic "${topic}" has no partition ${partition}`)
    return found
  }

  #assign(group: Group): void {
    group.generation++
    const counts = new Map([...this.#topics].map(([topic, partitions]) => [topic, partitions.length]))
    const given = assignPartitions(group.members, counts)
    for (const member of [...group.members]) {
      const partitions = Object.entries(given.get(member.memberId) ?? {}).flatMap(([topic, numbers]) =>
        numbers.map((partition) => ({ topic, partition })),
      )
      member.assign(partitions, group.generation)
    }
  }

  #serveSoon(of: TopicPartition): void {
    const partition = this.#topics.get(of.topic)?.[of.partition]
    if (partition === undefined || partition.serving || partition.readers.size === 0) return
    partition.serving = true
    queueMicrotask(() => {
      partition.serving = false
      for (const reader of partition.readers.keys()) {
        if (reader.closed) partition.readers.delete(reader)
        else this.#serve(of, partition, reader)
      }
    })
  }

  #serve(of: TopicPartition, { log, readers }: Partition, reader: PartitionReader): void {
    const way = readers.get(reader)
    if (way === undefined || way.underWay || !reader.wants) return
    const { bounds } = log
    const offset = reader.position
    if (offset === bounds.end) return
    // The end is held back while a transaction is open, and may lie before what was read when it was not.
    const isGone = offset < bounds.start || offset > log.highWatermark
    if (!isGone && offset > bounds.end) return
    const read = isGone ? undefined : log.read(offset, this.#chunkRecords)
    way.underWay = true
    way.deliver(() => {
      way.underWay = false
      if (read === undefined) reader.fail(offsetGap(of, offset, bounds))
      else if (reader.position === offset) reader.deliver(recordListChunk({ ...of, ...read }))
      this.#serveSoon(of)
    })
  }
}

class MemoryClient implements SourceClient {
  readonly memberId: string
  topics: readonly string[] = []
  owned: readonly number[] = []
  ownedGeneration = -1
  readonly groupId: string
  readonly #broker: Broker
  readonly #deliver: Deliver
  #onAssigned: ((assignment: Assignment) => void) | undefined
  #revoked = new AbortController()
  #state: 'new' | 'started' | 'stopped' = 'new'
  #joined = (): void => {}

  constructor(broker: Broker, groupId: string, memberId: string, deliver: Deliver) {
    this.#broker = broker
    this.groupId = groupId
    this.memberId = memberId
    this.#deliver = deliver
  }

  get isStarted(): boolean {
    return this.#state === 'started'
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
    this.#broker.group(this.groupId).members.push(this)
    this.#broker.rebalance(this.groupId)
    await joined
  }

  async stop(): Promise<void> {
    this.#state = 'stopped'
    this.#revoked.abort()
    this.#broker.expel(this)
    this.#joined()
  }

  committedOffset(of: TopicPartition): Promise<number | undefined> {
    return this.#answer(() => this.#broker.committed(this.groupId, of))
  }

  revoke(): void {
    this.#deliver(() => this.#revoked.abort())
  }

  assign(partitions: readonly TopicPartition[], generation: number): void {
    this.owned = [...new Set(partitions.map(({ partition }) => partition))]
    this.ownedGeneration = generation
    this.#deliver(() => {
      if (this.#state === 'stopped') return
      this.#revoked.abort()
      this.#revoked = new AbortController()
      setMaxListeners(0, this.#revoked.signal)
      this.#onAssigned?.({ partitions: partitions.map((of) => this.#assigned(of, this.#revoked.signal)) })
      this.#joined()
    })
  }

  /** What the broker finds now, when it reaches the member. */
  #answer<T>(find: () => T): Promise<T> {
    return new Promise((resolve, reject) => {
      try {
        const found = find()
        this.#deliver(() => resolve(found))
      } catch (error) {
        this.#deliver(() => reject(error))
      }
    })
  }

  #assigned(of: TopicPartition, revoked: AbortSignal): AssignedPartition {
    const log = () => this.#broker.log(of)
    let reader: PartitionReader | undefined
    revoked.addEventListener('abort', () => reader?.close())
    return {
      ...of,
      revoked,
      bounds: () => this.#answer(() => this.#broker.bounds(of)),
      offsetAt: (timestampMs) => this.#answer(() => log().offsetAt(timestampMs)),
      recordAt: (offset) =>
        this.#answer(() => {
          const record = log().at(offset)
          if (record === undefined) return undefined
          return recordListChunk({ ...of, records: [record], nextOffset: offset + 1, endOffset: log().bounds.end })
        }),
      read: (offset) => {
        reader?.close()
        reader = this.#broker.read(of, offset, this.#deliver)
        if (revoked.aborted) reader.close()
        return reader
      },
      hint: (nextOffset) => {
        if (!revoked.aborted) this.#broker.group(this.groupId).committed.set(nameOf(of), nextOffset)
      },
    }
  }
}

function newPartition(): Partition {
  return { log: new MemoryLog(), readers: new Map(), serving: false }
}

function nameOf({ topic, partition }: TopicPartition): string {
  return `${partition} ${topic}`
}

function misuse(what: string): InternalError {
  return new InternalError('MR-TEST-BROKER', { what, fix: 'Correct the test.' })
}
