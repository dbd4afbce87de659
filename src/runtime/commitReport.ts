/** What is told of a commit. */
import type { OutcomeCounts } from '../core/outcome.ts'
import type { BatchEnd } from './closeBatch.ts'

/** Why a batch was closed. */
export type CloseReason =
  | 'drained'
  | 'items'
  | 'bytes'
  | 'time'
  | 'group'
  | 'break'
  | 'cut'
  | 'stop'
  | 'halted'
  | 'waiting'

/** How far an input of a task is. */
export interface InputPosition {
  readonly topic: string
  readonly nextOffset: number
  /** End of the partition as it was last known: the lag is what lies between. */
  readonly endOffset: number
}

/** What one commit did. */
export interface CommitReport {
  readonly stream: string
  readonly partition: number
  readonly reason: CloseReason
  /** Items of the batch: the sum over its outcomes. Where the reason is `waiting`, they came from the error collector. */
  readonly items: number
  readonly outcomes: OutcomeCounts
  /** Of the streams that depend on this one or are triggered by it. */
  readonly streams: BatchEnd['streams']
  readonly rows: number
  /** Records for topics. */
  readonly emits: number
  /** Values that came too late for a window, or for some of its windows: once for each. */
  readonly late: number
  /** Reasons of ignored items, with how many gave each. */
  readonly ignored: ReadonlyMap<string, number>
  /** Bytes of the records. */
  readonly bytes: number
  readonly inputs: readonly InputPosition[]
  readonly tookMs: number
}

/** What closed a batch in the end: something may have come up while it was committed. */
export function closeReasonOf(end: BatchEnd, reason: CloseReason): CloseReason {
  if (end.halted !== undefined) return 'halted'
  if (end.broke !== undefined) return 'break'
  return end.cut ? 'cut' : reason
}
