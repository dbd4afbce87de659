/**
 * What the stream's error policy makes of a batch that is otherwise ready to commit: items that failed are tried again, now
 * or later; later items of their keys wait; and when too many have failed, the batch ends there and the stream is halted.
 *
 * Each of these may ask for a replay, after which they are looked at again. It ends: tries are counted, who waits once waits
 * for good, and the place of the halt only moves forward in a batch when fewer items have failed.
 */
import { pauseBefore, putOffFromMs } from '../core/errorPolicy.ts'
import { ItemError, messageOf } from '../core/errors.ts'
import { RowsRefused } from '../core/store.ts'
import type { Batch } from './batch.ts'
import type { CallMemory } from './callMemory.ts'
import { BudgetCount } from './errorBudget.ts'
import type { Fall } from './fall.ts'
import { itemOf, streamOf } from './owner.ts'
import { placeOf, type TaskInfo } from './taskInfo.ts'

interface Failed {
  readonly owner: number
  readonly fall: Fall & { readonly kind: 'collected' }
}

/**
 * How long to wait before the batch is replayed, because items of it are tried again; undefined when none is.
 */
export function applyRetries(batch: Batch, info: TaskInfo, memory: CallMemory): number | undefined {
  const { retry } = info.policy
  if (retry === undefined) return undefined
  let longestMs: number | undefined
  for (const { owner, fall } of failedItems(batch)) {
    if (!mayPassNextTime(fall, info)) continue
    const tried = triesOf(batch, owner) + 1
    const pauseMs = pauseBefore(retry, tried, [info.random(), info.random()])
    const told = { ...placeOf(info, batch, owner, fall.step), tries: tried, error: messageOf(fall.error) }
    if (pauseMs === undefined) {
      if (retry.kind === 'soft') {
        const reason = `gave up after ${tried} tries`
        info.log.warn(told, reason)
        batch.falls.fallOtherwise(owner, { kind: 'ignored', reason })
      }
      continue
    }
    info.log.warn({ ...told, pauseMs }, 'an item failed and is tried again')
    if (pauseMs >= putOffFromMs) {
      batch.falls.fallOtherwise(owner, { kind: 'deferred', step: fall.step, error: fall.error, retryInMs: pauseMs })
      continue
    }
    longestMs = Math.max(longestMs ?? 0, pauseMs)
    batch.tries.set(owner, (batch.tries.get(owner) ?? 0) + 1)
    memory.forgetThrown(batch.offsetsOf(owner))
    batch.falls.standUp(owner)
  }
  return longestMs
}

/** Tries before the present one, those of former batches included. */
export function triesOf(batch: Batch, owner: number): number {
  return (batch.waiting?.[itemOf(owner)]?.attempts ?? 0) + (batch.tries.get(owner) ?? 0)
}

function failedItems(batch: Batch): Failed[] {
  return Array.from(batch.fallen()).filter((one): one is typeof one & Failed => one.fall.kind === 'collected')
}

/** Bytes that cannot be decoded, values that cannot be written and rows that are refused are what they are. */
function mayPassNextTime({ step, error }: Fall & { kind: 'collected' }, info: TaskInfo): boolean {
  if (info.inputs.some((input) => input.step === step) || error instanceof RowsRefused) return false
  return !(error instanceof ItemError) || error.code === 'MR-ASYNC-TIMEOUT'
}

/**
 * Lets items wait behind those of their key that failed or were put off in the batch. Those behind items of earlier batches
 * wait from the beginning.
 *
 * @returns whether some wait from now on
 */
export function applyParking(batch: Batch, info: TaskInfo): boolean {
  if (!info.policy.park) return false
  const first = new Map<string, number>()
  for (const { owner, item, fall } of batch.fallen()) {
    if (streamOf(owner) !== 0 && batch.waiting === undefined) continue
    if (fall.kind !== 'collected' && fall.kind !== 'deferred') continue
    const key = keyTextOf(batch, item)
    if (key !== null) first.set(key, Math.min(item, first.get(key) ?? item))
  }
  if (first.size === 0) return false
  let parked = false
  for (let item = 0; item < batch.taken; item++) {
    const key = keyTextOf(batch, item)
    const before = key === null ? undefined : first.get(key)
    if (before === undefined || before >= item || batch.falls.byOwner.get(item)?.kind === 'parked') continue
    batch.falls.park(item)
    parked = true
  }
  return parked
}

/** Whether as many items wait behind others of their key as may. */
export function hasTooManyParked({ parkedBefore }: Batch, { policy }: TaskInfo): boolean {
  return policy.park && parkedBefore >= policy.maxParked
}

/**
 * Breaks the partition off where more items would wait than may.
 *
 * @returns whether it was broken off now
 */
export function capParking(batch: Batch, info: TaskInfo): boolean {
  const { park, maxParked } = info.policy
  if (!park || batch.waiting !== undefined) return false
  const parked = Array.from(batch.fallen()).filter(({ fall }) => fall.kind === 'parked')
  const room = Math.max(0, maxParked - batch.parkedBefore)
  if (parked.length <= room) return false
  const items = parked.map(({ item }) => item).sort((a, b) => a - b)
  batch.breakAt({
    item: items[room] as number,
    reason: `${maxParked} items wait behind failed ones of their keys, as many as "maxParked" allows; see: millrace errors list --group ${info.app} --stream ${info.stream}, then replay, ignore or delete them`,
    resumeAfterMs: undefined,
  })
  return true
}

/** A record's key, as keys are compared: null waits for nobody. */
export function keyTextOf(batch: Batch, item: number): string | null {
  const { records, index } = batch.locate(item)
  return records.key(index)?.toString('latin1') ?? null
}

/** What is to be committed with the batch about the items that have failed lately. */
export interface BudgetAfter {
  readonly budget: string | null
  /** Why the stream is halted, with the number of items that commit before it is. */
  readonly halt: { readonly reason: string; readonly items: number } | undefined
}

/** Counts what was collected in the batch. */
export function budgetAfter(batch: Batch, info: TaskInfo, before: string | null): BudgetAfter {
  const { budget } = info.policy
  if (budget === undefined || batch.waiting !== undefined) return { budget: before, halt: undefined }
  const failed = new Map(failedItems(batch).map(({ owner, fall }) => [itemOf(owner), fall.error]))
  const collected = [...failed.keys()].sort((a, b) => a - b)
  const count = new BudgetCount(before)
  let next = 0
  for (const item of collected) {
    count.addStanding(item - next)
    count.add(true)
    next = item + 1
    const reason = count.exceeded(budget)
    if (reason === undefined) continue
    const [last = ''] = messageOf(failed.get(item)).split('\n')
    return { budget: count.toText(), halt: { reason: `${reason}, the last one with: ${last}`, items: next } }
  }
  count.addStanding(batch.taken - next)
  return { budget: count.toText(), halt: undefined }
}
