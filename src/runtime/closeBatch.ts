/**
 * From the last chunk to the commit: flush the groups, replay as long as fallen items left traces, commit, and when the
 * database refuses rows, let the guilty item fall and do it again.
 *
 * Every way round the loop makes the batch smaller (an item falls, or the limit moves down) or counts against the
 * retries, so it ends.
 */
import { sleep } from '../core/clock.ts'
import { InternalError, MillraceError, messageOf, StoreError, UnavailableError } from '../core/errors.ts'
import type { OutcomeCounts } from '../core/outcome.ts'
import type { OwnedEntries } from '../core/sink.ts'
import { type AfterRefusal, type Claim, RowsRefused, StateStaleError, type Store } from '../core/store.ts'
import { applyParking, applyRetries, type BudgetAfter, budgetAfter, capParking } from './applyPolicy.ts'
import type { Batch, Interrupt } from './batch.ts'
import type { CallMemory } from './callMemory.ts'
import { collectedItems, settlements } from './collect.ts'
import type { Graph } from './graph.ts'
import { Halving } from './halving.ts'
import { originsOf } from './origins.ts'
import { itemOf } from './owner.ts'
import { pauseBeforeRetry, retries } from './patience.ts'
import { progressAfter } from './position.ts'
import { fallFor, RefusedInPlace } from './refusedInPlace.ts'
import type { Relay } from './relay.ts'
import { ownInput, placeOf, type TaskInfo } from './taskInfo.ts'

/** Refusals in one batch after which it is cut before the guilty item: what comes before is known to be good. */
const maxRefusals = 3

/** Replays of one batch for items that fell and had left traces in state, before it is cut. */
const maxDoubts = 3

export interface BatchEnd {
  readonly items: number
  readonly outcomes: OutcomeCounts
  readonly rows: number
  readonly emits: number
  /** Values that came too late, or their shares in windows. */
  readonly late: number
  readonly ignored: ReadonlyMap<string, number>
  /** Of the streams that depend on the task's own or are triggered by it. */
  readonly streams: readonly { readonly stream: string; readonly outcomes: OutcomeCounts }[]
  /** Why the stream is halted from now on. */
  readonly halted: string | undefined
  /** Refused rows, and items that fell and had left traces in state. */
  readonly setbacks: number
  /** Whether the batch was ended before its last item because of refused rows, or of what has fallen. */
  readonly cut: boolean
  readonly broke:
    | {
        readonly reason: string | undefined
        readonly topic: string
        readonly offset: number | undefined
        readonly resumeAfterMs: number | undefined
      }
    | undefined
}

interface Closing {
  readonly batch: Batch
  readonly graph: Graph
  readonly info: TaskInfo
  readonly store: Store
  readonly claim: Claim
  readonly memory: CallMemory
  /** Sends what the batch before has emitted, and then what this one emits. */
  readonly relay: Relay
  /** Whether somebody else has the partition by now: then nothing is begun any more. */
  settled(): boolean
  /** Told before and after the pause between two tries. */
  retrying(waits: boolean): void
}

/** @returns undefined when the task was abandoned before anything was committed */
export async function closeBatch(closing: Closing): Promise<BatchEnd | undefined> {
  const { batch, graph } = closing
  let failures = 0
  let refusals = 0
  const inPlace = new RefusedInPlace(closing)
  let again = false
  for (;;) {
    let interrupted: AskedToRetry | undefined
    let isStable = false
    try {
      if (again) await replay(batch, graph)
      again = false
      interrupted = await stabilise(closing)
      if (closing.settled()) return undefined
      if (interrupted !== undefined) throw askedToRetry(closing, interrupted)
      if (await policyAsksForReplay(closing)) {
        await replay(batch, graph)
        continue
      }
      if (capParking(batch, closing.info)) continue
      const budget = budgetAfter(batch, closing.info, closing.claim.budget)
      if (budget.halt !== undefined && budget.halt.items < batch.taken) {
        batch.cutAt(budget.halt.items)
        continue
      }
      isStable = true
      const end = await commit(closing, budget, { inPlace })
      if (end === undefined) return undefined
      return { ...end, setbacks: refusals + batch.doubts, cut: batch.limit.isCut, broke: brokeOff(closing) }
    } catch (error) {
      if (error instanceof RowsRefused) {
        if (error !== inPlace.last) await refused(closing, error, inPlace.areTooMany ? maxRefusals + 1 : ++refusals)
        else if (inPlace.revived) await replay(batch, graph)
      } else {
        failures = await pauseBeforeRetry(closing.info, error, failures + 1, closing.retrying)
        if (interrupted !== undefined) batch.startOver()
        if (error instanceof StateStaleError) graph.forgetState()
        // What a pass had taken when it failed, as where state could not be read, is in no later one.
        again = !isStable || error instanceof StateStaleError
      }
    }
    if (closing.settled()) return undefined
  }
}

