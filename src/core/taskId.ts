/** A task: one running copy of a stream for one partition number. */
export interface TaskId {
  /** The application's name: the consumer group. */
  readonly app: string
  readonly stream: string
  readonly partition: number
}
