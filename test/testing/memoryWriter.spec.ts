import { createMemoryBroker } from '../../src/testing/memoryBroker.ts'
import { memoryWriter } from '../../src/testing/memoryWriter.ts'
import { topicWriterContract } from '../contracts/topicWriter.ts'

topicWriterContract('the memory writer', async () => {
  const broker = createMemoryBroker()
  return {
    createTopic: async (topic, partitions) => broker.createTopic(topic, partitions),
    writer: () => memoryWriter(broker),
    read: async (topic, partition, count) =>
      broker
        .records({ topic, partition })
        .slice(0, count)
        .map(({ key, value, timestamp, headers }) => ({
          key: key?.toString() ?? null,
          value: value?.toString() ?? null,
          timestamp,
          headers: Object.fromEntries(headers.map((header) => [header.key, String(header.value)])),
        })),
    close: async () => {},
  }
})