/** Whether the stream's error policy changes what fell, so that the batch has to be run again. */
async function policyAsksForReplay({ batch, info, memory, retrying }: Closing): Promise<boolean> {
  if (!batch.falls.any) return false
  const pauseMs = applyRetries(batch, info, memory)
  if (pauseMs !== undefined) {
    retrying(true)
    await sleep(info.clock, pauseMs, info.abandoned)
    retrying(false)
    return true
  }
  return applyParking(batch, info) && batch.falls.needReplay
}

/** What the caller has to deal with; the other kinds are dealt with here. */
type AskedToRetry = Extract<Interrupt, { readonly kind: 'error' }>

/** Brings the batch to where its write set holds exactly what its standing items give, unless it is to be tried again. */
async function stabilise(closing: Closing): Promise<AskedToRetry | undefined> {
  const { batch, graph, info } = closing
  for (;;) {
    if (closing.settled()) return undefined
    const doubtfulFrom = batch.falls.doubtfulFrom
    // Each such item takes a replay. Where they are many, the batch ends before the next one, and what is left is looked at in smaller ones.
    if (doubtfulFrom !== undefined && ++batch.doubts > maxDoubts && doubtfulFrom > 0 && !info.isWhole) {
      batch.cutAt(doubtfulFrom)
      await replay(batch, graph)
      continue
    }
    const { interrupt } = batch
    if (interrupt?.kind === 'fatal') throw located(closing, interrupt)
    if (interrupt?.kind === 'error') return interrupt
    if (batch.falls.needReplay) await replay(batch, graph)
    else {
      if (!graph.itemwise) await graph.run({ kind: 'flush' })
      if (batch.interrupt !== undefined || batch.falls.needReplay) continue
      if (await openUnchecked(closing)) return undefined
      await replay(batch, graph)
    }
  }
}

/**
 * Looks at the tables and topics that callbacks wrote to and no step names. Says whether all that they wrote fits; what does not falls
 * where it is written, in the replay that has to follow.
 */
async function openUnchecked({ batch: { writeSet }, store, relay }: Closing): Promise<boolean> {
  let fit = await relay.open(writeSet.emits)
  for (const unchecked of writeSet.unchecked) {
    const { sink } = unchecked
    await store.open([sink])
    const buffers = store.createBuffers([sink])
    writeSet.add(buffers)
    try {
      for (const buffer of buffers) unchecked.moveTo(buffer)
    } catch (error) {
      if (!(error instanceof MillraceError)) throw error
      fit = false
    }
  }
  return fit
}

/** An error that stops the stream, with the place where it was raised. */
function located({ batch, info }: Closing, { cause, step, owner }: Extract<Interrupt, { kind: 'fatal' }>): unknown {
  if (!(cause instanceof MillraceError)) return cause
  return cause.locate(owner === undefined ? { stream: info.stream, step } : placeOf(info, batch, owner, step ?? ''))
}

/** Where a break has ended the batch. */
function brokeOff({ batch, info }: Closing): BatchEnd['broke'] {
  if (batch.limit.broke === undefined) return undefined
  const { item, ...asked } = batch.limit.broke
  const { topic = '', offset } = placeOf(info, batch, item, '')
  return { ...asked, topic, offset }
}

