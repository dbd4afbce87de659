/** What this member has been given: the present assignment, the tasks at work on it, and where each log was last known to end. */
import type { AssignedPartition, Assignment, SourceClient, TopicPartition } from '../core/source.ts'
import type { CommitReport } from '../runtime/commitReport.ts'
import type { Task } from '../runtime/task.ts'

/** A partition of the present assignment. Without a task it is not worked on: its task is still to come, or has ended. */
export interface Standing {
  readonly partition: AssignedPartition
  readonly task: Task | undefined
}

export class Partitions {
  readonly #tasks: () => readonly Task[]
  readonly #ends = new WeakMap<AssignedPartition, number>()
  #assignment: Assignment | undefined

  /** @param tasks the tasks that run now */
  constructor(tasks: () => readonly Task[]) {
    this.#tasks = tasks
  }

  /** The same client, whose assignments are noted on the way. */
  watch(client: SourceClient): SourceClient {
    return {
      start: (topics, onAssigned, onFailed) =>
        client.start(
          topics,
          (assignment) => {
            this.#assignment = assignment
            onAssigned(assignment)
          },
          onFailed,
        ),
      stop: (deadlineMs) => client.stop(deadlineMs),
      committedOffset: (partition) => client.committedOffset(partition),
    }
  }

  /** The present partitions; undefined before the first assignment and while a rebalance is under way. */
  standings(): readonly Standing[] | undefined {
    const partitions = this.#assignment?.partitions
    if (partitions === undefined || partitions.some(({ revoked }) => revoked.aborted)) return undefined
    const tasks = new Map(this.#tasks().flatMap((task) => task.partitions.map((partition) => [partition, task])))
    return partitions.map((partition) => ({ partition, task: tasks.get(partition) }))
  }

  /** End of the log as it was last heard of. */
  endOf(partition: AssignedPartition): number | undefined {
    return this.#ends.get(partition)
  }

  noteEnd(partition: AssignedPartition, end: number): void {
    this.#ends.set(partition, Math.max(end, this.#ends.get(partition) ?? 0))
  }

  noteCommit(report: CommitReport): void {
    const task = this.#tasks().find((one) => one.isOf(report.stream, report.partition))
    for (const { topic, endOffset } of report.inputs) {
      const partition = task?.partitions.find((own) => own.topic === topic)
      if (partition !== undefined) this.noteEnd(partition, endOffset)
    }
  }
}

/** The name by which a partition is known again when a later assignment brings it. */
export function nameOf({ topic, partition }: TopicPartition): string {
  return `${partition} ${topic}`
}

/** Records between what a task has committed and the end of its log. */
export function lagOf(committedTo: number | undefined, end: number | undefined): number {
  return committedTo === undefined || end === undefined ? 0 : Math.max(0, end - committedTo)
}
