/** Barriers between the streams of one task. */
import type { Next } from '../core/operator.ts'
import { syncWatch } from '../core/signal.ts'
import { CollectingBarrier, EntryFeed } from './barriers.ts'
import type { Batch } from './batch.ts'
import { drive } from './drive.ts'
import { settle, swallowedSignal } from './settle.ts'
import type { TaskInfo } from './taskInfo.ts'

/** Where a stream waits until those that it depends on are through with all items of the run. */
export class DependsBarrier extends CollectingBarrier {
  override async run(closing: boolean): Promise<void> {
    if (!closing) return
    const { values, items } = this.takeAll()
    await drive(this.batch, this.info, new EntryFeed(values, items, this.next))
  }
}

/** The entry of a triggered stream: it is handed all results of the run at once, when what gave them has finished. */
export class TriggerBarrier extends CollectingBarrier {
  readonly #stream: number

  constructor(batch: Batch, info: TaskInfo, next: Next<unknown>, stream: number) {
    super(batch, info, next)
    this.#stream = stream
  }

  override async run(closing: boolean): Promise<void> {
    if (!closing) return
    const { values, items } = this.takeAll()
    const entered = items.flatMap((item, index) => {
      const owner = this.batch.enter(this.#stream, item)
      return owner === undefined ? [] : [{ owner, value: values[index] }]
    })
    const feed = new EntryFeed(
      entered.map(({ value }) => value),
      entered.map(({ owner }) => owner),
      this.next,
    )
    await drive(this.batch, this.info, feed)
  }
}

/** The entry of a stream that another one depends on: what becomes of an item in it is nothing to the other. */
export function dependentEntry(batch: Batch, info: TaskInfo, stream: number, next: Next<unknown>): Next<unknown> {
  return (value, owner) => {
    // Else a signal that was swallowed before would be blamed on the stream that it did not come from.
    if (syncWatch.raised !== undefined) throw swallowedSignal(batch, owner, info, syncWatch)
    const there = batch.enter(stream, owner)
    if (there === undefined) return
    const { step } = batch
    batch.item = there
    try {
      next(value, there)
      if (syncWatch.raised !== undefined) throw swallowedSignal(batch, there, info, syncWatch)
    } catch (thrown) {
      syncWatch.raised = undefined
      settle(batch, there, thrown)
    } finally {
      batch.item = owner
      batch.step = step
    }
  }
}
