/** Settings of a service: their shape and their defaults. */
import type { TopicWriter } from '../core/emit.ts'
import { SettingsError } from '../core/errors.ts'
import { type Logger, silentLogger } from '../core/logger.ts'
import { isCharacters, type OptionErrorMaker, type OptionRules, shown, validateOptions } from '../core/options.ts'
import type { SourceClient } from '../core/source.ts'
import type { KafkaSettings } from '../kafka/settings.ts'
import type { PostgresConnection } from '../postgres/connection.ts'
import type { CommitLimits } from '../runtime/filling.ts'
import { type StartFrom, usualStateKeys } from '../runtime/runner.ts'
import {
  bufferRules,
  commitRules,
  errorRules,
  kafkaRules,
  postgresRules,
  saslRules,
  serviceRules,
  tlsRules,
} from './settingsRules.ts'

/** How to reach Kafka and how to read from it; the group is a setting of the service. */
export type KafkaConnection = Omit<KafkaSettings, 'groupId'>

/** What all tasks together may hold in memory that was fetched and is not committed. */
export interface BufferLimits {
  readonly maxBytes: number
  readonly maxItems: number
}

/** What the error collector keeps. */
export interface ErrorLimits {
  /** Bytes of an item's value: a longer one is kept cut, and cannot be replayed. */
  readonly maxValueBytes: number
  /** Days for which items are kept that are done or ignored. The others are kept until somebody settles or deletes them. */
  readonly keepDays: number
}

interface CommonSettings {
  /** The consumer group, which is also the name that progress is kept under. */
  readonly group: string
  readonly postgres: PostgresConnection
  /**
   * Where a stream begins that has no progress. Without it: at the beginning, unless the tables hold rows or the group
   * has committed offsets already, for then it is not clear what was done before, and the start is refused.
   */
  readonly from?: StartFrom | undefined
  /** Bounds of a batch. Defaults: everyMs 1,000, maxItems 25,000, maxBytes 16 MiB. */
  readonly commit?: Partial<CommitLimits> | undefined
  /** Defaults: maxBytes 64 MiB, maxItems 200,000. */
  readonly buffer?: Partial<BufferLimits> | undefined
  /** Defaults: maxValueBytes 1 MiB, keepDays 30. */
  readonly errors?: Partial<ErrorLimits> | undefined
  /** Keys whose state stays in memory, over all partitions and steps; others are read when they are needed. Default 100,000. */
  readonly stateKeys?: number | undefined
  /** A partition that has records and commits nothing for this long stops the service. Default 300,000. */
  readonly stallAfterMs?: number | undefined
  /** Work that keeps the event loop busy for this long is told of in the log, with its step. Default 1,000. */
  readonly blockedAfterMs?: number | undefined
  /** pino, or anything of its shape. Default: warnings and errors go to the console. */
  readonly logger?: Logger | undefined
  /** Aborting it stops the service, also while it is starting; `start` then rejects with the signal's reason. */
  readonly signal?: AbortSignal | undefined
}

interface OverKafka {
  readonly kafka: KafkaConnection
  readonly client?: undefined
  readonly writer?: undefined
}

interface OverClient {
  readonly kafka?: undefined
  /** Reads instead of Kafka: `createMemoryBroker().client(group)` of `millrace/testing`, or a client of your own. */
  readonly client: SourceClient
  /** Writes to topics: `memoryWriter(broker)` of `millrace/testing`. Without it a plan that does is refused. */
  readonly writer?: TopicWriter | undefined
}

/** What `start` is told. */
export type StartSettings = CommonSettings & (OverKafka | OverClient)

export const defaults = {
  commit: { everyMs: 1_000, maxItems: 25_000, maxBytes: 16 * 2 ** 20 },
  buffer: { maxBytes: 64 * 2 ** 20, maxItems: 200_000 },
  errors: { maxValueBytes: 2 ** 20, keepDays: 30 },
  stateKeys: usualStateKeys,
  stallAfterMs: 300_000,
  blockedAfterMs: 1_000,
} as const

/** Settings with every default filled in. */
export interface ResolvedSettings {
  readonly group: string
  readonly kafka: KafkaConnection | undefined
  readonly client: SourceClient | undefined
  readonly writer: TopicWriter | undefined
  readonly postgres: PostgresConnection
  readonly from: StartFrom | undefined
  readonly commit: CommitLimits
  readonly buffer: BufferLimits
  readonly errors: ErrorLimits
  readonly stateKeys: number
  readonly stallAfterMs: number
  readonly blockedAfterMs: number
  readonly logger: Logger
  readonly signal: AbortSignal | undefined
}

