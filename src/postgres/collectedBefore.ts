import type { CollectedItem, CommitRequest, Settlement } from '../core/store.ts'
import { textArray } from './arrayLiteral.ts'
import type { Link } from './connections.ts'

/** What a batch does to the collector. */
type Collecting = Pick<CommitRequest, 'collected' | 'settled'>

/**
 * Items that come again may be in the collector from the time before: those that stand now are settled there, and those that
 * fail again are not doubled.
 */
export async function inTransactionMatchCollected(link: Link, request: CommitRequest): Promise<Collecting> {
  const { origins, collected, settled } = request
  if (!request.again || origins === undefined) return request
  const { app, partition } = request.claim.task
  const standing = new Set<string>()
  const offsets = new Set<number>()
  for (const { owner, stream, offset } of origins.standing()) {
    if (request.position(owner) === undefined) continue
    standing.add(nameOf(stream, offset))
    offsets.add(offset)
  }
  const failed = new Map(collected.map((item) => [nameOf(item.stream, item.offset), item]))
  for (const { offset } of collected) offsets.add(offset)
  const { rows } = await link.query<{ id: string; stream: string; record_offset: string; attempts: number }>(
    `select id, stream, record_offset, attempts from millrace.errors
     where app = $1 and task_stream = $2 and topic = $3 and partition = $4 and record_offset = any($5::bigint[])
       and state in ('open', 'deferred', 'parked', 'replaying') order by id for update`,
    [app, origins.stream, origins.topic, partition, textArray(Array.from(offsets, String))],
  )
  const isOwn = new Set(settled.map(({ id }) => id))
  const doubled = new Set<CollectedItem>()
  const more: Settlement[] = []
  for (const { id, stream, record_offset, attempts } of rows) {
    if (isOwn.has(id)) continue
    const name = nameOf(stream, Number(record_offset))
    const failure = failed.get(name)
    if (failure !== undefined) {
      more.push({ id, outcome: 'failed', failure: { ...failure, attempts: failure.attempts + attempts } })
      doubled.add(failure)
    } else if (standing.has(name)) more.push({ id, outcome: 'done' })
  }
  return { collected: collected.filter((item) => !doubled.has(item)), settled: [...settled, ...more] }
}

function nameOf(stream: string, offset: number): string {
  return `${offset} ${stream}`
}