async function replay(batch: Batch, graph: Graph): Promise<void> {
  batch.reset()
  graph.reset()
  for (const chunk of batch.chunks) {
    await graph.run({ kind: 'chunk', chunk })
    if (batch.interrupt !== undefined) return
  }
}

async function commit(
  closing: Closing,
  { budget, halt }: BudgetAfter,
  { isTrial = false, inPlace }: { readonly isTrial?: boolean; readonly inPlace?: RefusedInPlace } = {},
) {
  const { batch, graph, info, store, claim, memory, relay } = closing
  // All of the batch before has to be sent, so that the outbox holds no more than one.
  await relay.settled()
  if (closing.settled()) return undefined
  const before = claim.progress
  const progress = batch.waiting === undefined ? progressAfter(batch, before) : before
  let beside: AfterRefusal = {
    collected: collectedItems(batch, info, memory),
    settled: settlements(batch, info, memory),
    budget,
  }
  const items = batch.taken
  requireOutcomes(closing, before[0]?.nextOffset ?? 0)
  const state = graph.stateChanges()
  const halted = halt === undefined ? null : { reason: halt.reason, plan: info.planHash }
  const nothingNew =
    progress.every(({ nextOffset }, index) => nextOffset === before[index]?.nextOffset) &&
    standingRows(batch) === 0 &&
    beside.collected.length === 0 &&
    beside.settled.length === 0 &&
    state.length === 0 &&
    standing(batch, batch.writeSet.emits) === 0
  const allInOrder = graph.itemwise && batch.allStand
  if (!nothingNew) {
    await store.commit({
      claim,
      progress,
      buffers: batch.writeSet.buffers,
      position: (owner) => batch.position(owner),
      order: batch.streams.length === 1 ? undefined : (owner) => batch.owners.order(owner),
      allInOrder,
      origins: originsOf(batch, info),
      again: batch.waiting !== undefined,
      isTrial,
      ...beside,
      state,
      emits: relay.request(batch, allInOrder),
      watermarks: graph.watermarks(),
      halted,
      refuse: (refusal) => {
        const after = inPlace?.refuse(refusal)
        beside = after ?? beside
        return after
      },
    })
  }
  if (!nothingNew && !isTrial) {
    claim.progress = progress
    claim.budget = beside.budget
    claim.halted = halted
    relay.committed()
  }
  const { late } = graph
  return {
    items,
    outcomes: batch.countOutcomes(),
    rows: standingRows(batch),
    emits: standing(batch, batch.writeSet.emits),
    late,
    ignored: ignoredReasons(batch),
    streams: streamOutcomes(batch),
    halted: halt?.reason,
  }
}

function requireOutcomes({ batch, info }: Closing, offset: number): void {
  const items = batch.taken
  const sum = Object.values(batch.countOutcomes()).reduce((total, count) => total + count, 0)
  if (sum === items && batch.passed >= items) return
  throw new InternalError('MR-INTERNAL-OUTCOMES', {
    what: `of ${items} items ${Math.min(batch.passed, items)} went through the plan, and they have ${sum} outcomes`,
    why: 'A batch commits only when every item of it is accounted for.',
    fix: 'Nothing of it was committed. This is a defect in millrace: please report it.',
    place: { stream: info.stream, topic: ownInput(info).source.name, partition: info.partition, offset },
  })
}

