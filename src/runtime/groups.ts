/** Hands a group on, and finds the member that makes it fail. */
import type { GroupTrigger } from '../core/context.ts'
import type { Next } from '../core/operator.ts'
import { Signal, syncWatch } from '../core/signal.ts'
import type { Batch } from './batch.ts'
import { Halving } from './halving.ts'
import { isNoItemsFault, settle, swallowedSignal } from './settle.ts'
import type { TaskInfo } from './taskInfo.ts'

export function handOnGroup<V>(
  batch: Batch,
  info: TaskInfo,
  next: Next<V[]>,
  group: { values: V[]; owners: readonly number[]; trigger: GroupTrigger },
): void {
  if (syncWatch.raised !== undefined) throw swallowedSignal(batch, batch.item, info, syncWatch)
  const outer = batch.item
  const owner = batch.owners.openGroup(group.owners, group.trigger)
  batch.item = owner
  try {
    next(group.values, owner)
    if (syncWatch.raised !== undefined) throw swallowedSignal(batch, owner, info, syncWatch)
  } catch (thrown) {
    syncWatch.raised = undefined
    settle(batch, owner, thrown, (error) => {
      const found = guiltyMember(batch, info, next, group, error)
      if (found === undefined) return
      batch.falls.fallAll(found.guilty, { kind: 'collected', step: found.step, error: found.reason, clash: false })
    })
  } finally {
    batch.item = outer
  }
}

/**
 * The last member of the shortest prefix that fails, by halving. Its traces and those of the tries are undone by the
 * replay that every fallen member of a group causes. Undefined when a try shows that no member is to blame.
 */
function guiltyMember<V>(
  batch: Batch,
  info: TaskInfo,
  next: Next<V[]>,
  group: { values: V[]; owners: readonly number[]; trigger: GroupTrigger },
  error: unknown,
): { guilty: number; reason: unknown; step: string } | undefined {
  const halving = new Halving(group.values.length)
  let reason = error
  let step = batch.step
  for (let count = halving.next; count !== undefined; count = halving.next) {
    const savepoint = batch.writeSet.mark()
    const owner = batch.owners.openGroup(group.owners.slice(0, count), group.trigger)
    batch.item = owner
    try {
      next(group.values.slice(0, count), owner)
      if (syncWatch.raised !== undefined) throw swallowedSignal(batch, owner, info, syncWatch)
      halving.passed(count)
    } catch (thrown) {
      syncWatch.raised = undefined
      if (isNoItemsFault(thrown)) {
        settle(batch, owner, thrown)
        return undefined
      }
      if (thrown instanceof Signal) halving.passed(count)
      else {
        halving.failed(count)
        reason = thrown
        step = batch.step
      }
    }
    batch.writeSet.rollbackTo(savepoint)
  }
  return { guilty: group.owners[halving.guilty] as number, reason, step }
}
