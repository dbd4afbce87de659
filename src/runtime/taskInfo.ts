import type { Clock } from '../core/clock.ts'
import type { ErrorPolicy } from '../core/errorPolicy.ts'
import type { Place } from '../core/errors.ts'
import type { Logger } from '../core/logger.ts'
import type { Store } from '../core/store.ts'
import type { Batch } from './batch.ts'
import type { Cursor } from './cursor.ts'
import type { TaskInput } from './input.ts'
import { noItem } from './owner.ts'
import type { StateCache } from './stateCache.ts'

/** What every part of a task knows about it. */
export interface TaskInfo {
  readonly app: string
  readonly stream: string
  readonly partition: number
  /** What it reads: its own source first, then those that it is joined with. */
  readonly inputs: readonly TaskInput[]
  readonly clock: Clock
  readonly log: Logger
  /** What becomes of items that fail. */
  readonly policy: ErrorPolicy
  /** Whether all that the source has commits in one transaction: then a batch is not cut where rows are refused. */
  readonly isWhole: boolean
  /** Recognises the plan: one that was halted is not run again as it is. */
  readonly planHash: string
  /** A number from 0 to below 1, by chance. */
  readonly random: () => number
  /** Which keys' state stays in memory: one for all tasks. */
  readonly stateCache: StateCache
  /** Asks the store for the rows of keys. */
  readonly lookUp: Store['lookup']
  /** Shows which step runs now. One for all tasks: one at a time runs. */
  readonly cursor: Cursor
  /** Aborts when the task has to stop at once: its partition was taken away, or the service goes down. */
  readonly abandoned: AbortSignal
}

/** The one that the stream begins at. */
export function ownInput({ inputs }: Pick<TaskInfo, 'inputs'>): TaskInput {
  return inputs[0] as TaskInput
}

/** Where an owner of the open batch stands: for errors and logs. */
export function placeOf(info: TaskInfo, batch: Batch, owner: number, step: string): Place {
  const [item] = batch.owners.itemsOf(owner)
  const place = {
    stream: batch.owners.streamNameOf(owner),
    step,
    topic: ownInput(info).source.name,
    partition: info.partition,
  }
  if (item === undefined) return place
  const { records, index } = batch.locate(item)
  return { ...place, topic: records.topic, offset: records.offset(index) }
}

/** Where the batch's own item stands, between items without its offset. */
export function currentPlace(info: TaskInfo, batch: Batch): Place {
  if (batch.item !== noItem) return placeOf(info, batch, batch.item, batch.step)
  return { stream: info.stream, step: batch.step, topic: ownInput(info).source.name, partition: info.partition }
}
