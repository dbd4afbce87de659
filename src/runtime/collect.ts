/** Items that fell, as the error collector keeps them, and what became of those that came from there. */
import { MillraceError, messageOf, propertyOf, textOf } from '../core/errors.ts'
import type { RecordChunk } from '../core/record.ts'
import { type CollectedItem, RowsRefused, type Settlement } from '../core/store.ts'
import { triesOf } from './applyPolicy.ts'
import type { Batch } from './batch.ts'
import type { CallMemory } from './callMemory.ts'
import type { Fall, FallenItem } from './fall.ts'
import { ownInput, type TaskInfo } from './taskInfo.ts'

/** What a batch puts into the collector. An item that comes from there may fall anew in a stream that it triggers. */
export function collectedItems(batch: Batch, info: TaskInfo, memory: CallMemory): CollectedItem[] {
  const items: CollectedItem[] = []
  for (const fallen of batch.fallen()) {
    if (fallen.fall.kind === 'ignored' || isWaitingItem(batch, fallen)) continue
    items.push(collectedItem(batch, info, memory, fallen))
  }
  for (const [owner, fall] of batch.falls.stray) {
    if (fall.kind === 'collected') items.push(strayItem(batch, info, owner, fall))
  }
  return items
}

/** What became of the items of a batch that came from the collector. One that has to wait again is left as it was. */
export function settlements(batch: Batch, info: TaskInfo, memory: CallMemory): Settlement[] {
  const settled: Settlement[] = []
  const fallen = new Map<number, FallenItem>()
  for (const one of batch.fallen()) if (isWaitingItem(batch, one)) fallen.set(one.item, one)
  for (const [item, { id, kind, stream }] of (batch.waiting ?? []).slice(0, batch.taken).entries()) {
    const own = batch.falls.byOwner.get(item)
    // One that has to wait does so in all streams: also where it did not fall in the task's own.
    const fell = own?.kind === 'parked' ? { owner: item, item, stream, fall: own } : fallen.get(item)
    if (fell === undefined) settled.push({ id, outcome: 'done' })
    else if (fell.fall.kind === 'ignored') settled.push({ id, outcome: 'ignored' })
    else if (fell.fall.kind !== 'parked' || kind !== 'parked') {
      settled.push({ id, outcome: 'failed', failure: collectedItem(batch, info, memory, fell) })
    }
  }
  return settled
}

/** Whether an item fell where it had fallen before. */
function isWaitingItem({ waiting }: Batch, { item, stream }: FallenItem): boolean {
  return waiting?.[item]?.stream === stream
}

function collectedItem(
  batch: Batch,
  info: TaskInfo,
  memory: CallMemory,
  { owner, item, stream, fall }: FallenItem,
): CollectedItem {
  const { records, index, input } = batch.locate(item)
  const record = { key: records.key(index), value: records.value(index), headers: readableHeaders(records, index) }
  return {
    stream,
    taskStream: info.stream,
    step: 'step' in fall ? fall.step : input.step,
    topic: records.topic,
    partition: records.partition,
    offset: records.offset(index),
    timestamp: new Date(records.timestamp(index)),
    ...(info.policy.redact?.(record) ?? record),
    // A try in this batch that came to nothing is none of an item that waits.
    attempts: fall.kind === 'parked' ? (batch.waiting?.[item]?.attempts ?? 0) : triesOf(batch, owner) + 1,
    retryInMs: fall.kind === 'deferred' ? fall.retryInMs : null,
    remembered: fall.kind === 'deferred' ? memory.pack(batch.offsetsOf(item)) : null,
    ...stateOf(fall),
  }
}

function stateOf(fall: Fall): Pick<CollectedItem, 'state' | 'error'> {
  switch (fall.kind) {
    case 'deferred':
      return { state: 'deferred', error: errorFields(fall.error) }
    case 'parked':
      return { state: 'parked', error: { ...errorFields('waits behind an earlier item of its key'), name: 'Parked' } }
    case 'collected':
      return { state: 'open', error: errorFields(fall.error) }
    case 'ignored':
      return { state: 'open', error: errorFields(fall.reason) }
  }
}

/** Headers may be malformed, which shows when they are read: what the collector can keep must not depend on that. */
function readableHeaders(records: RecordChunk, index: number): CollectedItem['headers'] {
  try {
    return records.headers(index)
  } catch {
    return []
  }
}

/** A value that RxJS gave back, or that was derived: it has no record, and so no position. */
function strayItem(batch: Batch, info: TaskInfo, owner: number, fall: Fall & { kind: 'collected' }): CollectedItem {
  const derived = batch.owners.derivedOf(owner)
  return {
    stream: batch.owners.streamNameOf(owner),
    taskStream: info.stream,
    step: fall.step,
    topic: ownInput(info).source.name,
    partition: info.partition,
    offset: -1,
    timestamp: derived === undefined ? null : new Date(derived.at),
    key: derived === undefined ? null : Buffer.from(String(derived.key)),
    value: null,
    headers: [],
    attempts: 1,
    retryInMs: null,
    remembered: null,
    ...stateOf(fall),
  }
}

function errorFields(error: unknown): CollectedItem['error'] {
  const stack = error instanceof Error ? propertyOf(error, 'stack') : undefined
  return {
    name: error instanceof Error ? textOf(propertyOf(error, 'name')) : typeof error,
    message: messageOf(error),
    code: codeOf(error),
    stack: typeof stack === 'string' ? stack : null,
  }
}

function codeOf(error: unknown): string | null {
  if (error instanceof MillraceError) return error.code
  if (error instanceof RowsRefused) return error.sqlstate
  const code = typeof error === 'object' ? propertyOf(error, 'code') : undefined
  return typeof code === 'string' ? code : null
}
