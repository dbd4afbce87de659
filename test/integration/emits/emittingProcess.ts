/**
 * A service that writes what it reads to a topic and a table, and dies by SIGKILL at a point that it is told: before, while or after it sends
 * what it has committed. Without one it ends when it has caught up.
 */

import type { TopicWriter } from '../../../src/core/emit.ts'
import { silentLogger } from '../../../src/core/logger.ts'
import { json, signal, start, stream, table, topic } from '../../../src/index.ts'
import { createKafkaClient } from '../../../src/kafka/kafkaClient.ts'
import { createTopicWriter } from '../../../src/kafka/topicWriter.ts'
import type { Numbered, ProcessOptions } from './scene.ts'

const options = JSON.parse(process.env.EMITTING_PROCESS as string) as ProcessOptions
const { input, output, group, brokers, url, dies } = options

const plan = stream('copies')
  .from(topic(input, json<Numbered>()))
  .to(topic(output, json<Numbered>(), { key: ({ key }) => key }))
  .to(table<Numbered>('copies'))
  .tap(({ n }) => {
    if (n % 10 === 7) signal.ignore('seven')
  })

function die(): Promise<void> {
  process.kill(process.pid, 'SIGKILL')
  return new Promise(() => {})
}

const real = createTopicWriter({ brokers, groupId: group })
let sends = 0
const writer: TopicWriter = {
  open: (name) => real.open(name),
  shapeOf: (name) => real.shapeOf(name),
  close: () => real.close(),
  async send(records, signal) {
    const isLast = ++sends === dies?.atSend
    if (isLast && dies.at === 'before') await die()
    if (isLast && dies.at === 'while') {
      await real.send(records.slice(0, records.length >> 1), signal)
      await die()
    }
    await real.send(records, signal)
    if (isLast && dies.at === 'after') await die()
  },
}

const settings = { brokers, groupId: group, sessionTimeoutMs: 6_000, rebalanceTimeoutMs: 6_000 }
const app = await start(plan, {
  group,
  client: createKafkaClient(settings),
  writer,
  postgres: { url },
  logger: silentLogger,
  from: 'earliest',
  commit: { maxItems: 100 },
})
await app.caughtUp()
await app.stop()
