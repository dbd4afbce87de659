/** W1 into a topic by hand: sent before the offset is stored, so a crash between the two sends a batch again, and nobody can tell. */
import { Kafka, logLevel, type Message, Partitioners } from 'kafkajs'
import type { ChildTask } from '../child.ts'
import { outputOf } from '../emits.ts'
import type { BenchEvent } from '../events.ts'
import type { Lane } from './consumer.ts'

export function createW1EmitLane({ brokers, topic }: ChildTask): Lane {
  const kafka = new Kafka({ clientId: 'baseline', brokers: [...brokers], logLevel: logLevel.NOTHING })
  const producer = kafka.producer({ createPartitioner: Partitioners.DefaultPartitioner })
  const connected = producer.connect()
  return {
    counted: 0,
    take(batch) {
      const messages: Message[] = []
      for (const { value, timestamp } of batch) {
        if (value === null) continue
        const { id, account, kind, amount, country, at } = JSON.parse(value.toString()) as BenchEvent
        if (kind === 'ping') continue
        const row = { id, account, kind, cents: Math.round(amount * 100), country, at }
        messages.push({ key: account, value: JSON.stringify(row), timestamp })
      }
      if (messages.length === 0) return undefined
      return async () => {
        await connected
        await producer.send({ topic: outputOf(topic), messages, acks: -1 })
      }
    },
  }
}
