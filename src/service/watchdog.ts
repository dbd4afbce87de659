/**
 * Notices a partition that has records and commits nothing. A member can heartbeat, and so keep its partitions, while
 * nothing is done with them: no error tells of that.
 */
import { messageOf } from '../core/errors.ts'
import type { Logger } from '../core/logger.ts'
import type { AssignedPartition } from '../core/source.ts'
import { nameOf, type Partitions } from './partitions.ts'
import { type StalledError, stalled } from './serviceErrors.ts'

/** Since when a partition has been seen to lag at one position; undefined while its task has not claimed it. */
interface Lagging {
  readonly position: number | undefined
  readonly since: number
}

export class Watchdog {
  readonly #partitions: Partitions
  readonly #stallAfterMs: number
  readonly #log: Logger
  /** By name, so that a group which rebalances again and again does not start anew each time. */
  #lagging = new Map<string, Lagging>()

  constructor(partitions: Partitions, stallAfterMs: number, log: Logger) {
    this.#partitions = partitions
    this.#stallAfterMs = stallAfterMs
    this.#log = log
  }

  /** How often to look: a stall is noticed after between one and one and a quarter of its time. */
  get everyMs(): number {
    return this.#stallAfterMs / 4
  }

  /** Looks at every partition. Answers with the first that has stalled. */
  async look(now: number): Promise<StalledError | undefined> {
    const standings = this.#partitions.standings()
    if (standings === undefined) return undefined
    const before = this.#lagging
    this.#lagging = new Map()
    for (const { partition, task } of standings) {
      // Whoever breaks off wants it to stand still.
      if (task?.state === 'parked' || task?.state === 'paused') continue
      const end = await this.#endOf(partition)
      const position = task?.committedTo
      if (end === undefined || (position ?? 0) >= end) continue
      const lagging = stillLagging(before.get(nameOf(partition)), position, now)
      if (now - lagging.since >= this.#stallAfterMs)
        return stalled(partition, lagging.position, end, now - lagging.since)
      this.#lagging.set(nameOf(partition), lagging)
    }
    return undefined
  }

  async #endOf(partition: AssignedPartition): Promise<number | undefined> {
    try {
      const { end } = await partition.bounds()
      this.#partitions.noteEnd(partition, end)
      return end
    } catch (error) {
      this.#log.debug(
        { topic: partition.topic, partition: partition.partition, error: messageOf(error) },
        'the watchdog was not answered',
      )
      return this.#partitions.endOf(partition)
    }
  }
}

/** A position that is not known right now has not moved. */
function stillLagging(known: Lagging | undefined, position: number | undefined, now: number): Lagging {
  if (known === undefined) return { position, since: now }
  const moved = position !== undefined && known.position !== undefined && position !== known.position
  return moved ? { position, since: now } : { position: position ?? known.position, since: known.since }
}
