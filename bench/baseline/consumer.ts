/**
 * The baseline: what a careful programmer writes by hand with kafkajs and pg, as fast as it can be made.
 *
 * - `eachBatch`, because `eachMessage` costs a promise for each record.
 * - Offsets live in Postgres, in the transaction of the rows (exactly once, as in millrace), and are compared and set, so
 *   that another owner's move is noticed. Kafka's own offsets are not committed.
 * - A connection and a commit in flight for each partition: while Postgres works on a batch, the next one is parsed.
 *
 * What was tried is written down in README.md beside this file.
 */
import { type EachBatchPayload, Kafka, type KafkaMessage, logLevel } from 'kafkajs'
import pg from 'pg'
import type { ChildTask, Meter } from '../child.ts'

/** Writes the rows of one batch, inside the transaction. */
export type Write = (client: pg.Client) => Promise<void>

/** One partition's part of a workload. */
export interface Lane {
  /** Takes messages at once and answers with what writes their rows; undefined when there are none. */
  take(messages: readonly KafkaMessage[]): Write | undefined
  /** Records that the workload only counts; it is stored with the offset. */
  readonly counted: number
}

export interface ConsumeOptions {
  readonly createLane: (partition: number) => Lane
}

interface Position {
  readonly partition: number
  readonly client: pg.Client
  readonly lane: Lane
  nextOffset: number
  committing: Promise<void>
}

const maxBytesPerPartition = 1 << 20

/** Reads the topic from the stored offsets until all records of the task are committed. */
export async function consume(task: ChildTask, meter: Meter, options: ConsumeOptions): Promise<void> {
  const positions: Position[] = []
  for (let partition = 0; partition < task.partitions; partition++) {
    positions.push(await openPosition(task, partition, options))
  }
  const kafka = new Kafka({ clientId: 'baseline', brokers: [...task.brokers], logLevel: logLevel.NOTHING })
  const consumer = kafka.consumer({
    groupId: task.group,
    maxBytesPerPartition,
    maxBytes: task.partitions * maxBytesPerPartition,
    minBytes: 1,
    maxWaitTimeInMs: 100,
  })
  await consumer.connect()
  await consumer.subscribe({ topics: [task.topic], fromBeginning: true })

  const committed = () => positions.reduce((sum, { nextOffset }) => sum + nextOffset, 0)
  await new Promise<void>((resolve, reject) => {
    const eachBatch = async ({ batch }: EachBatchPayload) => {
      meter.seen()
      const position = positions[batch.partition]
      const last = batch.messages.at(-1)
      if (position === undefined || last === undefined) return
      const write = position.lane.take(batch.messages)
      const { counted } = position.lane
      await position.committing
      position.committing = commit(task, position, Number(last.offset) + 1, counted, write)
      position.committing.then(() => committed() >= task.records && resolve(), reject)
    }
    consumer.run({ autoCommit: false, partitionsConsumedConcurrently: task.partitions, eachBatch }).then(() => {
      for (const { partition, nextOffset } of positions) {
        if (nextOffset > 0) consumer.seek({ topic: task.topic, partition, offset: String(nextOffset) })
      }
    }, reject)
  })
  const counted = positions.reduce((sum, { lane }) => sum + lane.counted, 0)
  meter.finished({ records: committed(), counted })
  await consumer.disconnect()
  await Promise.all(positions.map(({ client }) => client.end()))
}

async function openPosition(task: ChildTask, partition: number, options: ConsumeOptions): Promise<Position> {
  const client = new pg.Client(task.url)
  await client.connect()
  const key = [task.group, partition]
  await client.query('insert into baseline_progress values ($1, $2, 0, 0) on conflict do nothing', key)
  const stored = 'select next_offset from baseline_progress where app = $1 and partition = $2'
  const { rows } = await client.query<{ next_offset: string }>(stored, key)
  const nextOffset = Number(rows[0]?.next_offset)
  return { partition, client, lane: options.createLane(partition), nextOffset, committing: Promise.resolve() }
}

async function commit(
  task: ChildTask,
  position: Position,
  nextOffset: number,
  counted: number,
  write: Write | undefined,
): Promise<void> {
  const { client, partition } = position
  const move =
    `update baseline_progress set next_offset = ${nextOffset}, counted = ${counted} ` +
    `where app = ${pg.escapeLiteral(task.group)} and partition = ${partition} and next_offset = ${position.nextOffset}`
  if (write === undefined) {
    assertMoved(await client.query(move))
  } else {
    // Two statements in one message: a round trip less. Node-postgres then answers with two results.
    const [, moved] = (await client.query(`begin; ${move}`)) as unknown as pg.QueryResult[]
    assertMoved(moved)
    await write(client)
    const { command } = await client.query('commit')
    if (command !== 'COMMIT') throw new Error('the transaction was rolled back')
  }
  position.nextOffset = nextOffset
}

function assertMoved(result: pg.QueryResult | undefined): void {
  if (result?.rowCount !== 1) throw new Error('the partition was moved by somebody else')
}