/** Finds who falls for refused rows, or cuts the batch. */
async function refused(closing: Closing, refusal: RowsRefused, refusals: number): Promise<void> {
  const { batch, graph, info } = closing
  const members = batch.owners.membersOf(refusal.owner)
  let [first] = members
  if (first === undefined && batch.owners.derivedOf(refusal.owner) !== undefined) {
    batch.falls.refuseDerived(refusal.owner, {
      kind: 'collected',
      step: `to:${refusal.table}`,
      error: refusal,
      clash: false,
    })
    await replay(batch, graph)
    return
  }
  if (first === undefined) {
    throw new StoreError('MR-RX-ROW', {
      what: `table "${refusal.table}" refused a row that was made behind pipe(): ${refusal.message}`,
      why: 'What RxJS gives back belongs to no item, so none can be put aside for it.',
      fix: 'Check the row before .to().',
      place: { stream: info.stream },
      cause: refusal,
    })
  }
  if (batch.falls.isUndone(refusal.owner)) {
    // Else the same rows would be refused for ever.
    throw new InternalError('MR-INTERNAL-REFUSED', {
      what: `table "${refusal.table}" refused rows of an item that was undone before`,
      fix: 'Nothing was committed. This is a defect in millrace: please report it.',
      place: placeOf(info, batch, first, `to:${refusal.table}`),
      cause: refusal,
    })
  }
  if (members.length > 1 && info.isWhole) {
    first = await guiltyMember(closing, members)
    if (first === undefined) return
  } else if (members.length > 1) {
    // Which member is to blame is found by committing the batch up to the middle of the group: halves until one is left.
    batch.cutAt(itemOf(members[members.length >> 1] as number))
    return
  }
  if (refusals > maxRefusals && itemOf(first) > 0 && !info.isWhole) {
    batch.cutAt(itemOf(first))
    return
  }
  batch.falls.fall(first, fallFor(refusal))
  if (batch.falls.reviveClashesAfter(first) || batch.falls.needReplay) await replay(batch, graph)
}

/**
 * Of a group, the member up to which the batch is refused and before which it is not. Where nothing may be committed before the
 * rest, that is found by trials.
 *
 * @returns undefined when something came between: the batch is then to be closed again
 */
async function guiltyMember(closing: Closing, members: readonly number[]): Promise<number | undefined> {
  const { batch } = closing
  const halving = new Halving(members.length)
  const falls = new Map(batch.falls.byOwner)
  for (let count = halving.next; count !== undefined; count = halving.next) {
    batch.cutAt(itemOf(members[count] as number))
    try {
      // What asks for a retry here asks for it again when the batch is closed again.
      if ((await stabilise(closing)) !== undefined || closing.settled()) return undefined
      await commit(closing, { budget: closing.claim.budget, halt: undefined }, { isTrial: true })
      halving.passed(count)
    } catch (error) {
      if (error instanceof UnavailableError) return undefined
      if (!(error instanceof RowsRefused)) throw error
      halving.failed(count)
    } finally {
      batch.uncut(falls)
    }
  }
  return members[halving.guilty]
}

function askedToRetry({ batch, info }: Closing, { cause, step, owner }: AskedToRetry): UnavailableError {
  return new UnavailableError('MR-SIGNAL-ERROR', {
    what: `signal.error() undid the batch${cause === undefined ? '' : `: ${messageOf(cause)}`}`,
    why: `A callback asked for it; the batch is tried ${retries.attempts} times, then the stream stops.`,
    place: placeOf(info, batch, owner, step),
    cause,
  })
}

/** Rows that commit: those of undone owners are in the buffers, too. */
function standingRows(batch: Batch): number {
  return batch.writeSet.buffers.reduce((sum, buffer) => sum + standing(batch, buffer), 0)
}

function standing(batch: Batch, entries: OwnedEntries): number {
  if (batch.allStand && batch.waiting === undefined) return entries.length
  let count = 0
  entries.eachOwner((owner) => {
    if (batch.position(owner) !== undefined) count++
  })
  return count
}

function streamOutcomes(batch: Batch): BatchEnd['streams'] {
  return batch.streams.slice(1).map(({ name }, index) => ({ stream: name, outcomes: batch.countOutcomes(index + 1) }))
}

function ignoredReasons(batch: Batch): Map<string, number> {
  const reasons = new Map<string, number>()
  const falls = [...batch.falls.stray.values()]
  for (const { fall } of batch.fallen()) falls.push(fall)
  for (const fall of falls) {
    if (fall.kind !== 'ignored') continue
    const reason = fall.reason ?? ''
    reasons.set(reason, (reasons.get(reason) ?? 0) + 1)
  }
  return reasons
}
