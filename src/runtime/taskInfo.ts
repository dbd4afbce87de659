import type { Clock } from '../core/clock.ts'
import type { Place } from '../core/errors.ts'
import type { Logger } from '../core/logger.ts'
import type { TopicSource } from '../core/source.ts'
import type { Batch } from './batch.ts'
import type { Cursor } from './cursor.ts'
import { noItem } from './owner.ts'

/** What every part of a task knows about it. */
export interface TaskInfo {
  readonly app: string
  readonly stream: string
  readonly partition: number
  readonly source: TopicSource<unknown>
  /** The step that reads: `from:flights`. */
  readonly sourceStep: string
  readonly clock: Clock
  readonly log: Logger
  /** Shows which step runs now. One for all tasks: one at a time runs. */
  readonly cursor: Cursor
  /** Aborts when the task has to stop at once: its partition was taken away, or the service goes down. */
  readonly abandoned: AbortSignal
}

/** Where an owner of the open batch stands: for errors and logs. */
export function placeOf(info: TaskInfo, batch: Batch, owner: number, step: string): Place {
  const [item] = batch.itemsOf(owner)
  const place = { stream: batch.streamNameOf(owner), step, topic: info.source.name, partition: info.partition }
  if (item === undefined) return place
  const { chunk, index } = batch.locate(item)
  return { ...place, offset: chunk.input.records.offset(index) }
}

/** Where the batch's own item stands, between items without its offset. */
export function currentPlace(info: TaskInfo, batch: Batch): Place {
  if (batch.item !== noItem) return placeOf(info, batch, batch.item, batch.step)
  return { stream: info.stream, step: batch.step, topic: info.source.name, partition: info.partition }
}
