/** W1 into a topic in place of a table: what a record has to go through to be there once. */
import { Kafka, logLevel } from 'kafkajs'
import { expectedRows } from './events.ts'
import { createTopic } from './fill.ts'
import { type ResultLine, resultLine, runPairs } from './pairs.ts'
import type { Side, Stage } from './stage.ts'
import type { BenchOptions, Workload } from './workload.ts'

/** Where both sides write what they read from a topic. */
export function outputOf(topic: string): string {
  return `${topic}-out`
}

export const emitWorkloads: readonly Workload[] = [
  {
    name: 'W1-emit',
    title: 'parse JSON, drop 10%, map, write to a topic; by hand at least once',
    measure: measureEmits,
  },
]

async function measureEmits(stage: Stage, { records, pairs }: BenchOptions): Promise<ResultLine> {
  const topic = await stage.filledTopic(records)
  const output = outputOf(topic)
  await createTopic(stage.brokers, output)
  const { rows } = expectedRows(records)
  let written = 0
  const run = (side: Side) => async () => {
    const report = await stage.run({ side, workload: 'W1-emit', topic, records })
    written += rows
    const found = await countRecords(stage.brokers, output)
    if (found !== written)
      throw new Error(`W1-emit ${side}: ${output} holds ${found} records and should hold ${written}`)
    return report
  }
  return resultLine('W1-emit', await runPairs(pairs, run('millrace'), run('baseline')))
}

async function countRecords(brokers: readonly string[], topic: string): Promise<number> {
  const admin = new Kafka({ clientId: 'bench', brokers: [...brokers], logLevel: logLevel.NOTHING }).admin()
  await admin.connect()
  try {
    const offsets = await admin.fetchTopicOffsets(topic)
    return offsets.reduce((sum, { high }) => sum + Number(high), 0)
  } finally {
    await admin.disconnect()
  }
}
