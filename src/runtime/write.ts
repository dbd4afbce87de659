/** What callbacks and steps write, into the write set of the open batch. */
import { contextHeader, type EmitKey, type EmitOptions, ownHeaders } from '../core/emit.ts'
import { ItemError } from '../core/errors.ts'
import { isOptions, shown } from '../core/options.ts'
import type { RecordHeader } from '../core/record.ts'
import type { Sink } from '../core/sink.ts'
import type { TopicSource } from '../core/source.ts'
import type { Batch } from './batch.ts'
import { itemOf } from './owner.ts'

/** Where a plan writes to. */
export type Target = Sink<never> | TopicSource<unknown>

/** Something that was written, before it is in the write set. */
export interface Write {
  readonly to: Target
  readonly value: unknown
  readonly options?: EmitOptions | undefined
}

/** @throws ItemError for a value that cannot be written; StoreError when a row has a column that its table lacks */
export function write(batch: Batch, owner: number, { to, value, options }: Write): void {
  if (to.kind === 'table') batch.writeSet.bufferFor(to).append(value as object, owner)
  else emit(batch, owner, to, value, options)
}

function emit(batch: Batch, owner: number, to: TopicSource<unknown>, value: unknown, options: EmitOptions = {}): void {
  const key = keyBytes(to.name, 'key' in options || value === null ? options.key : to.key?.(value))
  if (value === null && key === null) throw tombstoneWithoutKey(to.name)
  batch.writeSet.emits.append({
    to,
    owner,
    key,
    value: value === null ? null : to.codec.encode(value),
    timestamp: timeOf(batch, owner),
    headers: [...headersOf(to.name, options.headers), ...contextOf(batch, owner)],
  })
}

function keyBytes(topic: string, key: EmitKey): Buffer | null {
  if (key === undefined || key === null) return null
  if (Buffer.isBuffer(key)) return key
  if (typeof key === 'string' || typeof key === 'number' || typeof key === 'bigint') return Buffer.from(String(key))
  throw new ItemError('MR-EMIT-KEY', {
    what: `the key of a record for topic "${topic}" must be a text, a number, a bigint or a Buffer, but is ${shown(key)}`,
    fix: 'Make a text of it.',
  })
}

function tombstoneWithoutKey(topic: string): ItemError {
  return new ItemError('MR-EMIT-KEY', {
    what: `null was written to topic "${topic}" without a key`,
    why: 'A null is a tombstone: it takes away what the topic has of a key.',
    fix: 'Name the key: ctx.write(topic, null, { key }).',
  })
}

function headersOf(topic: string, headers: EmitOptions['headers']): RecordHeader[] {
  if (headers === undefined) return []
  if (!isOptions(headers)) throw wrongHeader(topic, `headers are ${shown(headers)}`)
  return Object.entries(headers).map(([key, value]) => {
    if (key.startsWith(ownHeaders)) throw wrongHeader(topic, `the header "${key}" is millrace's own`)
    if (typeof value === 'string') return { key, value: Buffer.from(value) }
    if (Buffer.isBuffer(value)) return { key, value }
    throw wrongHeader(topic, `the header "${key}" is ${shown(value)}`)
  })
}

function wrongHeader(topic: string, what: string): ItemError {
  return new ItemError('MR-EMIT-HEADER', {
    what: `a record for topic "${topic}" cannot have these headers: ${what}`,
    fix: `Give them as { name: 'a text or a Buffer' }; names that begin with "${ownHeaders}" are taken.`,
  })
}

/** What the context scope holds. Who emits has seen it, so that it emits anew when what it saw is undone. */
function contextOf(batch: Batch, owner: number): RecordHeader[] {
  const { context } = batch.shared
  if (context.size === 0 || batch.falls.isUndone(owner)) return []
  const values = Array.from(context.keys(), (slot) => [slot.name, jsonOf(batch.shared.get(context, slot, owner))])
  const texts = values.flatMap(([name, text]) => (text === undefined ? [] : `${JSON.stringify(name)}:${text}`))
  return texts.length === 0 ? [] : [{ key: contextHeader, value: Buffer.from(`{${texts.join(',')}}`) }]
}

/** Undefined for what JSON has no words for: functions, bigints, circles. */
function jsonOf(value: unknown): string | undefined {
  try {
    return JSON.stringify(value)
  } catch {
    return undefined
  }
}

/** Event time of an owner in milliseconds: of a group that of its last member. */
function timeOf(batch: Batch, owner: number): number {
  return Math.max(0, Math.floor(rawTimeOf(batch, owner)))
}

function rawTimeOf(batch: Batch, owner: number): number {
  if (owner >= 0) return batch.timeOf(itemOf(owner))
  const { members, derived } = batch.owners.groupOf(owner)
  const last = members.at(-1)
  if (last !== undefined) return batch.timeOf(itemOf(last))
  // What RxJS gave back has no item, and so no time of its own.
  if (derived === undefined) return batch.openedAt
  // The end of a window may lie in the future, and brokers refuse records that come from there.
  return batch.size === 0 ? derived.time : Math.min(derived.time, batch.timeOf(derived.item))
}
