/** The outbox in Postgres. */
import type pg from 'pg'
import type { Emit, EmitRequest, LeftEmits, Outbox } from '../core/emit.ts'
import type { RecordHeader } from '../core/record.ts'
import type { TaskId } from '../core/taskId.ts'
import type { Connections, Link } from './connections.ts'
import { nullText } from './copySegment.ts'

/** Lines that are put together at once. */
const chunkLines = 1_000

interface LeftRow extends pg.QueryResultRow {
  readonly last: string
  /** Null where nothing is left. */
  readonly sequence: string | null
  readonly topic: string
  readonly partition: number
  readonly key: Buffer | null
  readonly value: Buffer | null
  readonly at: string
  readonly headers: string | null
}

type HeaderTexts = readonly (readonly [name: string, base64: string | null])[]

export class PostgresOutbox implements Outbox {
  readonly #connections: Connections

  constructor(connections: Connections) {
    this.#connections = connections
  }

  async left(task: TaskId): Promise<LeftEmits> {
    const doing = `looking for emits of stream "${task.stream}", partition ${task.partition}, that were not sent`
    const { rows } = await this.#connections.use(doing, (link) =>
      link.query<LeftRow>('select * from millrace.left_emits($1, $2, $3)', [task.app, task.stream, task.partition]),
    )
    return { sequence: Number(rows[0]?.last ?? 0), emits: rows.flatMap(leftEmit) }
  }

  async forget(task: TaskId, upTo: number): Promise<void> {
    await this.#connections.use('deleting emits that were sent', (link) => takeSequences(link, task, null, upTo))
  }
}

/** Puts what a batch emits into the outbox, and takes out what was sent of the batch before. */
export async function inTransactionEmit(link: Link, task: TaskId, { sent, take }: EmitRequest): Promise<void> {
  const emits = take()
  const last = emits.at(-1)?.sequence ?? null
  if (last === null && sent === 0) return
  const emitter = await takeSequences(link, task, last, sent)
  if (last === null) return
  const chunks: Buffer[] = []
  for (let start = 0; start < emits.length; start += chunkLines) {
    const lines = emits.slice(start, start + chunkLines).map((emit) => lineOf(emitter, emit))
    chunks.push(Buffer.from(lines.join('')))
  }
  await link.copyIn(
    'copy millrace.outbox (emitter, sequence, topic, partition, key, value, at, headers) from stdin',
    chunks,
  )
}

/** @returns the number of the task among those that emit; of one that never has, null */
async function takeSequences(
  link: Link,
  { app, stream, partition }: TaskId,
  last: number | null,
  sent: number,
): Promise<number | null> {
  const { rows } = await link.query<{ emitter: number | null }>(
    'select millrace.take_sequences($1, $2, $3, $4, $5) as emitter',
    [app, stream, partition, last, sent],
  )
  return rows[0]?.emitter ?? null
}

function lineOf(emitter: number | null, { sequence, topic, partition, key, value, timestamp, headers }: Emit): string {
  const cells = [emitter, sequence, topic, partition, bytesText(key), bytesText(value), timestamp, headersText(headers)]
  return `${cells.join('\t')}\n`
}

/** In the text format of COPY a backslash is written as two. */
function bytesText(bytes: Buffer | null): string {
  return bytes === null ? nullText : `\\\\x${bytes.toString('hex')}`
}

function headersText(headers: readonly RecordHeader[]): string {
  if (headers.length === 0) return nullText
  const texts: HeaderTexts = headers.map(({ key, value }) => [key, value?.toString('base64') ?? null])
  return JSON.stringify(texts).replaceAll('\\', '\\\\')
}

function leftEmit({ sequence, topic, partition, key, value, at, headers }: LeftRow): Emit[] {
  if (sequence === null) return []
  const texts = JSON.parse(headers ?? '[]') as HeaderTexts
  return [
    {
      ...{ sequence: Number(sequence), topic, partition, key, value, timestamp: Number(at) },
      headers: texts.map(([name, base64]) => ({
        key: name,
        value: base64 === null ? null : Buffer.from(base64, 'base64'),
      })),
    },
  ]
}
