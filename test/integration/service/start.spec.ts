/** `start` in code, on the real Kafka and Postgres. */
import { json, start, stream, table, topic } from 'millrace'
import { createMemoryBroker } from 'millrace/testing'
import { expect, test } from 'vitest'
import { brokers, freshDatabase, freshName, freshTopic, produce } from '../../support/services.ts'

interface Thing {
  readonly id: number
}

const count = 1_000
const things = 'create table things (id int primary key)'
const planOf = (name: string) => stream('things').from(topic(name, json<Thing>())).to(table<Thing>('things'))

test('reads Kafka, catches up, counts, and leaves when it is disposed of', async () => {
  const name = await freshTopic(3)
  const database = await freshDatabase(things)
  const group = freshName('group')
  await produce(
    name,
    Array.from({ length: count }, (_, id) => ({ partition: id % 3, value: JSON.stringify({ id }) })),
  )
  const settings = { group, kafka: { brokers }, postgres: { url: database.url } }
  const app = await start(planOf(name), settings)
  await app.caughtUp()
  expect(await database.query('select count(*)::int as count from things')).toEqual([{ count }])
  expect(app.stats()).toMatchObject({ items: count, rows: count, lag: 0, outcomes: { done: count } })
  expect(
    app
      .stats()
      .partitions.map(({ partition }) => partition)
      .sort(),
  ).toEqual([0, 1, 2])
  await produce(name, [{ partition: 0, value: JSON.stringify({ id: count }) }])
  await app.caughtUp()
  expect(app.stats().items).toBe(count + 1)
  await app[Symbol.asyncDispose]()
  await app.done

  // Nothing holds the partitions any more, and nothing is read twice.
  const next = await start([planOf(name)], settings)
  await next.caughtUp()
  expect(next.stats().items).toBe(0)
  await next.stop()
})

test('reads a broker in memory into the real Postgres, with a password that is kept out of the URL', async () => {
  const broker = createMemoryBroker()
  broker.createTopic('things', 2)
  for (let id = 0; id < count; id++) broker.append('things', id % 2, { value: Buffer.from(JSON.stringify({ id })) })
  const database = await freshDatabase(things)
  const url = new URL(database.url)
  const password = decodeURIComponent(url.password)
  url.password = ''
  const app = await start(planOf('things'), {
    group: 'memory',
    client: broker.client('memory'),
    postgres: { url: url.href, password: password === '' ? undefined : password },
  })
  await app.caughtUp()
  await app.stop()
  expect(await database.query('select count(*)::int as count from things')).toEqual([{ count }])
})

test('a table that disappears stops the service, which says so', async () => {
  const broker = createMemoryBroker()
  broker.createTopic('things', 1)
  const database = await freshDatabase(things)
  const app = await start(planOf('things'), {
    group: 'gone',
    client: broker.client('gone'),
    postgres: { url: database.url },
    logger: { debug() {}, info() {}, warn() {}, error() {} },
  })
  await app.caughtUp()
  await database.query('drop table things')
  broker.append('things', 0, { value: Buffer.from('{"id":1}') })
  await expect(app.done).rejects.toMatchObject({ code: 'MR-PG-REFUSED', retryable: false })
  await app.stop()
})
