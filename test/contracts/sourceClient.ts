/**
 * What every source client has to do. A client is tested by calling `sourceClientContract` with a harness for its
 * broker; the texts of the tests are the contract.
 */
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { SourceError } from '../../src/core/errors.ts'
import type { RecordChunk } from '../../src/core/record.ts'
import type { AssignedPartition, Assignment, SourceClient } from '../../src/core/source.ts'
import { until } from '../support/until.ts'

export interface ContractRecord {
  readonly key?: string | null
  readonly value: string | null
  readonly headers?: Readonly<Record<string, string>>
  readonly timestamp?: number
}

/** A broker to test against. Everything is visible to readers when the promise resolves. */
export interface SourceClientHarness {
  createTopic(topic: string, partitions: number): Promise<void>
  addPartitions(topic: string, partitions: number): Promise<void>
  append(topic: string, partition: number, records: readonly ContractRecord[]): Promise<void>
  /** Removes the records before the offset, as retention does. */
  deleteBefore(topic: string, partition: number, offset: number): Promise<void>
  /** A client that was not started; it learns of added partitions within a second. */
  client(groupId: string): SourceClient
  close(): Promise<void>
}

/** A member of a group, with what it was told so far. */
class Member {
  readonly assignments: Assignment[] = []
  readonly failures: Error[] = []
  /** How many earlier partitions were not yet revoked when an assignment came. */
  readonly unrevoked: number[] = []
  readonly client: SourceClient

  constructor(client: SourceClient) {
    this.client = client
  }

  async start(...topics: string[]): Promise<this> {
    await this.client.start(
      topics,
      (assignment) => {
        const earlier = this.assignments.flatMap(({ partitions }) => partitions)
        this.unrevoked.push(earlier.filter(({ revoked }) => !revoked.aborted).length)
        this.assignments.push(assignment)
      },
      (error) => this.failures.push(error),
    )
    return this
  }

  get partitions(): readonly AssignedPartition[] {
    return this.assignments.at(-1)?.partitions ?? []
  }

  get names(): string[] {
    return this.partitions.map(({ topic, partition }) => `${topic}/${partition}`).sort()
  }

  partition(number: number, topic?: string): AssignedPartition {
    const found = this.partitions.find((p) => p.partition === number && (topic === undefined || p.topic === topic))
    if (found === undefined) throw new Error(`partition ${number} is not assigned`)
    return found
  }
}

interface Read {
  readonly offset: number
  readonly key: string | null
  readonly value: string | null
  readonly timestamp: number
  readonly headers: Readonly<Record<string, string | null>>
}

/** Reads from the offset until `count` records came; checks that the chunks join up. */
export async function readRecords(partition: AssignedPartition, offset: number, count: number): Promise<Read[]> {
  const records: Read[] = []
  let position = offset
  if (count === 0) return records
  for await (const chunk of partition.read(offset)) {
    for (let index = 0; index < chunk.size; index++) records.push(toRead(chunk, index))
    expect(chunk.nextOffset, 'a chunk moves the position').toBeGreaterThan(position)
    for (let index = 0; index < chunk.size; index++) {
      expect(chunk.offset(index)).toBeGreaterThanOrEqual(position)
      expect(chunk.offset(index)).toBeLessThan(chunk.nextOffset)
    }
    expect(chunk.endOffset).toBeGreaterThanOrEqual(chunk.nextOffset)
    position = chunk.nextOffset
    if (records.length >= count) break
  }
  return records
}

function toRead(chunk: RecordChunk, index: number): Read {
  const value = chunk.value(index)
  const start = chunk.valueStart(index)
  if (value === null) expect(start).toBe(-1)
  else expect(chunk.valueBuffer(index).subarray(start, chunk.valueEnd(index)).equals(value)).toBe(true)
  return {
    offset: chunk.offset(index),
    key: chunk.key(index)?.toString() ?? null,
    value: value?.toString() ?? null,
    timestamp: chunk.timestamp(index),
    headers: Object.fromEntries(chunk.headers(index).map((header) => [header.key, header.value?.toString() ?? null])),
  }
}

