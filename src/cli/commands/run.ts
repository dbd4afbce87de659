/** `millrace run`: a plan as a service of its own process; one whose inputs end, to their end. */
import { constants } from 'node:os'
import type { Logger } from '../../core/logger.ts'
import { isBounded, type RunSettings, run as runToTheEnd } from '../../service/run.ts'
import { incomplete, nothingDone, stoppedFirst } from '../../service/serviceErrors.ts'
import { type App, type StartSettings, start } from '../../service/start.ts'
import type { Plan } from '../../stream.ts'
import { type ExitCode, exitCodes } from '../exitCodes.ts'
import { loadPlan } from '../loadPlan.ts'
import { requireBrokers, requireGroup, requirePostgres } from '../required.ts'
import type { CliSettings } from '../settings.ts'

export interface RunOptions {
  readonly untilCaughtUp: boolean
  readonly cwd: string
}

/** A service stops within about 8 s of its own accord; after this the process ends, whatever hangs. Nothing that was not committed counts. */
const stopDeadlineMs = 9_500

const stopSignals = ['SIGINT', 'SIGTERM'] as const

/** Runs until a signal stops it, it has caught up or used up its inputs, or it fails: then it throws what it failed with. */
export async function run(file: string, settings: CliSettings, { untilCaughtUp, cwd }: RunOptions): Promise<void> {
  const log = await createLogger(settings.logLevel ?? 'info')
  const stopping = new AbortController()
  let bounded: Plan | undefined
  const removeHandlers = handleSignals(stopping, log, () => (bounded === undefined ? exitCodes.ok : exitCodes.failed))
  try {
    await untilAborted(stopping.signal, async () => {
      const plan = await loadPlan(file, cwd)
      if (isBounded(plan)) {
        bounded = plan
        return
      }
      const app = await start(plan, { ...startSettings(settings), logger: log, signal: stopping.signal })
      await serve(app, untilCaughtUp, log)
    })
    if (bounded !== undefined) await runBounded(bounded, settings, stopping.signal)
  } finally {
    removeHandlers()
  }
}

/**
 * Runs a plan to the end of its inputs, and prints the report. The log goes to standard error: what is printed is for people
 * and pipes. One that was stopped has not done what it was to do, so that is a failure.
 */
async function runBounded(plan: Plan, settings: CliSettings, signal: AbortSignal): Promise<void> {
  const logger = await createLogger(settings.logLevel ?? 'warn', 2)
  try {
    const report = await runToTheEnd(plan, { ...runSettings(settings), logger, signal })
    process.stdout.write(`${report}\n`)
    const failure = incomplete(report)
    if (failure !== undefined) throw failure
  } catch (error) {
    if (!signal.aborted || error !== signal.reason) throw error
    throw stoppedFirst('the run', 'its inputs were used up')
  }
}

/** What `run` takes. The group is its name; of the limits of a service only those of items and of keys are ones of a run. */
function runSettings(settings: CliSettings): RunSettings {
  const { group, commit, stateKeys, blockedAfterMs, kafka } = settings
  // A variable that is set to nothing names none.
  const brokers = (kafka?.brokers ?? []).filter((broker) => broker !== '')
  return {
    postgres: requirePostgres(settings),
    // Only a plan that writes to topics needs it, and says so.
    kafka: brokers.length === 0 ? undefined : { ...kafka, brokers },
    name: group,
    stateKeys,
    blockedAfterMs,
    commit: commit?.maxItems === undefined ? undefined : { maxItems: commit.maxItems },
  }
}

async function serve(app: App, untilCaughtUp: boolean, log: Logger): Promise<void> {
  try {
    if (!untilCaughtUp) return await app.done
    await app.caughtUp()
    const stats = app.stats()
    log.info({ items: stats.items }, 'caught up')
    const failure = nothingDone(stats)
    if (failure !== undefined) throw failure
  } finally {
    await app.stop()
  }
}

/** The work's end; once the signal has aborted, its failure is only that it was stopped. */
async function untilAborted(signal: AbortSignal, work: () => Promise<void>): Promise<void> {
  try {
    await work()
  } catch (error) {
    if (!signal.aborted) throw error
  }
}

/**
 * The first signal stops what runs, the second ends the process at once.
 *
 * @param lateCode the exit code where it does not stop in time
 */
function handleSignals(stopping: AbortController, log: Logger, lateCode: () => ExitCode): () => void {
  const handle = (signal: NodeJS.Signals) => {
    if (stopping.signal.aborted) process.exit(128 + constants.signals[signal])
    log.info({ signal }, 'stopping')
    setTimeout(() => {
      log.warn({ afterMs: stopDeadlineMs }, 'the service did not stop in time: what was open is rolled back')
      process.exit(lateCode())
    }, stopDeadlineMs).unref()
    stopping.abort()
  }
  for (const signal of stopSignals) process.on(signal, handle)
  return () => {
    for (const signal of stopSignals) process.off(signal, handle)
  }
}

/** Lines of JSON, written at once: none is lost when the process ends. */
async function createLogger(level: string, dest: 1 | 2 = 1): Promise<Logger> {
  const { default: pino } = await import('pino')
  const { isoTime } = pino.stdTimeFunctions
  const logger: Logger = pino(
    {
      level,
      base: { pid: process.pid },
      timestamp: isoTime,
      formatters: { level: (label) => ({ level: label }) },
    },
    pino.destination({ dest, sync: true }),
  )
  return logger
}

/** What `start` takes, with complaints in the words of the command line about what is missing. */
function startSettings(settings: CliSettings): StartSettings {
  const { logLevel: _logLevel, ...rest } = settings
  const group = requireGroup(settings)
  const kafka = { ...settings.kafka, brokers: requireBrokers(settings) }
  return { ...rest, group, kafka, postgres: requirePostgres(settings) }
}
