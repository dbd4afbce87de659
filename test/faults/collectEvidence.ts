/** Reads the records with plain kafkajs, and the tables with plain pg. */
import { Kafka, type KafkaMessage, logLevel } from 'kafkajs'
import type { SceneDatabase } from './database.ts'
import type { Evidence, LedgerRow, Move, SideRow, SourceRecord, TotalRow } from './evidence.ts'
import type { Fate } from './records.ts'

export interface EvidenceSources {
  readonly brokers: readonly string[]
  readonly topic: string
  readonly database: SceneDatabase
}

/** What can be read when everything has come to rest; the rest was seen on the way. */
export async function collectEvidence(
  { brokers, topic, database }: EvidenceSources,
  seen: Pick<Evidence, 'snapshots' | 'batches' | 'complaints'>,
): Promise<Evidence> {
  const { records, ends } = await readLog(brokers, topic)
  const rows = await database.query<LedgerRow & Record<string, unknown>>(
    'select seq::float8, id, part, pos::float8, key, amount from ledger',
  )
  const totals = await database.query<TotalRow & Record<string, unknown>>(
    'select part, account, entries, amount::float8 from totals',
  )
  const [audits, receipts] = await Promise.all(
    ['audits', 'receipts'].map((name) =>
      database.query<SideRow & Record<string, unknown>>(`select part, pos::float8 from ${name}`),
    ),
  )
  const collected = await database.query<{ partition: number; offset: number }>(
    'select partition, record_offset::float8 as offset from millrace.errors',
  )
  const progress = await database.query<{ partition: number; next: number }>(
    'select partition, next_offset::float8 as next from millrace.progress',
  )
  const moves = await database.query<Move & Record<string, unknown>>(
    'select seq::float8, partition, owner, version::float8, next::float8 from moves',
  )
  return {
    ...seen,
    records,
    ends,
    rows,
    totals,
    audits: audits ?? [],
    receipts: receipts ?? [],
    collected,
    moves,
    progress: new Map(progress.map(({ partition, next }) => [partition, next])),
  }
}

/** Ends of the logs. */
export async function logEnds(brokers: readonly string[], topic: string): Promise<Map<number, number>> {
  const admin = new Kafka({ brokers: [...brokers], clientId: 'faults', logLevel: logLevel.NOTHING }).admin()
  await admin.connect()
  try {
    const offsets = await admin.fetchTopicOffsets(topic)
    return new Map(offsets.map(({ partition, high }) => [partition, Number(high)]))
  } finally {
    await admin.disconnect()
  }
}

/**
 * All records up to the last of each partition, also those that were rolled back: kafkajs does not leave all of them out when
 * it is told to, and each says itself what was to become of it.
 */
async function readLog(
  brokers: readonly string[],
  topic: string,
): Promise<{ records: SourceRecord[]; ends: Map<number, number> }> {
  const ends = await logEnds(brokers, topic)
  const kafka = new Kafka({ brokers: [...brokers], clientId: 'faults', logLevel: logLevel.NOTHING })
  const consumer = kafka.consumer({ groupId: `${topic}-checker`, readUncommitted: true, maxBytesPerPartition: 4 << 20 })
  const records: SourceRecord[] = []
  const open = new Set(ends.keys())
  await consumer.connect()
  try {
    await consumer.subscribe({ topic, fromBeginning: true })
    await new Promise<void>((resolve, reject) => {
      consumer.on('consumer.crash', ({ payload }) => reject(payload.error))
      const run = consumer.run({
        autoCommit: false,
        eachBatch: async ({ batch }) => {
          for (const message of batch.messages) {
            const record = recordIn(batch.partition, message)
            records.push(record)
            if (record.fate === 'filtered') open.delete(batch.partition)
          }
          if (open.size === 0) resolve()
        },
      })
      run.catch(reject)
    })
  } finally {
    await consumer.disconnect()
  }
  return { records, ends }
}

function recordIn(partition: number, { offset, key, headers }: KafkaMessage): SourceRecord {
  return {
    partition,
    offset: Number(offset),
    key: String(key),
    id: Number(String(headers?.id)),
    fate: String(headers?.fate) as Fate,
    amount: Number(String(headers?.amount)),
  }
}
