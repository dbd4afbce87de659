/**
 * From produce to visible row. Events are produced at a steady rate while a reader looks at the table every few
 * milliseconds; an event's latency is the time from just before its send to the end of the first look that sees it, so it
 * includes the producer's round trip and the reader's interval.
 */
import { setTimeout as delay } from 'node:timers/promises'
import { Partitioners } from 'kafkajs'
import type { ChildReport } from './child.ts'
import { isPing } from './events.ts'
import { benchKafka, benchMessages, partitions } from './fill.ts'
import { quantile, rounded } from './pairs.ts'
import type { Side, Stage } from './stage.ts'

export interface LatencyReport {
  readonly child: ChildReport
  readonly p50Ms: number
  readonly p99Ms: number
  readonly maxMs: number
}

export interface LatencyOptions {
  /** Events a second. */
  readonly perSecond: number
  /** Seconds that are produced and not measured: starting, joining, compiling. */
  readonly warmUpSeconds: number
  /** Seconds that are measured. */
  readonly seconds: number
}

const sendEveryMs = 10
const lookEveryMs = 2

export async function measureLatency(stage: Stage, side: Side, options: LatencyOptions): Promise<LatencyReport> {
  const { perSecond, warmUpSeconds, seconds } = options
  const records = perSecond * (warmUpSeconds + seconds)
  const topic = await stage.emptyTopic()
  await stage.database.query(`create index if not exists bench_events_lane on bench_events ((id % ${partitions}), id)`)
  const sentAt = new Float64Array(records)
  const seenAt = new Float64Array(records)
  const stop = new AbortController()
  try {
    const run = stage.run({ side, workload: 'latency', topic, records })
    const looking = look(stage, seenAt, stop.signal)
    const [child] = await Promise.all([run, produce(stage, topic, sentAt, perSecond)])
    stop.abort()
    await looking
    const latencies: number[] = []
    for (let id = perSecond * warmUpSeconds; id < records; id++) {
      if (isPing(id)) continue
      const seen = seenAt[id] ?? 0
      if (seen === 0) throw new Error(`${side}: event ${id} never became visible`)
      latencies.push(seen - (sentAt[id] ?? 0))
    }
    return {
      child,
      p50Ms: rounded(quantile(latencies, 0.5), 1),
      p99Ms: rounded(quantile(latencies, 0.99), 1),
      maxMs: rounded(Math.max(...latencies.map(Math.ceil)), 1),
    }
  } finally {
    stop.abort()
    await stage.database.query('drop index bench_events_lane')
  }
}

/** Sends what is due every few milliseconds and notes when. */
async function produce(stage: Stage, topic: string, sentAt: Float64Array, perSecond: number): Promise<void> {
  const producer = benchKafka(stage.brokers).producer({ createPartitioner: Partitioners.DefaultPartitioner })
  await producer.connect()
  const sending = new Set<Promise<unknown>>()
  const startedAt = performance.now()
  try {
    for (let next = 0; next < sentAt.length; ) {
      const due = Math.min(sentAt.length, Math.floor(((performance.now() - startedAt) * perSecond) / 1_000))
      if (due > next) {
        const messages = benchMessages(next, due)
        sentAt.fill(performance.now(), next, due)
        const send: Promise<unknown> = producer.send({ topic, acks: -1, messages }).then(() => sending.delete(send))
        // A failure is thrown where all of them are awaited; until then it is no unhandled rejection.
        send.catch(() => {})
        sending.add(send)
        next = due
      }
      await delay(sendEveryMs)
    }
    await Promise.all(sending)
  } finally {
    await producer.disconnect()
  }
}

/** Each partition's rows become visible in order, so its greatest id tells of all of them. */
async function look(stage: Stage, seenAt: Float64Array, until: AbortSignal): Promise<void> {
  const lanes = Array.from({ length: partitions }, (_, lane) => lane)
  const columns = lanes.map(
    (lane) => `(select max(id) from bench_events where id % ${partitions} = ${lane}) as lane_${lane}`,
  )
  const greatest = { name: 'look', text: `select ${columns.join(', ')}` }
  const next = [...lanes]
  for (let last = false; !last; ) {
    last = until.aborted
    const { rows } = await stage.database.query<Record<string, string | null>>(greatest)
    const now = performance.now()
    for (const lane of lanes) {
      const visible = Number(rows[0]?.[`lane_${lane}`] ?? -1)
      for (let id = next[lane] ?? 0; id <= visible; id += partitions) {
        seenAt[id] = now
        next[lane] = id + partitions
      }
    }
    await delay(lookEveryMs)
  }
}
