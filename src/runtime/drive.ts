/** The loop over items. It catches what they throw, and keeps the event loop waiting for 50 ms at most. */
import { setImmediate as nextTurn } from 'node:timers/promises'
import type { Next } from '../core/operator.ts'
import { Outcome } from '../core/outcome.ts'
import { Signal, syncWatch } from '../core/signal.ts'
import type { Batch } from './batch.ts'
import { maxTurnMs } from './inputChunk.ts'
import { noItem } from './owner.ts'
import { settle, severityOf, swallowedSignal } from './settle.ts'
import { currentPlace, type TaskInfo } from './taskInfo.ts'

/** Items between two looks at the clock at most: so many may turn slow before it is noticed. */
const maxStride = 16

/** Something to loop over. An object with two methods rather than closures: nothing is allocated for an item. */
export interface Feed {
  /** May shrink while the loop runs: one that has to wait for something ends it so. */
  readonly count: number
  ownerAt(index: number): number
  feed(index: number, owner: number): void
}

/**
 * Runs everything of a feed from an index on, but for owners that were undone or are left to a later batch, and stops where
 * the batch is interrupted. Answers with how many it has gone past when nothing interrupted it.
 */
export async function drive(batch: Batch, info: TaskInfo, feed: Feed, from = 0): Promise<number> {
  let index = from
  const place = () => currentPlace(info, batch)
  for (;;) {
    info.cursor.enter(place)
    index = turn(batch, info, feed, index)
    info.cursor.leave()
    if (index >= feed.count || batch.interrupt !== undefined || info.abandoned.aborted) return index
    await nextTurn()
  }
}

/** Works until the turn is over, and answers with the index to go on at. */
function turn(batch: Batch, info: TaskInfo, feed: Feed, from: number): number {
  const { clock } = info
  let lookedAt = clock.now()
  const endsAt = lookedAt + maxTurnMs
  let stride = 1
  let lookAt = from
  // A signal raised outside of callbacks, as in a timer of RxJS, is no item's.
  syncWatch.raised = undefined
  for (let index = from; index < feed.count; index++) {
    const owner = feed.ownerAt(index)
    if (batch.falls.any && batch.falls.isSkipped(owner)) continue
    if (batch.limit.isBeyond(owner)) return feed.count
    batch.item = owner
    try {
      feed.feed(index, owner)
      if (syncWatch.raised !== undefined) throw swallowedSignal(batch, owner, info, syncWatch)
    } catch (thrown) {
      syncWatch.raised = undefined
      settle(batch, owner, thrown)
    }
    if (batch.interrupt !== undefined) break
    if (index >= lookAt) {
      const now = clock.now()
      if (now >= endsAt) {
        batch.item = noItem
        return index + 1
      }
      // Looking at the clock costs as much as a quick item, and a slow item may take longer than the turn is.
      stride = now - lookedAt > 1 ? 1 : Math.min(stride * 2, maxStride)
      lookedAt = now
      lookAt = index + stride
    }
  }
  batch.item = noItem
  return feed.count
}

/** Downstream of something that may hand on several values for one: `signal.continue()` on one path leaves the others alone. */
export function absorbContinue<T>(batch: Batch, next: Next<T>): Next<T> {
  return (value, owner) => {
    try {
      next(value, owner)
    } catch (thrown) {
      if (!(thrown instanceof Signal) || thrown.request.kind !== 'continue') throw thrown
      syncWatch.raised = undefined
      batch.marks.reach(owner, Outcome.continued)
    }
  }
}

/**
 * Several ways on from one step. Each is taken whatever becomes of the item on another, and the gravest thing that happened
 * counts: what becomes of an item does not depend on the order of a plan's leaves.
 */
export function fanOut<T>(batch: Batch, targets: readonly Next<T>[]): Next<T> {
  const [first, second] = targets
  if (first === undefined) return () => {}
  if (second === undefined) return first
  const paths = targets.map((target) => absorbContinue(batch, target))
  return (value, owner) => {
    let gravest: { readonly thrown: unknown; readonly step: string; readonly severity: number } | undefined
    for (const path of paths) {
      try {
        path(value, owner)
      } catch (thrown) {
        syncWatch.raised = undefined
        const severity = severityOf(thrown)
        if (gravest === undefined || severity > gravest.severity) gravest = { thrown, step: batch.step, severity }
      }
    }
    if (gravest === undefined) return
    batch.step = gravest.step
    throw gravest.thrown
  }
}
