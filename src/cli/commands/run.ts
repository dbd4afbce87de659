/** `millrace run`: a plan as a service of its own process. */
import { constants } from 'node:os'
import type { Logger } from '../../core/logger.ts'
import { nothingDone } from '../../service/serviceErrors.ts'
import { type App, type StartSettings, start } from '../../service/start.ts'
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

/** Runs until a signal stops it, it has caught up, or it fails: then it throws what it failed with. */
export async function run(file: string, settings: CliSettings, { untilCaughtUp, cwd }: RunOptions): Promise<void> {
  const log = await createLogger(settings.logLevel ?? 'info')
  const stopping = new AbortController()
  const removeHandlers = handleSignals(stopping, log)
  try {
    await untilAborted(stopping.signal, async () => {
      const plan = await loadPlan(file, cwd)
      const app = await start(plan, { ...startSettings(settings), logger: log, signal: stopping.signal })
      await serve(app, untilCaughtUp, log)
    })
  } finally {
    removeHandlers()
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

/** The first signal stops the service, the second ends the process at once. */
function handleSignals(stopping: AbortController, log: Logger): () => void {
  const handle = (signal: NodeJS.Signals) => {
    if (stopping.signal.aborted) process.exit(128 + constants.signals[signal])
    log.info({ signal }, 'stopping')
    setTimeout(() => {
      log.warn({ afterMs: stopDeadlineMs }, 'the service did not stop in time: what was open is rolled back')
      process.exit(0)
    }, stopDeadlineMs).unref()
    stopping.abort()
  }
  for (const signal of stopSignals) process.on(signal, handle)
  return () => {
    for (const signal of stopSignals) process.off(signal, handle)
  }
}

/** Lines of JSON on standard output, written at once: none is lost when the process ends. */
async function createLogger(level: string): Promise<Logger> {
  const { default: pino } = await import('pino')
  const { isoTime } = pino.stdTimeFunctions
  const logger: Logger = pino(
    {
      level,
      base: { pid: process.pid },
      timestamp: isoTime,
      formatters: { level: (label) => ({ level: label }) },
    },
    pino.destination({ dest: 1, sync: true }),
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
