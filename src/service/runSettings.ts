import { SettingsError } from '../core/errors.ts'
import type { Logger } from '../core/logger.ts'
import { type OptionErrorMaker, type OptionRules, validateOptions } from '../core/options.ts'
import type { PostgresConnection } from '../postgres/connection.ts'
import { maxBatchItems } from '../runtime/owner.ts'
import { checkKafka, consoleLogger, defaults, type KafkaConnection, resolvePostgres } from './settings.ts'

/** What `run` is told. */
export interface RunSettings {
  /** How to reach Postgres. The default of `statementTimeoutMs` is 600,000 here. */
  readonly postgres: PostgresConnection
  /** How to reach Kafka, for a plan that writes to topics. */
  readonly kafka?: KafkaConnection | undefined
  /**
   * Progress is kept under it: a run that was killed or broken off goes on where it stopped when the same name is run again. It
   * shares its names with consumer groups. Without one a run is by itself, and leaves no progress behind.
   */
  readonly name?: string | undefined
  /** Without it, all of a stream commits in one transaction. `maxItems`: so many items at a time. */
  readonly commit?: { readonly maxItems?: number | undefined } | undefined
  /**
   * Bytes that the items of one transaction, or the rows that they write, may take in memory. What takes more fails. Default
   * 256 MiB.
   */
  readonly maxBytes?: number | undefined
  /** Keys whose state stays in memory, over all steps of a stream; others are read when they are needed. Default 100,000. */
  readonly stateKeys?: number | undefined
  /** Work that keeps the event loop busy for this long is told of in the log, with its step. Default 1,000. */
  readonly blockedAfterMs?: number | undefined
  /** pino, or anything of its shape. Default: warnings and errors go to the console. */
  readonly logger?: Logger | undefined
  /** Aborting it gives up what is not committed; `run` then rejects with the signal's reason. */
  readonly signal?: AbortSignal | undefined
}

/** Settings with every default filled in. */
export interface ResolvedRunSettings {
  readonly name: string | undefined
  /** Undefined: all of a stream at once. */
  readonly maxItems: number | undefined
  readonly maxBytes: number
  readonly stateKeys: number
  readonly logger: Logger
  readonly signal: AbortSignal | undefined
}

/** A statement writes what a whole run has for a table, which is many times what a batch of a service has. */
const defaultStatementTimeoutMs = 600_000

const rules: OptionRules = {
  postgres: { type: 'object' },
  kafka: { type: 'object' },
  name: { type: 'string' },
  commit: { type: 'object' },
  maxBytes: { type: 'number', min: 1 },
  stateKeys: { type: 'number', min: 1 },
  blockedAfterMs: { type: 'number', min: 100 },
  logger: { type: 'object' },
  signal: { type: 'object' },
}
const commitRules: OptionRules = { maxItems: { type: 'number', min: 1, max: maxBatchItems } }

const settingError: OptionErrorMaker = (text) => new SettingsError('MR-SETTING', text)

/** @throws SettingsError that names the setting */
export function resolveRunSettings(settings: Omit<RunSettings, 'postgres' | 'kafka'>): ResolvedRunSettings {
  validateOptions('run()', settings, rules, settingError)
  const {
    name,
    commit = {},
    maxBytes = 256 * 2 ** 20,
    stateKeys = defaults.stateKeys,
    logger = consoleLogger,
    signal,
  } = settings
  validateOptions('run(): "commit"', commit, commitRules, settingError)
  return { name, maxItems: commit.maxItems, maxBytes, stateKeys, logger, signal }
}

/** How to reach Postgres, and when to tell of blocked steps. @throws SettingsError that names the setting */
export function resolveRunSurroundings(settings: RunSettings) {
  const { postgres, kafka, blockedAfterMs = defaults.blockedAfterMs } = settings
  if (postgres === undefined) {
    throw settingError({ what: 'run() needs "postgres"', fix: 'Say where to write: postgres: { url }.' })
  }
  const resolved = resolvePostgres(postgres, 'run()')
  if (kafka !== undefined) checkKafka(kafka, 'run()')
  return {
    kafka,
    postgres: { ...resolved, statementTimeoutMs: resolved.statementTimeoutMs ?? defaultStatementTimeoutMs },
    blockedAfterMs,
  }
}
