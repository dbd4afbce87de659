/** The demo's topic: emptied of an earlier run, then filled. */
import { setTimeout as delay } from 'node:timers/promises'
import type { Kafka } from 'kafkajs'
import type pg from 'pg'
import type { MemoryBroker } from '../../src/testing/memoryBroker.ts'
import { airportTotals, flightsTable, flightTopic } from './flights.ts'
import { flightsTopic, loadKafka, loadMemory, type OnLoaded } from './load.ts'
import { createProgress } from './progress.ts'
import { flightRecords, type PlacedRecord, recordCount } from './records.ts'

/** Where the records are: in a Kafka, or in this process. */
export type Input = { readonly kafka: Kafka } | { readonly memory: MemoryBroker }

/** Something that the reader can do something about; its message is the whole story. */
export class DemoError extends Error {}

/** The topic and the tables must be new, or the recount would count what an earlier run left. */
export async function clear(input: Input, database: pg.Client, fresh: boolean): Promise<void> {
  const tables = [flightsTable.name, airportTotals.name]
  const { rows } = await database.query<{ name: string }>(
    'select name from unnest($1::text[]) as name where to_regclass(name) is not null',
    [tables],
  )
  const left = rows.map(({ name }) => `the table ${name}`)
  const admin = 'kafka' in input ? input.kafka.admin() : undefined
  await admin?.connect()
  try {
    const topicLeft = (await admin?.listTopics())?.includes(flightsTopic) ?? false
    if (topicLeft) left.push(`the topic ${flightsTopic}`)
    if (left.length > 0 && !fresh) {
      throw new DemoError(
        `There is already ${left.join(' and ')}: add --fresh to drop what an earlier run left (npm run demo -- --fresh).`,
      )
    }
    if (topicLeft) {
      await admin?.deleteTopics({ topics: [flightsTopic] })
      while ((await admin?.listTopics())?.includes(flightsTopic)) await delay(100)
    }
    await database.query(`drop table if exists ${tables.join(', ')}`)
  } finally {
    await admin?.disconnect()
  }
}

/** Loads so many flights, and answers with the broken records that stand among them. */
export async function load(input: Input, flights: number): Promise<PlacedRecord[]> {
  const broken: PlacedRecord[] = []
  const blocks = flightRecords(
    flights,
    (flight) => flightTopic.codec.encode(flight),
    (record) => broken.push(record),
  )
  const progress = createProgress('loading', recordCount(flights))
  const onLoaded: OnLoaded = (loaded) => progress.update(loaded)
  try {
    if ('kafka' in input) await loadKafka(input.kafka, blocks, onLoaded)
    else await loadMemory(input.memory, blocks, onLoaded)
  } finally {
    progress.stop()
  }
  return broken
}