function valuesOf(records: readonly Read[]): (string | null)[] {
  return records.map(({ value }) => value)
}

function numbered(from: number, to: number): ContractRecord[] {
  return Array.from({ length: to - from }, (_, index) => ({ key: `k${from + index}`, value: `v${from + index}` }))
}

/** The code of the error that the work ends with. */
async function codeOf(work: Promise<unknown>): Promise<string> {
  const error = await work.then(
    () => undefined,
    (thrown: unknown) => thrown,
  )
  return error instanceof SourceError ? error.code : `no SourceError but ${String(error)}`
}

let unique = 0

export function sourceClientContract(name: string, open: () => Promise<SourceClientHarness>): void {
  describe(`${name} as a source client`, { timeout: 60_000 }, () => {
    let harness: SourceClientHarness
    let topic: string
    let group: string
    const members: Member[] = []

    beforeAll(async () => {
      harness = await open()
    })
    afterAll(async () => {
      await harness.close()
    })
    afterEach(async () => {
      await Promise.all(members.splice(0).map(({ client }) => client.stop(5_000)))
    })

    const newTopic = async (partitions: number): Promise<string> => {
      unique++
      topic = `contract-${process.pid}-${Date.now()}-${unique}`
      group = `group-${topic}`
      await harness.createTopic(topic, partitions)
      return topic
    }
    const member = (groupId = group): Member => {
      const made = new Member(harness.client(groupId))
      members.push(made)
      return made
    }

    it('is given every partition of its topics once', async () => {
      await newTopic(3)
      const reader = await member().start(topic)
      expect(reader.names).toEqual([`${topic}/0`, `${topic}/1`, `${topic}/2`])
      expect(reader.partitions.every(({ revoked }) => !revoked.aborted)).toBe(true)
    })

    it('reads keys, values, headers and timestamps as they were written', async () => {
      await newTopic(1)
      const written: ContractRecord[] = [
        { key: 'a', value: 'one', headers: { trace: 'x', empty: '' }, timestamp: 1_700_000_000_000 },
        { key: null, value: 'two', timestamp: 1_700_000_000_001 },
        { key: 'b', value: null, timestamp: 1_700_000_000_002 },
        { key: '', value: '', timestamp: 1_700_000_000_003 },
      ]
      await harness.append(topic, 0, written)
      const reader = await member().start(topic)
      expect(await readRecords(reader.partition(0), 0, 4)).toEqual(
        written.map(({ key = null, value, headers = {}, timestamp }, offset) => ({
          offset,
          key,
          value,
          headers,
          timestamp,
        })),
      )
    })

    it('reads from any offset, also from the middle of what was written together', async () => {
      await newTopic(1)
      await harness.append(topic, 0, numbered(0, 500))
      const reader = await member().start(topic)
      for (const offset of [0, 1, 250, 499]) {
        const records = await readRecords(reader.partition(0), offset, 500 - offset)
        expect(valuesOf(records)).toEqual(numbered(offset, 500).map(({ value }) => value))
      }
    })

    it('waits for records that come later', async () => {
      await newTopic(1)
      const reader = await member().start(topic)
      const reading = readRecords(reader.partition(0), 0, 3)
      await harness.append(topic, 0, numbered(0, 2))
      await harness.append(topic, 0, numbered(2, 3))
      expect(valuesOf(await reading)).toEqual(['v0', 'v1', 'v2'])
    })

    it('goes on with the other partitions while nobody takes what came for one', async () => {
      await newTopic(2)
      await harness.append(topic, 0, numbered(0, 100))
      const reader = await member().start(topic)
      const stuck = reader.partition(0).read(0)[Symbol.asyncIterator]()
      await stuck.next()
      for (let round = 0; round < 5; round++) {
        await harness.append(topic, 1, numbered(round, round + 1))
        expect(valuesOf(await readRecords(reader.partition(1), round, 1))).toEqual([`v${round}`])
      }
      await stuck.return?.()
    })

    it('ends an earlier reader of a partition when it is read from elsewhere', async () => {
      await newTopic(1)
      await harness.append(topic, 0, numbered(0, 10))
      const reader = await member().start(topic)
      const first = reader.partition(0).read(10)[Symbol.asyncIterator]()
      const waiting = first.next()
      expect(valuesOf(await readRecords(reader.partition(0), 5, 5))).toEqual(['v5', 'v6', 'v7', 'v8', 'v9'])
      expect(await waiting).toEqual({ done: true, value: undefined })
    })

    it('knows the bounds of the log', async () => {
      await newTopic(2)
      const reader = await member().start(topic)
      expect(await reader.partition(0).bounds()).toEqual({ start: 0, end: 0 })
      await harness.append(topic, 0, numbered(0, 10))
      await harness.deleteBefore(topic, 0, 4)
      expect(await reader.partition(0).bounds()).toEqual({ start: 4, end: 10 })
      expect(await reader.partition(1).bounds()).toEqual({ start: 0, end: 0 })
    })

    it('finds the first offset at or after a time, and the end when there is none', async () => {
      await newTopic(1)
      const times = [1_000_000, 2_000_000, 3_000_000].map((time) => 1_700_000_000_000 + time)
      await harness.append(
        topic,
        0,
        times.map((timestamp) => ({ value: 'v', timestamp })),
      )
      const reader = await member().start(topic)
      const at = (time: number): Promise<number> => reader.partition(0).offsetAt(1_700_000_000_000 + time)
      expect([await at(0), await at(1_000_000), await at(1_000_001), await at(3_000_001)]).toEqual([0, 0, 1, 3])
    })

    it('finds the record at an offset, and nothing where there is none', async () => {
      await newTopic(1)
      await harness.append(topic, 0, numbered(0, 10))
      await harness.deleteBefore(topic, 0, 3)
      const reader = await member().start(topic)
      const found = await reader.partition(0).recordAt(7)
      expect(found && [found.size, found.offset(0), found.value(0)?.toString()]).toEqual([1, 7, 'v7'])
      expect(await reader.partition(0).recordAt(2)).toBeUndefined()
      expect(await reader.partition(0).recordAt(10)).toBeUndefined()
      expect(await reader.partition(0).recordAt(99)).toBeUndefined()
    })

    it('names the gap when the log no longer has the offset, and goes on with the other partitions', async () => {
      await newTopic(2)
      await harness.append(topic, 0, numbered(0, 10))
      await harness.append(topic, 1, numbered(0, 1))
      await harness.deleteBefore(topic, 0, 4)
      const reader = await member().start(topic)
      const other = readRecords(reader.partition(1), 0, 2)
      await expect(readRecords(reader.partition(0), 2, 1)).rejects.toThrow(/2 positions .* begins at 4/)
      expect(await codeOf(readRecords(reader.partition(0), 2, 1))).toBe('MR-KAFKA-OFFSET-GAP')
      expect(await codeOf(readRecords(reader.partition(0), 11, 1))).toBe('MR-KAFKA-OFFSET-GAP')
      await harness.append(topic, 1, numbered(1, 2))
      expect(valuesOf(await other)).toEqual(['v0', 'v1'])
      expect(valuesOf(await readRecords(reader.partition(0), 4, 6))).toHaveLength(6)
      expect(reader.failures).toEqual([])
    })

    it('names a topic that does not exist and the one that is near, and creates none', async () => {
      await newTopic(1)
      const wrong = `${topic}x`
      await expect(member().start(wrong)).rejects.toThrow(`"${wrong}" does not exist`)
      await expect(member().start(wrong)).rejects.toThrow(`There is a topic "${topic}"`)
      expect(await codeOf(member().start(topic, wrong))).toBe('MR-KAFKA-TOPIC-MISSING')
    })

    it('shares the partitions with a second member, each to one, the same number of all topics to the same', async () => {
      const first = await newTopic(4)
      const second = await newTopic(3)
      const one = await member().start(first, second)
      const two = await member().start(first, second)
      await until('both have their share', () => one.names.length + two.names.length === 7 && two.names.length > 0)
      expect([...one.names, ...two.names].sort()).toEqual(
        [0, 1, 2, 3]
          .map((n) => `${first}/${n}`)
          .concat([0, 1, 2].map((n) => `${second}/${n}`))
          .sort(),
      )
      const numbers = (of: Member, name: string): number[] =>
        of.partitions.filter((p) => p.topic === name && p.partition < 3).map((p) => p.partition)
      for (const of of [one, two]) {
        expect(numbers(of, first)).toEqual(numbers(of, second))
        expect(numbers(of, first).length).toBeGreaterThan(0)
      }
    })

    it('revokes before it assigns again, and ends the readers of what is revoked', async () => {
      await newTopic(2)
      const one = await member().start(topic)
      const [before] = one.assignments
      const reading = Promise.all((before?.partitions ?? []).map((p) => readRecords(p, 0, 1)))
      const two = await member().start(topic)
      await until('the first member has given one up', () => one.assignments.length >= 2 && one.names.length === 1)
      expect(before?.partitions.every(({ revoked }) => revoked.aborted)).toBe(true)
      expect(await reading).toEqual([[], []])
      expect([...one.unrevoked, ...two.unrevoked].every((count) => count === 0)).toBe(true)
      const stale = before?.partitions[0]
      expect(stale && (await readRecords(stale, 0, 1))).toEqual([])
    })

    it('lets every partition have its listeners without a warning about leaks', async () => {
      await newTopic(12)
      const warnings: Error[] = []
      const note = (warning: Error): void => void warnings.push(warning)
      process.on('warning', note)
      const reader = await member().start(topic)
      for (const { revoked } of reader.partitions) revoked.addEventListener('abort', () => {})
      await new Promise((resolve) => setImmediate(resolve))
      process.off('warning', note)
      expect(warnings).toEqual([])
    })

    it('gives the partitions of a member that left to the others, as new objects', async () => {
      await newTopic(2)
      await harness.append(topic, 0, numbered(0, 1))
      await harness.append(topic, 1, numbered(0, 1))
      const one = await member().start(topic)
      const two = await member().start(topic)
      await until('both have one partition', () => one.names.length === 1 && two.names.length === 1)
      const kept = one.partitions[0]
      await two.client.stop(5_000)
      await until('the first member has both', () => one.names.length === 2)
      expect(one.partitions).not.toContain(kept)
      for (const partition of one.partitions) expect(valuesOf(await readRecords(partition, 0, 1))).toEqual(['v0'])
    })

    it('hands out partitions that are added', async () => {
      await newTopic(1)
      const reader = await member().start(topic)
      await harness.addPartitions(topic, 3)
      await until('the new partitions are assigned', () => reader.names.length === 3)
      await harness.append(topic, 2, numbered(0, 1))
      expect(valuesOf(await readRecords(reader.partition(2), 0, 1))).toEqual(['v0'])
      expect(reader.unrevoked.every((count) => count === 0)).toBe(true)
    })

    it('tells the source how far it is, by stopping at the latest', async () => {
      await newTopic(2)
      const reader = await member().start(topic)
      expect(await reader.client.committedOffset({ topic, partition: 0 })).toBeUndefined()
      reader.partition(0).hint(3)
      reader.partition(0).hint(5)
      await reader.client.stop(5_000)
      const later = member()
      expect(await later.client.committedOffset({ topic, partition: 0 })).toBe(5)
      expect(await later.client.committedOffset({ topic, partition: 1 })).toBeUndefined()
    })

    it('stops: what is assigned is revoked and reading ends', async () => {
      await newTopic(1)
      const reader = await member().start(topic)
      const reading = readRecords(reader.partition(0), 0, 1)
      const { revoked } = reader.partition(0)
      await reader.client.stop(5_000)
      expect(revoked.aborted).toBe(true)
      expect(await reading).toEqual([])
      expect(reader.failures).toEqual([])
      await reader.client.stop(5_000)
    })

    it('stops before it was started', async () => {
      await newTopic(1)
      await member().client.stop(5_000)
    })
  })
}
