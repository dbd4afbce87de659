/** Items that fell, as the error collector keeps them. */
import { MillraceError, messageOf, propertyOf, textOf } from '../core/errors.ts'
import type { RecordChunk } from '../core/record.ts'
import { type CollectedItem, RowsRefused } from '../core/store.ts'
import type { Batch, Fall } from './batch.ts'
import type { TaskInfo } from './taskInfo.ts'

export function collectedItems(batch: Batch, info: TaskInfo): CollectedItem[] {
  const items: CollectedItem[] = []
  for (const { item, stream, fall } of batch.fallen()) {
    if (fall.kind === 'collected') items.push(collectedItem(batch, stream, item, fall))
  }
  for (const fall of batch.strayFalls.values()) {
    if (fall.kind === 'collected') items.push(strayItem(info, fall))
  }
  return items
}

function collectedItem(batch: Batch, stream: string, item: number, fall: Fall & { kind: 'collected' }): CollectedItem {
  const { chunk, index } = batch.locate(item)
  const { records } = chunk.input
  return {
    stream,
    step: fall.step,
    topic: records.topic,
    partition: records.partition,
    offset: records.offset(index),
    timestamp: new Date(records.timestamp(index)),
    key: records.key(index),
    value: records.value(index),
    headers: readableHeaders(records, index),
    error: errorFields(fall.error),
    attempts: 1,
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

/** A value that RxJS gave back: it has no record, and so no position. */
function strayItem(info: TaskInfo, fall: Fall & { kind: 'collected' }): CollectedItem {
  return {
    stream: info.stream,
    step: fall.step,
    topic: info.source.name,
    partition: info.partition,
    offset: -1,
    timestamp: null,
    key: null,
    value: null,
    headers: [],
    error: errorFields(fall.error),
    attempts: 1,
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
