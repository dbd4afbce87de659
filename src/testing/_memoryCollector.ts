/** The error collector of a store in memory. */
import type { CollectedItem, HeldItems, Settlement, TaskId, WaitingItem } from '../core/store.ts'

type State = CollectedItem['state'] | 'replaying' | 'done' | 'ignored'

export interface Kept {
  readonly id: number
  readonly app: string
  item: CollectedItem
  /** What has become of the item since it was put there. */
  state: State
  /** Milliseconds on the store's clock. */
  retryAt: number
  /** When it was settled, on that clock. */
  settledAt: number | undefined
  /** Failures before the one of the item. */
  readonly history: CollectedItem['error'][]
}

export class MemoryCollector {
  readonly #now: () => number
  #kept: Kept[] = []
  #lastId = 0

  constructor(now: () => number) {
    this.#now = now
  }

  /** All that is kept, settled or not, in the order in which it came. */
  get kept(): readonly Kept[] {
    return this.#kept
  }

  /** Items that are not settled, in the order in which they came. */
  get items(): readonly CollectedItem[] {
    return this.#kept.filter(isUnsettled).map(({ item }) => item)
  }

  add(app: string, items: readonly CollectedItem[]): void {
    for (const item of items) {
      const id = ++this.#lastId
      this.#kept.push({
        id,
        app,
        item,
        state: item.state,
        retryAt: this.#retryAt(item),
        settledAt: undefined,
        history: [],
      })
    }
  }

  settle(settlements: readonly Settlement[]): void {
    for (const { id, outcome, failure } of settlements) {
      const kept = this.#kept.find((one) => String(one.id) === id)
      if (kept === undefined || !isUnsettled(kept)) continue
      if (outcome !== 'failed') {
        kept.state = outcome
        kept.settledAt = this.#now()
      } else if (failure !== undefined) {
        kept.history.push(kept.item.error)
        kept.item = failure
        kept.state = failure.state
        kept.retryAt = this.#retryAt(failure)
      }
    }
  }

  /** Asks for the items that are open to be run again. */
  replay(): void {
    for (const kept of this.#kept) if (kept.state === 'open') kept.state = 'replaying'
  }

  prune(app: string, olderThanMs: number, limit: number): number {
    const before = this.#now() - olderThanMs
    const old = this.#kept.filter((kept) => kept.app === app && kept.settledAt !== undefined && kept.settledAt < before)
    const gone = new Set(old.slice(0, limit))
    this.#kept = this.#kept.filter((kept) => !gone.has(kept))
    return gone.size
  }

  waitingTasks(app: string): { stream: string; partition: number }[] {
    const tasks = new Map<string, { stream: string; partition: number }>()
    for (const kept of this.#kept) {
      if (kept.app !== app || kept.state === 'parked' || this.#kindOf(kept) === undefined) continue
      const { taskStream: stream, partition } = kept.item
      tasks.set(JSON.stringify([stream, partition]), { stream, partition })
    }
    return [...tasks.values()]
  }

  take(task: TaskId, limit: number): WaitingItem[] {
    const waiting = this.#ofTask(task).flatMap((kept): WaitingItem[] => {
      const kind = this.#kindOf(kept)
      if (kind === undefined) return []
      const { error: _, step: __, retryInMs: ___, state: ____, taskStream: _____, ...item } = kept.item
      return [{ ...item, id: String(kept.id), kind }]
    })
    return waiting.sort((a, b) => a.offset - b.offset || Number(a.id) - Number(b.id)).slice(0, limit)
  }

  held(task: TaskId): HeldItems {
    const keyed = this.#ofTask(task).filter((kept) => isUnsettled(kept) && keyOf(kept.item) !== undefined)
    const keys = new Set(keyed.flatMap(({ item }) => keyOf(item) ?? []))
    return { keys: [...keys], parked: keyed.filter(({ state }) => state === 'parked').length }
  }

  #ofTask({ app, stream, partition }: TaskId): Kept[] {
    return this.#kept.filter(
      (kept) => kept.app === app && kept.item.taskStream === stream && kept.item.partition === partition,
    )
  }

  /** Why an item is to be run now; undefined when it is not. */
  #kindOf(kept: Kept): WaitingItem['kind'] | undefined {
    switch (kept.state) {
      case 'replaying':
        return 'replay'
      case 'deferred':
        return kept.retryAt <= this.#now() ? 'deferred' : undefined
      case 'parked':
        return this.#isHeldUp(kept) ? undefined : 'parked'
      default:
        return undefined
    }
  }

  /** Whether an item of its key is before it that has to go on waiting. */
  #isHeldUp({ id, app, item }: Kept): boolean {
    return this.#kept.some(
      (other) =>
        (other.state === 'open' || (other.state === 'deferred' && other.retryAt > this.#now())) &&
        other.app === app &&
        other.item.taskStream === item.taskStream &&
        other.item.partition === item.partition &&
        item.key !== null &&
        keyOf(other.item) === keyOf(item) &&
        (other.item.offset < item.offset || (other.item.offset === item.offset && other.id < id)),
    )
  }

  #retryAt({ retryInMs }: CollectedItem): number {
    return this.#now() + (retryInMs || 0)
  }
}

function isUnsettled({ state }: Kept): boolean {
  return state !== 'done' && state !== 'ignored'
}

function keyOf({ key }: CollectedItem): string | undefined {
  return key?.toString('latin1')
}
