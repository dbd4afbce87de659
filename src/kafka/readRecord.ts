import { systemClock } from '../core/clock.ts'
import { silentLogger } from '../core/logger.ts'
import type { RecordChunk } from '../core/record.ts'
import type { TopicPartition } from '../core/source.ts'
import { Queries } from './queries.ts'
import { decodeFetch } from './records/decodeFetch.ts'
import { type KafkaSettings, resolveKafkaSettings } from './settings.ts'

/** Reads one record, outside of any group. @returns a chunk of one; undefined where the log does not have it */
export async function readRecord(
  settings: Omit<KafkaSettings, 'groupId'>,
  of: TopicPartition,
  offset: number,
): Promise<RecordChunk | undefined> {
  const resolved = resolveKafkaSettings({ ...settings, groupId: 'millrace-eval' })
  const { maxUnpackedBytes } = resolved
  const queries = new Queries(resolved, silentLogger, systemClock, (fetched, fetchedOffset) =>
    decodeFetch({ ...fetched, fetchedOffset }, { maxUnpackedBytes }),
  )
  try {
    await queries.requireTopics([of.topic], resolved.connectTimeoutMs, new AbortController().signal)
    return await queries.recordAt(of, offset)
  } finally {
    queries.close()
  }
}
