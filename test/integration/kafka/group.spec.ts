/** What only a real group does: foreign members, members that go in the middle of a join, positions for lag tools. */
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import type { Assignment, SourceClient } from '../../../src/core/source.ts'
import { createKafkaClient } from '../../../src/kafka/kafkaClient.ts'
import type { KafkaSettings } from '../../../src/kafka/settings.ts'
import { until } from '../../support/until.ts'
import { type KafkaHarness, openKafkaHarness } from './kafkaHarness.ts'

let harness: KafkaHarness
let unique = 0
const clients: SourceClient[] = []

beforeAll(async () => {
  harness = await openKafkaHarness()
})
afterAll(() => harness.close())
afterEach(async () => {
  await Promise.all(clients.splice(0).map((client) => client.stop(5_000)))
})

const newTopic = async (partitions: number): Promise<string> => {
  const topic = `group-${process.pid}-${Date.now()}-${unique++}`
  await harness.createTopic(topic, partitions)
  return topic
}
const client = (groupId: string, settings: Partial<KafkaSettings> = {}): SourceClient => {
  const made = createKafkaClient({ ...harness.settings(groupId), ...settings })
  clients.push(made)
  return made
}
const nobody = (): void => {}

describe('a consumer group', { timeout: 60_000 }, () => {
  it('that another kind of consumer uses is refused by name', async () => {
    const topic = await newTopic(1)
    const foreign = harness.kafka.consumer({ groupId: `g-${topic}` })
    await foreign.connect()
    await foreign.subscribe({ topic })
    const joined = new Promise((resolve) => foreign.on(foreign.events.GROUP_JOIN, resolve))
    await foreign.run({ eachMessage: async () => {} })
    await joined
    await expect(client(`g-${topic}`).start([topic], nobody, nobody)).rejects.toThrow(
      /in use by another kind of consumer[\s\S]*MR-KAFKA-GROUP-PROTOCOL/,
    )
    await foreign.disconnect()
  })

  it('that has a session timeout out of bounds is refused by name', async () => {
    const topic = await newTopic(1)
    const impossible = client(`g-${topic}`, { sessionTimeoutMs: 2_000_000_000 })
    await expect(impossible.start([topic], nobody, nobody)).rejects.toThrow('MR-KAFKA-SESSION-TIMEOUT')
  })

  it('does not wait for a member that is stopped in the middle of its join', async () => {
    const topic = await newTopic(2)
    const assignments: Assignment[] = []
    const first = client(`g-${topic}`, { sessionTimeoutMs: 30_000 })
    await first.start([topic], (assignment) => assignments.push(assignment), nobody)
    const second = client(`g-${topic}`, { sessionTimeoutMs: 30_000 })
    let joined = false
    const starting = second.start([topic], () => (joined = true), nobody)
    const states = async (): Promise<string> =>
      (await harness.admin.describeGroups([`g-${topic}`])).groups[0]?.state ?? ''
    for (let tries = 0; (await states()) !== 'PreparingRebalance' && !joined && tries < 1_000; tries++);
    await second.stop(5_000)
    await starting
    // Far below the session timeout, after which the group would have noticed by itself.
    await until(
      'one is alone',
      () => assignments.at(-1)?.partitions.every(({ revoked }) => !revoked.aborted) === true,
      15_000,
    )
    await until('the first member has everything', () => assignments.at(-1)?.partitions.length === 2, 15_000)
    expect((await harness.admin.describeGroups([`g-${topic}`])).groups[0]?.members).toHaveLength(1)
  })

  it('is left at once: the next member need not wait for the session timeout', async () => {
    const topic = await newTopic(1)
    for (let round = 0; round < 3; round++) {
      const member = client(`g-${topic}`, { sessionTimeoutMs: 30_000 })
      const begun = Date.now()
      await member.start([topic], nobody, nobody)
      await member.stop(5_000)
      expect(Date.now() - begun).toBeLessThan(15_000)
    }
  })

  it('never holds an offset that nobody hinted at', async () => {
    const topic = await newTopic(1)
    await harness.append(topic, 0, [{ value: 'a' }, { value: 'b' }])
    await harness.deleteBefore(topic, 0, 1)
    const member = client(`g-${topic}`)
    const failures: unknown[] = []
    const assigned = new Promise<Assignment>((resolve) => void member.start([topic], resolve, nobody))
    const [partition] = (await assigned).partitions
    try {
      for await (const _chunk of partition?.read(0) ?? []) break
    } catch (error) {
      failures.push(error)
    }
    await member.stop(5_000)
    // kafkajs writes -2 here: the position was out of range.
    expect(failures).toHaveLength(1)
    expect(await harness.admin.fetchOffsets({ groupId: `g-${topic}`, topics: [topic] })).toMatchObject([
      { partitions: [{ partition: 0, offset: '-1' }] },
    ])
  })

  it('keeps the positions of a member whose partitions went to another', async () => {
    const topic = await newTopic(2)
    const assignments: Assignment[] = []
    const first = client(`g-${topic}`)
    await first.start([topic], (assignment) => assignments.push(assignment), nobody)
    for (const partition of assignments[0]?.partitions ?? []) partition.hint(10 + partition.partition)
    const second = client(`g-${topic}`)
    await second.start([topic], nobody, nobody)
    const committed = async () => [
      await second.committedOffset({ topic, partition: 0 }),
      await second.committedOffset({ topic, partition: 1 }),
    ]
    expect(await committed()).toEqual([10, 11])
  })
})
