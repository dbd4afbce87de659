/** A topic that gets more partitions while it is read: not everybody hears of it at the same time. */
import { afterAll, expect, test } from 'vitest'
import { systemClock } from '../../../src/core/clock.ts'
import { silentLogger } from '../../../src/core/logger.ts'
import { Queries } from '../../../src/kafka/queries.ts'
import { resolveKafkaSettings } from '../../../src/kafka/settings.ts'
import { freshName } from '../../support/services.ts'
import { openKafkaHarness } from './kafkaHarness.ts'

const harness = await openKafkaHarness()
afterAll(() => harness.close())

test('a partition that was added after the metadata were read is asked about', async () => {
  const topic = freshName('grows')
  await harness.createTopic(topic, 1)
  const settings = resolveKafkaSettings({ ...harness.settings(topic), metadataMaxAgeMs: 300_000 })
  const queries = new Queries(settings, silentLogger, systemClock, () => {
    throw new Error('nothing is read here')
  })
  try {
    expect(await queries.bounds({ topic, partition: 0 })).toEqual({ start: 0, end: 0 })
    await harness.addPartitions(topic, 2)
    expect(await queries.bounds({ topic, partition: 1 })).toEqual({ start: 0, end: 0 })
  } finally {
    queries.close()
  }
})
