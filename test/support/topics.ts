import type { Admin, ITopicConfig } from 'kafkajs'
import { until } from './until.ts'

/**
 * Creates a topic, and waits until its partitions can be written and read. kafkajs's own wait gives up when a busy broker has not
 * heard of the topic yet, and a leader may be named before it leads.
 */
export async function createTopic(
  admin: Admin,
  config: ITopicConfig & { readonly numPartitions: number },
): Promise<void> {
  const { topic, numPartitions } = config
  await admin.createTopics({ topics: [config], waitForLeaders: false })
  await until(`topic ${topic} has its leaders`, async () => {
    try {
      return (await admin.fetchTopicOffsets(topic)).length === numPartitions
    } catch {
      return false
    }
  })
}
