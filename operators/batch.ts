import type { ItemContext } from '../src/core/context.ts'
import { PlanError } from '../src/core/errors.ts'
import { defineOperator, type Next, type Step, type SyncOperator } from '../src/core/operator.ts'
import { type OptionRules, validateOptions } from '../src/core/options.ts'

export interface BatchOptions<T> {
  /** Values in a group at most. */
  readonly max?: number
  /** Bytes of the members' records in a group at most; a single larger record makes a group of one. */
  readonly maxBytes?: number
  /** Milliseconds that a group stays open for more values at most. Without it a group ends with its batch at the latest. */
  readonly maxWaitMs?: number
  /** A group holds values of one such key only. */
  readonly by?: (value: T, ctx: ItemContext) => unknown
}

const rules: OptionRules = {
  max: { type: 'number', min: 1 },
  maxBytes: { type: 'number', min: 1 },
  maxWaitMs: { type: 'number', min: 1 },
  by: { type: 'function' },
}

/** Collects values into groups. A group is closed by size, by time, or because its batch ends (flush); `ctx.trigger` says which. */
export function batch<T>(options: BatchOptions<T>): SyncOperator<T, T[]> {
  validateOptions('batch()', options, rules)
  if (options.max === undefined && options.maxBytes === undefined && options.maxWaitMs === undefined) {
    throw new PlanError('MR-PLAN-OPTION', { what: 'batch() needs at least one of max, maxBytes, maxWaitMs' })
  }
  return defineOperator({
    kind: 'batch',
    callbacks: [options.by],
    detail: ['max', 'maxBytes', 'maxWaitMs']
      .flatMap((name) => {
        const value = options[name as keyof BatchOptions<T>]
        return value === undefined ? [] : [`${name} ${String(value)}`]
      })
      .join(', '),
    paths: 'many',
    attach(next, step) {
      const groups = new Groups(options, next, step)
      step.onFlush(groups)
      return (value, item) => groups.add(value, item)
    },
  })
}

interface OpenGroup<T> {
  values: T[]
  items: number[]
  bytes: number
  readonly openedAt: number
}

/** The open groups of one task, oldest first. */
class Groups<T> {
  readonly #options: BatchOptions<T>
  readonly #next: Next<T[]>
  readonly #step: Step
  readonly #open = new Map<unknown, OpenGroup<T>>()

  constructor(options: BatchOptions<T>, next: Next<T[]>, step: Step) {
    this.#options = options
    this.#next = next
    this.#step = step
  }

  add(value: T, item: number): void {
    const { by, max = Number.POSITIVE_INFINITY, maxBytes = Number.POSITIVE_INFINITY } = this.#options
    this.#step.enter()
    const key = by === undefined ? undefined : by(value, this.#step.ctx)
    const bytes = this.#step.bytesOf(item)
    let group = this.#open.get(key)
    if (group !== undefined && group.bytes + bytes > maxBytes) {
      this.#close(key, group, 'size')
      group = undefined
    }
    if (group === undefined) {
      group = { values: [], items: [], bytes: 0, openedAt: this.#step.now() }
      this.#open.set(key, group)
    }
    this.#step.join(item)
    group.values.push(value)
    group.items.push(item)
    group.bytes += bytes
    if (group.values.length >= max || group.bytes >= maxBytes) this.#close(key, group, 'size')
  }

  flush(now: number): void {
    const { maxWaitMs = Number.POSITIVE_INFINITY } = this.#options
    for (const [key, group] of this.#open) {
      this.#close(key, group, now - group.openedAt >= maxWaitMs ? 'time' : 'flush')
    }
  }

  deadline(): number | undefined {
    const { maxWaitMs } = this.#options
    const oldest = this.#open.values().next()
    return maxWaitMs === undefined || oldest.done ? undefined : oldest.value.openedAt + maxWaitMs
  }

  reset(): void {
    this.#open.clear()
  }

  #close(key: unknown, group: OpenGroup<T>, trigger: 'size' | 'time' | 'flush'): void {
    // Out of the map before downstream runs: a throw from there must not leave a half-closed group behind.
    this.#open.delete(key)
    this.#step.group(this.#next, group.values, group.items, trigger)
  }
}
