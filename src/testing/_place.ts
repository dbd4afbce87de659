/** Where records come from, and what plans make of them, as runs are compared by it. */
import type { Sink } from '../core/sink.ts'
import type { TopicSource } from '../core/source.ts'
import type { MemoryRecord } from './memoryLog.ts'
import type { Row } from './memoryStore.ts'

export interface PlacedRecord extends MemoryRecord {
  readonly topic: string
  readonly partition: number
}

/** A row as it went to the store, before an upsert made one of several; a record as a reader of the topic sees it. */
export interface Written {
  readonly place: string
  /** Of a topic. */
  readonly partition?: number
  readonly row: Row
  /** The record that it belongs to, of a group the last; undefined for what RxJS gave back. */
  readonly record: PlacedRecord | undefined
}

/** `table "flights"`, `topic "delays"`: a table and a topic may have the same name. */
export function placeOf({ kind, name }: Pick<Sink<never> | TopicSource<unknown>, 'kind' | 'name'>): string {
  return `${kind} "${name}"`
}

export function isTopic(place: string): boolean {
  return place.startsWith('topic ')
}
