/** The exit codes of the command line, and what each error means for them: the one table. */
import {
  HaltedError,
  MillraceError,
  PlanError,
  SettingsError,
  SourceError,
  StoreError,
  UnavailableError,
} from '../core/errors.ts'
import { BrokenOffError } from '../service/serviceErrors.ts'

export const exitCodes = {
  ok: 0,
  failed: 1,
  usage: 2,
  unavailable: 3,
  broken: 4,
  refused: 5,
  halted: 6,
} as const

export type ExitCode = (typeof exitCodes)[keyof typeof exitCodes]

/** What each code means, for `--help`. A second SIGINT or SIGTERM ends with 128 + the signal's number, as shells count. */
export const exitCodeTexts: readonly (readonly [code: string, meaning: string])[] = [
  ['0', 'done: stopped by a signal, caught up, or nothing was wrong'],
  ['1', 'the stream failed, or made no progress; a run of inputs that end: some of its items failed'],
  ['2', 'the command line, a setting or the plan is wrong'],
  ['3', 'Kafka or Postgres cannot be reached or is busy: starting again may help'],
  ['4', 'broken off before the end, by signal.break() or maxParked: --until-caught-up, or a run of inputs that end'],
  ['5', 'Kafka or Postgres is not as the plan needs it: somebody has to act'],
  ['6', 'too many items have failed: the stream is halted for this plan'],
  ['130, 143', 'ended at once by a second SIGINT or SIGTERM'],
]

/** The code for an error that ended a command. */
export function exitCodeOf(error: unknown): ExitCode {
  if (!(error instanceof MillraceError)) return exitCodes.failed
  if (error instanceof SettingsError || error instanceof PlanError) return exitCodes.usage
  if (error instanceof BrokenOffError) return exitCodes.broken
  if (error instanceof HaltedError) return exitCodes.halted
  if (error instanceof SourceError || error instanceof StoreError) return exitCodes.refused
  // A callback asked for the retries, so what is away is none of ours.
  if (error instanceof UnavailableError && error.code !== 'MR-SIGNAL-ERROR') return exitCodes.unavailable
  return exitCodes.failed
}
