/** Positions for lag tools, committed to the group now and then. Nothing of ours reads them. */
import type { Clock } from '../core/clock.ts'
import { messageOf } from '../core/errors.ts'
import type { Logger } from '../core/logger.ts'
import type { TopicPartition } from '../core/source.ts'
import type { CommittedPosition } from './groupMember.ts'

/** How long positions are gathered before they are committed together. */
const gatherMs = 5_000

export class OffsetHints {
  readonly #commit: (positions: readonly CommittedPosition[]) => Promise<void>
  readonly #clock: Clock
  readonly #logger: Logger
  readonly #newest = new Map<string, CommittedPosition>()
  #cancel: (() => void) | undefined
  #underWay = Promise.resolve()

  constructor(commit: (positions: readonly CommittedPosition[]) => Promise<void>, clock: Clock, logger: Logger) {
    this.#commit = commit
    this.#clock = clock
    this.#logger = logger
  }

  set({ topic, partition }: TopicPartition, offset: number): void {
    this.#newest.set(`${partition} ${topic}`, { topic, partition, offset })
    this.#cancel ??= this.#clock.schedule(gatherMs, () => void this.flush())
  }

  /** Commits what was gathered. Settles when that, and what was under way, is done; never rejects. */
  flush(): Promise<void> {
    this.#cancel?.()
    this.#cancel = undefined
    const positions = [...this.#newest.values()]
    this.#newest.clear()
    if (positions.length > 0) this.#underWay = this.#underWay.then(() => this.#send(positions))
    return this.#underWay
  }

  async #send(positions: readonly CommittedPosition[]): Promise<void> {
    try {
      await this.#commit(positions)
    } catch (error) {
      this.#logger.debug({ error: messageOf(error) }, 'the positions for lag tools could not be committed')
    }
  }
}
