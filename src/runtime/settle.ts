/** What a throw means: the one place where anything that a callback threw becomes the fate of items. */
import {
  FenceLostError,
  HaltedError,
  InternalError,
  ItemError,
  messageOf,
  PlanError,
  SettingsError,
  SourceError,
  StoreError,
} from '../core/errors.ts'
import { Outcome } from '../core/outcome.ts'
import { Signal, type SignalRequest, type SignalWatch } from '../core/signal.ts'
import type { Batch } from './batch.ts'
import { placeOf, type TaskInfo } from './taskInfo.ts'

/** Errors that no item is to blame for: the plan, the settings or the surroundings are wrong, and every item would fail. */
const notTheItem = [PlanError, SettingsError, SourceError, StoreError, FenceLostError, HaltedError, InternalError]

/**
 * Settles an owner that threw: all of its items, when it is a group and threw a signal.
 * For a group that threw anything else, `collect` is called, because the guilty member is not known yet.
 */
export function settle(
  batch: Batch,
  owner: number,
  thrown: unknown,
  collect: (error: unknown) => void = (error) => collectOwner(batch, owner, error),
): void {
  if (thrown instanceof Signal) settleSignal(batch, owner, thrown)
  else if (isNoItemsFault(thrown)) {
    batch.interruptWith({ kind: 'fatal', cause: thrown, step: batch.step, owner })
  } else collect(thrown)
}

/** How grave it is for an item: the rank of its outcome; above all of them what is no item's fault. */
export function severityOf(thrown: unknown): number {
  if (isNoItemsFault(thrown)) return Number.POSITIVE_INFINITY
  if (!(thrown instanceof Signal)) return Outcome.collected
  switch (thrown.request.kind) {
    case 'continue':
      return Outcome.continued
    case 'ignore':
      return Outcome.ignored
    case 'break':
      return Outcome.broken
    case 'error':
      return Outcome.failed
    default:
      return thrown.request satisfies never
  }
}

/** Whether the plan, the settings or the surroundings are to blame. */
export function isNoItemsFault(thrown: unknown): boolean {
  return notTheItem.some((kind) => thrown instanceof kind)
}

function collectOwner(batch: Batch, owner: number, error: unknown): void {
  batch.falls.fallAll(owner, { kind: 'collected', step: batch.step, error, clash: false })
}

function settleSignal(batch: Batch, owner: number, { request }: Signal): void {
  if (batch.waiting !== undefined && (request.kind === 'break' || request.kind === 'error')) {
    collectOwner(batch, owner, stoppedReplay(batch, owner, request))
    return
  }
  switch (request.kind) {
    case 'continue':
      batch.marks.reach(owner, Outcome.continued)
      return
    case 'ignore':
      batch.falls.fallAll(owner, { kind: 'ignored', reason: request.reason })
      return
    case 'break': {
      const { reason, resumeAfterMs } = request
      batch.breakAt({ item: batch.owners.firstItemOf(owner), reason, resumeAfterMs })
      return
    }
    case 'error':
      batch.interruptWith({ kind: 'error', cause: request.cause, step: batch.step, owner })
      return
    default:
      request satisfies never
  }
}

/** An item that comes from the collector stops nothing but itself: else it would hold up the partition again and again. */
function stoppedReplay(batch: Batch, owner: number, request: SignalRequest & { kind: 'break' | 'error' }): ItemError {
  const why =
    request.kind === 'break' ? request.reason : request.cause === undefined ? undefined : messageOf(request.cause)
  return new ItemError('MR-SIGNAL-REPLAY', {
    what: `signal.${request.kind}() was raised for an item that comes from the error collector${why === undefined ? '' : `: ${why}`}`,
    why: 'Such an item is run by itself, after others of its partition: it stays in the collector.',
    place: { stream: batch.owners.streamNameOf(owner), step: batch.step },
    cause: request.kind === 'error' ? request.cause : undefined,
  })
}

/** The error for a signal that was raised during a callback and did not arrive: the user's own code caught it. */
export function swallowedSignal(
  batch: Batch,
  owner: number,
  info: TaskInfo,
  watch: SignalWatch,
  step = batch.step,
): ItemError {
  const kind = watch.raised?.request.kind
  watch.raised = undefined
  return new ItemError('MR-SIGNAL-SWALLOWED', {
    what: `signal.${kind}() was caught by a try/catch of your own`,
    why: 'Signals are thrown; code that catches everything between the signal and the end of the callback stops them.',
    fix: 'Call the signal outside of the try, or rethrow what is no Error: if (!(e instanceof Error)) throw e.',
    place: placeOf(info, batch, owner, step),
  })
}
