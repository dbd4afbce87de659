/**
 * On the real Kafka and Postgres: a service that is killed between its commit and its sends, in the midst of them, or before it knows that
 * they were taken, leaves to a reader that drops repeats each record of an item that stands once, and those of a key in their order.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { EmittedSequences } from '../../../src/index.ts'
import { brokers, freshDatabase } from '../../support/services.ts'
import { type KafkaHarness, openKafkaHarness } from '../kafka/kafkaHarness.ts'
import { type Death, type Numbered, runProcess } from './scene.ts'

const partitions = 3
const perPartition = 300

let harness: KafkaHarness
beforeAll(async () => {
  harness = await openKafkaHarness()
})
afterAll(() => harness.close())

const deaths: readonly Death[] = [
  { at: 'before', atSend: 1 },
  { at: 'while', atSend: 2 },
  { at: 'after', atSend: 2 },
  { at: 'while', atSend: 1 },
]

describe('a service that writes to a topic', { timeout: 300_000 }, () => {
  test('and is killed where it sends', async () => {
    const name = `emits-${process.pid}-${Date.now()}`
    const [input, output] = [`${name}-in`, `${name}-out`]
    await harness.createTopic(input, partitions)
    await harness.createTopic(output, partitions)
    const sent: Numbered[] = []
    for (let partition = 0; partition < partitions; partition++) {
      const own = Array.from({ length: perPartition }, (_, n) => ({ key: `${partition}.${n % 5}`, n }))
      sent.push(...own)
      await harness.append(
        input,
        partition,
        own.map((value) => ({ key: value.key, value: JSON.stringify(value) })),
      )
    }
    const database = await freshDatabase('create table copies (key text, n integer)')
    const options = { input, output, group: name, brokers, url: database.url }
    for (const dies of deaths) expect(await runProcess({ ...options, dies })).toBe('SIGKILL')
    expect(await runProcess(options)).toBe('code 0')

    const raw = await readAll(output)
    const standing = sent.filter(({ n }) => n % 10 !== 7)
    expect(raw.length, 'something was sent twice, or nothing was tested').toBeGreaterThan(standing.length)
    const seen = Array.from({ length: partitions }, () => new EmittedSequences())
    const unseen = raw.filter(({ partition, headers }) => !seen[partition]?.isRepeat(headers)).map(({ value }) => value)
    const byKey = (values: readonly Numbered[]) =>
      Object.fromEntries(
        [...new Set(sent.map(({ key }) => key))].map((key) => [key, values.filter((v) => v.key === key)]),
      )
    expect(byKey(unseen)).toEqual(byKey(standing))
    expect(await database.query('select count(*)::int as n from copies')).toEqual([{ n: standing.length }])
    expect(await database.query('select count(*)::int as n from millrace.outbox')).toEqual([{ n: 0 }])
  })

  interface ReadRecord {
    readonly partition: number
    readonly value: Numbered
    readonly headers: Readonly<Record<string, string>>
  }

  /** What a topic holds by now. */
  async function readAll(topic: string): Promise<readonly ReadRecord[]> {
    const ends = await harness.admin.fetchTopicOffsets(topic)
    let left = ends.reduce((sum, { high }) => sum + Number(high), 0)
    const read: ReadRecord[] = []
    const consumer = harness.kafka.consumer({ groupId: `read-${topic}` })
    await consumer.connect()
    await consumer.subscribe({ topic, fromBeginning: true })
    try {
      await new Promise<void>((resolve, reject) => {
        consumer
          .run({
            eachMessage: async ({ partition, message: { value, headers = {} } }) => {
              const texts = Object.entries(headers).map(([name, text]) => [name, String(text)])
              read.push({ partition, value: JSON.parse(String(value)), headers: Object.fromEntries(texts) })
              if (--left === 0) resolve()
            },
          })
          .catch(reject)
      })
    } finally {
      await consumer.disconnect()
    }
    return read
  }
})
