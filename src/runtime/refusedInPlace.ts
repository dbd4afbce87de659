/**
 * Items that fall for refused rows while the transaction stands: nothing but their own rows goes, so the batch need not be closed anew.
 */
import type { AfterRefusal, Claim, RowsRefused } from '../core/store.ts'
import { budgetAfter } from './applyPolicy.ts'
import type { Batch } from './batch.ts'
import type { CallMemory } from './callMemory.ts'
import { collectedItems, settlements } from './collect.ts'
import type { Fall } from './fall.ts'
import type { TaskInfo } from './taskInfo.ts'

/** More of them in a batch are looked at in smaller ones. */
const maxInPlace = 12

/** What becomes of the item whose row a table has refused. */
export function fallFor(refusal: RowsRefused): Fall {
  return { kind: 'collected', step: `to:${refusal.table}`, error: refusal, clash: refusal.clash }
}

interface Parts {
  readonly batch: Batch
  readonly info: TaskInfo
  readonly claim: Claim
  readonly memory: CallMemory
}

export class RefusedInPlace {
  readonly #parts: Parts
  #count = 0
  #last: RowsRefused | undefined
  #revived = false

  constructor(parts: Parts) {
    this.#parts = parts
  }

  /** The refusal for which an item fell last, also where the batch has to be closed anew. */
  get last(): RowsRefused | undefined {
    return this.#last
  }

  /** Whether others got up for it, and have to run again. */
  get revived(): boolean {
    return this.#revived
  }

  get areTooMany(): boolean {
    return this.#count >= maxInPlace
  }

  /** @returns what the batch commits then; undefined when it has to be closed anew */
  refuse(refusal: RowsRefused): AfterRefusal | undefined {
    const { batch, info, claim, memory } = this.#parts
    const { owner } = refusal
    // Of a group it is not known which member is to blame, and whose keys wait behind it has to be asked of all.
    if (owner < 0 || batch.falls.isUndone(owner) || info.policy.park || this.areTooMany) return undefined
    this.#count += 1
    this.#last = refusal
    batch.falls.fall(owner, fallFor(refusal))
    this.#revived = batch.falls.reviveClashesAfter(owner)
    if (
      this.#revived ||
      batch.falls.needReplay ||
      batch.falls.doubtfulFrom !== undefined ||
      batch.interrupt !== undefined
    )
      return undefined
    const { budget, halt } = budgetAfter(batch, info, claim.budget)
    if (halt !== undefined) return undefined
    return { collected: collectedItems(batch, info, memory), settled: settlements(batch, info, memory), budget }
  }
}
