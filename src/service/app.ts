import type { OutcomeCounts } from '../core/outcome.ts'
import type { TaskState } from '../runtime/task.ts'

/** A running service. Made by `start`. */
export interface App {
  /**
   * Resolves when every partition that this member has is committed up to the end that its log had when this was first
   * looked at; partitions that a rebalance brings join in. Each call asks anew.
   *
   * @throws BrokenOffError when all others are there and a partition is left that a break has parked; what stopped
   *   the service, when it stops first
   */
  caughtUp(): Promise<void>
  /**
   * Stops fetching, commits what is open or rolls it back, leaves the group and closes the connections, within about
   * 8 seconds. Never rejects; calling it again waits for the same.
   */
  stop(): Promise<void>
  /** Resolves when the service was stopped; rejects, when it has stopped by itself, with what stopped it. */
  readonly done: Promise<void>
  /** What has been done since the start, and how far each partition is. */
  stats(): AppStats
  [Symbol.asyncDispose](): Promise<void>
}

/** What a service has done since its start. */
export interface AppStats {
  /** Items that committed: the sum over their outcomes. */
  readonly items: number
  readonly outcomes: OutcomeCounts
  readonly rows: number
  /** Bytes of the records. */
  readonly bytes: number
  readonly commits: number
  /** Reasons of ignored items, with how many gave each. After 1,000 different ones the others are counted together. */
  readonly ignored: Readonly<Record<string, number>>
  /** Reasons of collected items, by the error's code, its SQLSTATE, or its name. */
  readonly collected: Readonly<Record<string, CollectedReason>>
  /** Records that are known of and not committed, over all partitions that this member has. */
  readonly lag: number
  readonly partitions: readonly PartitionStats[]
}

export interface CollectedReason {
  readonly count: number
  /** The message of the first. */
  readonly first: string
}

export interface PartitionStats {
  readonly stream: string
  readonly topic: string
  readonly partition: number
  readonly state: TaskState
  /** The position that has been committed; undefined until the task has claimed its progress. */
  readonly committedTo: number | undefined
  /** End of the log as it was last heard of; undefined before that. */
  readonly endOffset: number | undefined
  readonly lag: number
}
