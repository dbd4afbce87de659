/** One wait for everything that is in the log now to be committed. */
import { messageOf } from '../core/errors.ts'
import type { Logger } from '../core/logger.ts'
import type { AssignedPartition } from '../core/source.ts'
import { nameOf, type Partitions } from './partitions.ts'

export type CatchUpState = 'waiting' | 'caught up' | 'broken off'

export class CatchUp {
  readonly #partitions: Partitions
  readonly #log: Logger
  /** Where each log ended when it was first looked at. By name: a partition that comes back keeps its target. */
  readonly #targets = new Map<string, number>()
  readonly #asking = new Set<AssignedPartition>()

  constructor(partitions: Partitions, log: Logger) {
    this.#partitions = partitions
    this.#log = log
  }

  /** Looks how far it is; asks for the ends that are not known yet, which a later look then knows. */
  look(): CatchUpState {
    const standings = this.#partitions.standings()
    if (standings === undefined) return 'waiting'
    let state: CatchUpState = 'caught up'
    for (const { partition, task } of standings) {
      const target = this.#targets.get(nameOf(partition))
      if (target === undefined) this.#ask(partition)
      if (task?.isSending) return 'waiting'
      if (target !== undefined && (task?.committedTo(partition.topic) ?? -1) >= target) continue
      // A break that says when to go on, goes on; one that does not stays where it is.
      if (target === undefined || task?.state !== 'parked') return 'waiting'
      state = 'broken off'
    }
    return state
  }

  #ask(partition: AssignedPartition): void {
    if (this.#asking.has(partition)) return
    this.#asking.add(partition)
    partition
      .bounds()
      .then(({ end }) => {
        if (!this.#targets.has(nameOf(partition))) this.#targets.set(nameOf(partition), end)
        this.#partitions.noteEnd(partition, end)
      })
      .catch((error: unknown) => {
        // Asked again at the next look; a source that stays away fails the service by itself.
        this.#log.debug(
          { topic: partition.topic, partition: partition.partition, error: messageOf(error) },
          'the end of a log is not known yet',
        )
      })
      .finally(() => this.#asking.delete(partition))
  }
}
