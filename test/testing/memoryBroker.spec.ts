import { describe, expect, it } from 'vitest'
import type { AssignedPartition } from '../../src/core/source.ts'
import { createMemoryBroker } from '../../src/testing/memoryBroker.ts'
import {
  type ContractRecord,
  readRecords,
  type SourceClientHarness,
  sourceClientContract,
} from '../contracts/sourceClient.ts'

sourceClientContract('the memory broker', async (): Promise<SourceClientHarness> => {
  const broker = createMemoryBroker({ chunkRecords: 7 })
  const bytes = (text: string | null | undefined): Buffer | null => (text == null ? null : Buffer.from(text))
  return {
    createTopic: async (topic, partitions) => broker.createTopic(topic, partitions),
    addPartitions: async (topic, partitions) => broker.addPartitions(topic, partitions),
    append: async (topic, partition, records: readonly ContractRecord[]) => {
      for (const { key, value, headers = {}, timestamp = Date.now() } of records) {
        const list = Object.entries(headers).map(([name, text]) => ({ key: name, value: bytes(text) }))
        broker.append(topic, partition, { key: bytes(key), value: bytes(value), headers: list, timestamp })
      }
    },
    deleteBefore: async (topic, partition, offset) => broker.deleteBefore(topic, partition, offset),
    client: (groupId) => broker.client(groupId),
    close: async () => {},
  }
})

describe('the memory broker', () => {
  it('hands over a chunk without records where only positions were used up', async () => {
    const broker = createMemoryBroker()
    broker.createTopic('t', 1)
    const given: AssignedPartition[] = []
    const client = broker.client('g')
    await client.start(
      ['t'],
      ({ partitions }) => given.push(...partitions),
      () => {},
    )
    broker.skip('t', 0, 3)
    const reader = given[0]?.read(0)[Symbol.asyncIterator]()
    const first = await reader?.next()
    expect([first?.value?.size, first?.value?.nextOffset]).toEqual([0, 3])
    broker.append('t', 0, { value: Buffer.from('x') })
    const second = await reader?.next()
    expect([second?.value?.size, second?.value?.offset(0), second?.value?.nextOffset]).toEqual([1, 3, 4])
  })

  it('expels a member without telling it: it reads on while another has its partitions', async () => {
    const broker = createMemoryBroker()
    broker.createTopic('t', 1)
    broker.append('t', 0, { value: Buffer.from('x') })
    const zombie: AssignedPartition[] = []
    const heir: AssignedPartition[] = []
    const sleeper = broker.client('g')
    await sleeper.start(
      ['t'],
      ({ partitions }) => zombie.push(...partitions),
      () => {},
    )
    broker.expel(sleeper)
    await broker.client('g').start(
      ['t'],
      ({ partitions }) => heir.push(...partitions),
      () => {},
    )
    expect([zombie.length, heir.length, zombie[0]?.revoked.aborted]).toEqual([1, 1, false])
    const [asZombie, asHeir] = [zombie[0], heir[0]]
    if (asZombie === undefined || asHeir === undefined) throw new Error('not assigned')
    expect((await readRecords(asZombie, 0, 1)).length + (await readRecords(asHeir, 0, 1)).length).toBe(2)
  })
})
