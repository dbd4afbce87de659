/**
 * Notices a partition that has records and commits nothing. A member can heartbeat, and so keep its partitions, while
 * nothing is done with them: no error tells of that.
 */
import { type Clock, sleep, systemClock } from '../core/clock.ts'
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
  readonly #clock: Clock
  /** By name, so that a group which rebalances again and again does not start anew each time. */
  #lagging = new Map<string, Lagging>()

  constructor(partitions: Partitions, stallAfterMs: number, log: Logger, clock: Clock = systemClock) {
    this.#partitions = partitions
    this.#stallAfterMs = stallAfterMs
    this.#log = log
    this.#clock = clock
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
    // Whoever breaks off wants it to stand still.
    const working = standings.filter(({ task }) => task?.state !== 'parked' && task?.state !== 'paused')
    const ends = await Promise.all(working.map(({ partition }) => this.#endOf(partition)))
    for (const [index, { partition, task }] of working.entries()) {
      const end = ends[index]
      const position = task?.committedTo(partition.topic)
      const known = before.get(nameOf(partition))
      if (end === undefined && known !== undefined) this.#lagging.set(nameOf(partition), known)
      if (end === undefined || (position ?? 0) >= end) continue
      const lagging = stillLagging(known, position, now)
      if (now - lagging.since >= this.#stallAfterMs)
        return stalled(partition, lagging.position, end, now - lagging.since)
      this.#lagging.set(nameOf(partition), lagging)
    }
    return undefined
  }

  /** As it is now, or as it was last known: also where the source hangs, for then above all somebody has to look. */
  async #endOf(partition: AssignedPartition): Promise<number | undefined> {
    const answered = new AbortController()
    try {
      const late = sleep(this.#clock, this.everyMs, answered.signal).then(() => {
        throw new Error(`no answer within ${this.everyMs} ms`)
      })
      const { end } = await Promise.race([partition.bounds(), late])
      this.#partitions.noteEnd(partition, end)
      return end
    } catch (error) {
      this.#log.debug(
        { topic: partition.topic, partition: partition.partition, error: messageOf(error) },
        'the watchdog was not answered',
      )
      return this.#partitions.endOf(partition)
    } finally {
      answered.abort()
    }
  }
}

/** A position that is not known right now has not moved. */
function stillLagging(known: Lagging | undefined, position: number | undefined, now: number): Lagging {
  if (known === undefined) return { position, since: now }
  const moved = position !== undefined && known.position !== undefined && position !== known.position
  return moved ? { position, since: now } : { position: position ?? known.position, since: known.since }
}
