import { describe, expect, test } from 'vitest'
import { freshDatabase, freshTopic, kafkaAdmin, produce } from '../support/services.ts'

describe('the services of the integration tests', () => {
  test('a topic takes records in order', async () => {
    const topic = await freshTopic(2)
    await produce(
      topic,
      Array.from({ length: 3 }, (_, i) => ({ partition: 1, value: `v${i}` })),
    )
    const offsets = await (await kafkaAdmin()).fetchTopicOffsets(topic)
    expect(offsets.map(({ partition, offset }) => [partition, offset]).sort()).toEqual([
      [0, '0'],
      [1, '3'],
    ])
  })

  test('a database is empty and takes the set-up statements', async () => {
    const database = await freshDatabase('create table a (b int); insert into a values (1)')
    expect(await database.query('select b from a')).toEqual([{ b: 1 }])
  })

  test('Postgres keeps what it has confirmed', async () => {
    const database = await freshDatabase()
    const settings = await database.query(
      'select name, setting from pg_settings where name in ($1, $2) order by name',
      ['fsync', 'max_connections'],
    )
    expect(settings[0]).toEqual({ name: 'fsync', setting: 'on' })
    expect(Number(settings[1]?.setting)).toBeGreaterThanOrEqual(100)
  })
})
