/** Writing to topics, on the real Kafka and Postgres. */
import { EmittedSequences, evaluate, json, run, start, stream, table, text, topic } from 'millrace'
import { expect, test } from 'vitest'
import { silentLogger } from '../../../src/core/logger.ts'
import { brokers, freshDatabase, freshName, freshTopic, kafkaAdmin, produce } from '../../support/services.ts'

interface Thing {
  readonly id: number
}

const bytesOf = (id: number) => JSON.stringify({ id })
const ids = (count: number) => Array.from({ length: count }, (_, id) => ({ value: bytesOf(id) }))

test('a plan that writes to a topic only, and one that reads it and takes repeats for what they are', async () => {
  const [from, to] = [await freshTopic(2), await freshTopic(3)]
  const database = await freshDatabase(
    'create table things (id int, task text, sequence bigint, primary key (task, sequence))',
  )
  const settings = {
    kafka: { brokers },
    postgres: { url: database.url },
    from: 'earliest',
    logger: silentLogger,
  } as const
  const things = topic(to, json<Thing>(), { key: ({ id }) => id })
  await produce(from, ids(500))
  const writing = await start(stream('writing').from(topic(from, json<Thing>())).to(things), {
    ...settings,
    group: freshName('group'),
  })
  await writing.caughtUp()

  const saved = table<Thing & { task: string; sequence: number }>('things', {
    key: ['task', 'sequence'],
    onConflict: 'nothing',
  })
  const reading = await start(
    stream('reading')
      .from(things)
      .to(saved, ({ id }, ctx) => ({
        id,
        task: ctx.record.header('millrace-task') ?? '',
        sequence: Number(ctx.record.header('millrace-sequence')),
      })),
    { ...settings, group: freshName('group') },
  )
  await reading.caughtUp()
  expect(await database.query('select count(*)::int as n, count(distinct id)::int as ids from things')).toEqual([
    { n: 500, ids: 500 },
  ])
  await writing.stop()
  await reading.stop()
  expect(await database.query('select from millrace.outbox')).toEqual([])
})

test('a topic that does not exist is refused at the start, with stream and step', async () => {
  const from = await freshTopic()
  const database = await freshDatabase()
  const missing = topic(freshName('missing'), json<Thing>())
  const started = start(stream('s').from(topic(from, json<Thing>())).to(missing).named('out'), {
    group: freshName('group'),
    kafka: { brokers },
    postgres: { url: database.url },
    logger: silentLogger,
  })
  await expect(started).rejects.toMatchObject({ code: 'MR-KAFKA-TOPIC-MISSING', place: { stream: 's', step: 'out' } })
})

test('a record that the topic does not take any more stops the service, and is sent when it does again', async () => {
  const [from, to] = [await freshTopic(), await freshTopic()]
  const database = await freshDatabase()
  const admin = await kafkaAdmin()
  const limit = (value: string) =>
    admin.alterConfigs({
      validateOnly: false,
      resources: [{ type: 2, name: to, configEntries: [{ name: 'max.message.bytes', value }] }],
    })
  const plan = stream('s').from(topic(from, text())).to(topic(to, text()))
  const settings = {
    group: freshName('group'),
    kafka: { brokers },
    postgres: { url: database.url },
    from: 'earliest',
    logger: silentLogger,
  } as const
  const app = await start(plan, settings)
  await limit('1000')
  await produce(from, [{ value: 'x'.repeat(5_000) }])
  await expect(app.done).rejects.toThrow('MR-KAFKA-RECORD-SIZE')
  expect(await database.query('select sequence > 1000000000000000 as late, partition from millrace.outbox')).toEqual([
    { late: true, partition: 0 },
  ])
  await limit('100000')
  const again = await start(plan, settings)
  await again.caughtUp()
  await again.stop()
  expect(await database.query('select from millrace.outbox')).toEqual([])
  const [offsets] = await admin.fetchTopicOffsets(to)
  expect(offsets?.high).toBe('1')
})

test('a run over an input that ends writes to a topic where Kafka is named, and is refused where it is not', async () => {
  const to = await freshTopic(2)
  const database = await freshDatabase()
  const plan = stream('s').from([1, 2, 3]).to(topic(to, json<number>()))
  const settings = { postgres: { url: database.url }, logger: silentLogger }
  await expect(run(plan, settings)).rejects.toMatchObject({ code: 'MR-EMIT-KAFKA' })
  await run(plan, { ...settings, kafka: { brokers } })
  const offsets = await (await kafkaAdmin()).fetchTopicOffsets(to)
  expect(offsets.reduce((sum, { high }) => sum + Number(high), 0)).toBe(3)
  expect(await database.query('select from millrace.outbox')).toEqual([])
})

test('what a step would emit is shown without being sent', async () => {
  const things = topic('things', json<Thing>(), { key: ({ id }) => id })
  const plan = stream('s').from(topic('from', json<Thing>())).to(things)
  const { writes } = await evaluate(plan, { step: 'to:things', record: { value: Buffer.from(bytesOf(7)) } })
  expect(writes).toEqual([{ topic: 'things', key: '7', value: { id: 7 }, headers: {} }])
})

test('numbers of a task go up over a reset of its progress, so that readers do not take new records for repeats', async () => {
  const [from, to] = [await freshTopic(), await freshTopic()]
  const database = await freshDatabase()
  const plan = stream('s').from(topic(from, json<Thing>())).to(topic(to, json<Thing>()))
  const settings = {
    group: freshName('group'),
    kafka: { brokers },
    postgres: { url: database.url },
    from: 'earliest',
    logger: silentLogger,
  } as const
  await produce(from, ids(3))
  const runOnce = async () => {
    const app = await start(plan, settings)
    await app.caughtUp()
    await app.stop()
  }
  await runOnce()
  // As in a database that was lost.
  await database.query('truncate millrace.progress, millrace.emitters, millrace.outbox')
  await runOnce()
  const seen = new EmittedSequences()
  const records: boolean[] = []
  const app = await start(
    stream('reading')
      .from(topic(to, json<Thing>()))
      .tap((_, ctx) => void records.push(seen.isRepeat(ctx.record))),
    { ...settings, group: freshName('group') },
  )
  await app.caughtUp()
  await app.stop()
  expect(records).toEqual(Array.from({ length: 6 }, () => false))
})
