/** What every topic writer has to do. The texts of the tests are the contract. */
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import type { OutgoingRecord, TopicWriter } from '../../src/core/emit.ts'
import { SourceError } from '../../src/core/errors.ts'

export interface WrittenRecord {
  readonly key: string | null
  readonly value: string | null
  readonly timestamp: number
  readonly headers: Readonly<Record<string, string>>
}

/** A broker to write to. */
export interface TopicWriterHarness {
  createTopic(topic: string, partitions: number, maxBytes?: number): Promise<void>
  writer(): TopicWriter
  /** The first `count` records of a partition, as soon as they are there. */
  read(topic: string, partition: number, count: number): Promise<readonly WrittenRecord[]>
  close(): Promise<void>
}

let unique = 0
const never = new AbortController().signal

export function topicWriterContract(name: string, open: () => Promise<TopicWriterHarness>): void {
  describe(`${name} as a topic writer`, { timeout: 60_000 }, () => {
    let harness: TopicWriterHarness
    let writer: TopicWriter
    const writers: TopicWriter[] = []

    beforeAll(async () => {
      harness = await open()
    })
    afterAll(() => harness.close())
    afterEach(() => Promise.all(writers.splice(0).map((one) => one.close())))

    const opened = async (partitions: number, maxBytes?: number): Promise<string> => {
      const topic = `written-${process.pid}-${Date.now()}-${++unique}`
      await harness.createTopic(topic, partitions, maxBytes)
      writer = harness.writer()
      writers.push(writer)
      await writer.open(topic)
      return topic
    }
    const record = (topic: string, value: string, more: Partial<OutgoingRecord> = {}): OutgoingRecord => {
      return {
        topic,
        partition: 0,
        key: null,
        value: Buffer.from(value),
        timestamp: 1_700_000_000_000,
        headers: [],
        ...more,
      }
    }
    const values = async (topic: string, partition: number, count: number) =>
      (await harness.read(topic, partition, count)).map(({ value }) => value)

    it('knows how many partitions a topic has, once it was looked at', async () => {
      const topic = await opened(3)
      expect(writer.shapeOf(topic)?.partitions).toBe(3)
      expect(writer.shapeOf('another')).toBeUndefined()
    })

    it('refuses a topic that does not exist, by its name', async () => {
      await opened(1)
      const refused = writer.open('written-to-nowhere')
      await expect(refused).rejects.toThrow(SourceError)
      await expect(refused).rejects.toThrow('written-to-nowhere')
    })

    it('writes keys, values, tombstones, times and headers as they are', async () => {
      const topic = await opened(1)
      await writer.send(
        [
          record(topic, 'one', { key: Buffer.from('a'), headers: [{ key: 'trace', value: Buffer.from('x') }] }),
          record(topic, '', { timestamp: 1_700_000_000_007 }),
          record(topic, '', { key: Buffer.from('gone'), value: null, timestamp: 999_999_999_999 }),
        ],
        never,
      )
      expect(await harness.read(topic, 0, 3)).toEqual([
        { key: 'a', value: 'one', timestamp: 1_700_000_000_000, headers: { trace: 'x' } },
        { key: null, value: '', timestamp: 1_700_000_000_007, headers: {} },
        { key: 'gone', value: null, timestamp: 999_999_999_999, headers: {} },
      ])
    })

    it('writes each record to its partition, in the order in which they were given, when they take several requests', async () => {
      const topic = await opened(4)
      const big = 'x'.repeat(3_000)
      const records = Array.from({ length: 4_000 }, (_, at) => record(topic, `${at} ${big}`, { partition: at % 4 }))
      await writer.send(records, never)
      for (const partition of [0, 1, 2, 3]) {
        const seen = (await values(topic, partition, 1_000)).map((value) => Number(value?.split(' ')[0]))
        expect(seen).toEqual(Array.from({ length: 1_000 }, (_, at) => at * 4 + partition))
      }
    })

    it('writes to several topics at once, and the same records again', async () => {
      const first = await opened(1)
      const second = `${first}-b`
      await harness.createTopic(second, 1)
      await writer.open(second)
      const records = [record(first, '1'), record(second, '2'), record(first, '3')]
      await writer.send(records, never)
      await writer.send(records, never)
      expect(await values(first, 0, 4)).toEqual(['1', '3', '1', '3'])
      expect(await values(second, 0, 2)).toEqual(['2', '2'])
    })

    it('has nothing to do where there are no records', async () => {
      await opened(1)
      await writer.send([], never)
    })
  })
}