/** Checks the settings of `start` and fills in the defaults. @throws SettingsError that names the setting */
export function resolveSettings(settings: StartSettings): ResolvedSettings {
  const {
    group,
    kafka,
    client,
    writer,
    postgres,
    from,
    commit = {},
    buffer = {},
    errors = {},
    logger,
    signal,
  } = settings
  const { from: _from, ...plain } = settings
  check('start()', plain, serviceRules)
  checkFrom(from)
  if ((kafka === undefined) === (client === undefined)) {
    throw new SettingsError('MR-SETTING', {
      what: kafka === undefined ? 'start() needs "kafka"' : 'start() takes "kafka" or "client", not both',
      fix: "Say where to read from: kafka: { brokers: ['localhost:9092'] }.",
    })
  }
  if (kafka !== undefined) checkKafka(kafka)
  check('start(): "commit"', commit, commitRules)
  check('start(): "buffer"', buffer, bufferRules)
  check('start(): "errors"', errors, errorRules)
  return {
    group,
    kafka,
    client,
    writer,
    postgres: resolvePostgres(postgres),
    from,
    commit: { ...defaults.commit, ...definedOf(commit) },
    buffer: { ...defaults.buffer, ...definedOf(buffer) },
    errors: { ...defaults.errors, ...definedOf(errors) },
    stateKeys: settings.stateKeys ?? defaults.stateKeys,
    stallAfterMs: settings.stallAfterMs ?? defaults.stallAfterMs,
    blockedAfterMs: settings.blockedAfterMs ?? defaults.blockedAfterMs,
    logger: logger ?? consoleLogger,
    signal,
  }
}

/**
 * Checks how to reach Postgres, and makes one URL of a URL and parts beside it.
 *
 * @param caller whose setting it is, as errors call it
 * @throws SettingsError that names the setting
 */
export function resolvePostgres(postgres: PostgresConnection, caller = 'start()'): PostgresConnection {
  const owner = `${caller}: "postgres"`
  checkPostgres(postgres, owner)
  return withoutUrlParts(postgres, owner)
}

const settingError: OptionErrorMaker = (text) => new SettingsError('MR-SETTING', text)

function check(owner: string, options: object, rules: OptionRules): void {
  validateOptions(owner, options, rules, settingError)
}

function checkFrom(from: unknown): void {
  if (from === undefined || from === 'earliest' || from === 'latest') return
  if (from instanceof Date && !Number.isNaN(from.getTime())) return
  throw settingError({ what: `start(): "from" must be "earliest", "latest" or a Date, but is ${shown(from)}` })
}

/** @param caller whose setting it is, as errors call it */
export function checkKafka(kafka: KafkaConnection, caller = 'start()'): void {
  check(`${caller}: "kafka"`, withoutBooleanSsl(kafka), kafkaRules)
  if (typeof kafka.ssl === 'object') {
    // Certificates are texts, buffers or lists of them; Node says what is wrong with one better than a rule can.
    const { ca: _ca, cert: _cert, key: _key, ...rest } = kafka.ssl
    check(`${caller}: "kafka.ssl"`, rest, tlsRules)
  }
  if (kafka.sasl !== undefined) checkSasl(kafka.sasl, caller)
}

function checkSasl(sasl: NonNullable<KafkaConnection['sasl']>, caller: string): void {
  // A password that is none would be shown by the rule.
  if (sasl.password !== undefined && !isSecret(sasl.password)) {
    throw settingError({ what: `${caller}: "kafka.sasl": "password" must be a text` })
  }
  check(`${caller}: "kafka.sasl"`, sasl, saslRules)
}

function isSecret(value: unknown): boolean {
  return typeof value === 'string' && isCharacters(value)
}

function checkPostgres(postgres: PostgresConnection, owner: string): void {
  for (const secret of ['url', 'password'] as const) {
    if (postgres[secret] !== undefined && !isSecret(postgres[secret])) {
      throw settingError({ what: `${owner}: "${secret}" must be a text` })
    }
  }
  check(owner, withoutBooleanSsl(postgres), postgresRules)
  if (postgres.url === undefined && postgres.host === undefined) {
    throw settingError({
      what: `${owner} needs "url", or "host" and what else it takes`,
      fix: 'Write url as postgres://user:password@host:5432/database.',
    })
  }
}

function withoutBooleanSsl({ ssl, ...rest }: { readonly ssl?: unknown }): object {
  return ssl === undefined || typeof ssl === 'boolean' ? rest : { ...rest, ssl }
}

/**
 * One URL from a URL and parts beside it. pg would let the URL win, and with it its missing password: then a password
 * could not be kept out of a URL.
 */
function withoutUrlParts(
  { url, host, port, user, password, database, ...rest }: PostgresConnection,
  owner: string,
): PostgresConnection {
  const parts = { host, port, user, password, database }
  if (url === undefined) return { ...parts, ...rest }
  if (!URL.canParse(url) || Object.values(parts).every((part) => part === undefined)) return { url, ...rest }
  const merged = new URL(url)
  if (host !== undefined) merged.hostname = host
  if (port !== undefined) merged.port = String(port)
  if (user !== undefined) merged.username = encodeURIComponent(user)
  if (password !== undefined) merged.password = encodeURIComponent(password)
  if (database !== undefined) merged.pathname = `/${encodeURIComponent(database)}`
  const lost = (user !== undefined && merged.username === '') || (password !== undefined && merged.password === '')
  if (lost) {
    throw settingError({
      what: `${owner}: user and password cannot be put into a URL without a host`,
      fix: 'Leave "url" out and give host, port, user, password and database; a host may be the folder of a socket.',
    })
  }
  return { url: merged.href, ...rest }
}

/** Without what is there but undefined, which would hide a default. */
function definedOf<T extends object>(options: T): T {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)) as T
}

/** What a service says that was given no logger: nothing but what somebody should see. */
export const consoleLogger: Logger = {
  ...silentLogger,
  warn: (fields, message) => console.warn(`millrace: ${message ?? ''}`, fields),
  error: (fields, message) => console.error(`millrace: ${message ?? ''}`, fields),
}
