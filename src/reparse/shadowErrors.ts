/** What keeps new tables from being put in place. */
import { StoreError } from '../core/errors.ts'
import type { Reparse, ReparseRange } from '../postgres/reparseAdmin.ts'

export function setBack({ id }: Reparse, { stream, partition }: ReparseRange, live: number, here: number): StoreError {
  return new StoreError('MR-REPARSE-AHEAD', {
    what: `the service is at ${live} of stream "${stream}", partition ${partition}, and the new tables hold what comes up to ${here}`,
    why: 'Its progress was set back while this was running.',
    fix: `Let the service come so far again, then give the same command; or give this one up: millrace reparse drop ${id} --execute.`,
  })
}

export function brokenRange({ stream, partition }: ReparseRange): StoreError {
  return new StoreError('MR-REPARSE-BROKEN', {
    what: `signal.break() has stopped partition ${partition} of stream "${stream}" before it was where the service is`,
    why: 'Tables that lack what comes behind it are not put in the place of those that have it.',
    fix: 'See to the cause, then give the same command: it goes on at that record. With a plan that has changed it begins anew.',
  })
}

export function tooBusy(): StoreError {
  return new StoreError('MR-REPARSE-BUSY', {
    what: 'the new tables are ready, but could not be put in place: somebody uses the old ones all the time',
    why: 'It takes a moment in which no transaction is at work on them.',
    fix: 'See to long transactions, in pg_stat_activity; then give the same command: it goes on with the swap.',
  })
}
