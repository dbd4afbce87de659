/** Why an item was undone, and what that makes of it. */
import { Outcome, type OutcomeRank } from '../core/outcome.ts'

export type Fall =
  | { readonly kind: 'ignored'; readonly reason: string | undefined }
  | {
      readonly kind: 'collected'
      readonly step: string
      readonly error: unknown
      /** Whether its rows clash with others: they may fit once an earlier item has fallen. */
      readonly clash: boolean
    }
  /** It failed, and is tried again later. */
  | { readonly kind: 'deferred'; readonly step: string; readonly error: unknown; readonly retryInMs: number }
  /** It waits behind an earlier item of its key. */
  | { readonly kind: 'parked' }

/** An item that fell and is committed as fallen. */
export interface FallenItem {
  readonly owner: number
  readonly item: number
  /** The stream of the task in which it fell. */
  readonly stream: string
  readonly fall: Fall
}

/** The outcome of an item that fell. */
export function rankOf(fall: Fall): OutcomeRank {
  return fall.kind === 'parked' ? Outcome.deferred : Outcome[fall.kind]
}
