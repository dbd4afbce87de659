/** Why a service stops that no part of it has failed in. */
import { HaltedError, MillraceError } from '../core/errors.ts'
import type { AssignedPartition } from '../core/source.ts'
import type { AppStats } from './app.ts'
import type { RunReport } from './runReport.ts'

/** What is there has been read, but for partitions that are broken off: by a `signal.break()` without `resumeAfterMs`, or by `maxParked`. */
export class BrokenOffError extends MillraceError {
  override readonly retryable = false
}

/** A partition has records and commits nothing: something hangs that reports no error. */
export class StalledError extends MillraceError {
  override readonly retryable = true
}

/** A run to the end of the log did nothing but put items aside. */
export class NothingDoneError extends MillraceError {
  override readonly retryable = false
}

/** A run to the end of its inputs has put items aside. */
class CollectedError extends MillraceError {
  override readonly retryable = false
}

/** Somebody stopped the service while somebody else waited for it. */
export class StoppedError extends MillraceError {
  override readonly retryable = false
}

/** Where a break has parked a partition. */
export interface Parking {
  readonly topic: string
  readonly partition: number
  readonly offset: number | undefined
  readonly reason: string | undefined
}

export function brokenOff(parked: readonly Parking[]): BrokenOffError {
  const places = parked.map(({ topic, partition, offset, reason }) => {
    const at = `${topic}[${partition}]${offset === undefined ? '' : `@${offset}`}`
    return reason === undefined ? at : `${at}: ${reason}`
  })
  return new BrokenOffError('MR-RUN-BROKEN', {
    what: `${parked.length === 1 ? 'a partition is' : `${parked.length} partitions are`} broken off before the end`,
    why: places.join('\n'),
    fix: 'What came before is committed. See to the cause, then start again: it goes on at that record.',
  })
}

export function stalled(
  partition: AssignedPartition,
  position: number | undefined,
  end: number,
  afterMs: number,
): StalledError {
  return new StalledError('MR-RUN-STALLED', {
    what: `nothing was committed for ${Math.round(afterMs / 1_000)} s, though the log goes on to ${end}`,
    why: 'A callback or a query that never ends does that, a batch that takes longer than this, or another owner of the same progress.',
    fix: 'Start it again: it goes on where it was. Where batches may take this long, raise stallAfterMs.',
    place: { topic: partition.topic, partition: partition.partition, offset: position },
  })
}

/** Undefined when something was done, or nothing had to be put aside. */
export function nothingDone({ outcomes, collected }: AppStats): NothingDoneError | undefined {
  const [reason] = Object.values(collected)
  if (reason === undefined || outcomes.done + outcomes.continued > 0) return undefined
  return new NothingDoneError('MR-RUN-COLLECTED', {
    what: `nothing was written: ${outcomes.collected} ${outcomes.collected === 1 ? 'item was' : 'items were'} put into the error collector, and none went through`,
    why: `The first was collected because of:\n${reason.first}`,
    fix: 'When all items fail alike, the plan or the table is wrong and not the items. They are in millrace.errors.',
  })
}

/** Why a run did not do all that it was to do; undefined when it did. What it has done is in its report. */
export function incomplete({ streams, group, collected }: RunReport): MillraceError | undefined {
  for (const { stream, source, stopped } of streams) {
    if (stopped === undefined) continue
    const place = { stream, topic: source, partition: 0, offset: stopped.offset }
    if (stopped.kind === 'break') {
      return new BrokenOffError('MR-RUN-BROKEN', {
        what: `signal.break() has ended the run${stopped.reason === undefined ? '' : `: ${stopped.reason}`}`,
        fix: 'What came before is committed. A run with a name goes on at that item when it is run again.',
        place,
      })
    }
    return new HaltedError('MR-HALTED', {
      what: `the run was halted: ${stopped.reason}`,
      why: 'Its error budget is used up; going on could move the whole input into the error collector.',
      fix: 'Mend the plan, and run it again; a run with a name goes on where it was halted.',
      place,
    })
  }
  if (collected === 0) return undefined
  return new CollectedError('MR-RUN-COLLECTED', {
    what: `${collected} ${collected === 1 ? 'item was' : 'items were'} put into the error collector`,
    why: 'All others are committed.',
    fix: `Look with "millrace errors list --group ${group}".`,
  })
}

export function stoppedFirst(who = 'the service', before = 'it had caught up'): StoppedError {
  return new StoppedError('MR-RUN-STOPPED', { what: `${who} was stopped before ${before}` })
}
