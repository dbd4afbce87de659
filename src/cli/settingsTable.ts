/**
 * Every setting of the command line, once: how it is called in the settings file, in the environment and as a flag, what
 * it may be, and what it does. Validation, `--help` and the table in docs/cli.md are made of this.
 */
import type { OptionRule, OptionRules } from '../core/options.ts'
import {
  bufferRules,
  commitRules,
  errorRules,
  kafkaRules,
  postgresRules,
  saslRules,
  serviceRules,
} from '../service/settingsRules.ts'

export interface Setting {
  /** Its place in the settings file: `kafka.sasl.mechanism`. */
  readonly path: string
  /** `MILLRACE_KAFKA_SASL_MECHANISM`. */
  readonly env: string
  /** `--brokers`, where it can be given on the command line. */
  readonly flag: string | undefined
  readonly rule: OptionRule
  /** Never shown in errors. */
  readonly secret: boolean
  readonly text: string
}

interface SettingOptions {
  readonly flag?: string
  readonly secret?: boolean
}

const text: OptionRule = { type: 'string' }
const flagged: OptionRule = { type: 'boolean' }

/** A rule of the service, so that file, environment, flags and `start()` agree on what is allowed. */
function of(rules: OptionRules, name: string): OptionRule {
  const rule = rules[name]
  if (rule === undefined) throw new TypeError(`no rule for ${name}`)
  return { ...rule, required: false }
}

function setting(
  path: string,
  rule: OptionRule,
  meaning: string,
  { flag, secret = false }: SettingOptions = {},
): Setting {
  return { path, env: envOf(path), flag, rule, secret, text: meaning }
}

/** `commit.maxItems` is `MILLRACE_COMMIT_MAX_ITEMS`. */
function envOf(path: string): string {
  return `MILLRACE_${path
    .replaceAll('.', '_')
    .replaceAll(/[A-Z]/g, (letter) => `_${letter}`)
    .toUpperCase()}`
}

export const logLevels = ['debug', 'info', 'warn', 'error'] as const
export type LogLevel = (typeof logLevels)[number]

export const settingsTable: readonly Setting[] = [
  setting('group', of(serviceRules, 'group'), 'Consumer group; progress is kept under its name. Required', {
    flag: '--group',
  }),
  setting(
    'from',
    text,
    'Where a stream begins that has no progress: earliest, latest or a time such as 2026-11-01T00:00Z',
    {
      flag: '--from',
    },
  ),
  setting('logLevel', { type: 'choice', of: logLevels }, 'debug, info, warn or error. Default info', {
    flag: '--log-level',
  }),
  setting(
    'stallAfterMs',
    of(serviceRules, 'stallAfterMs'),
    'A partition with records that commits nothing for this long stops the service. Default 300000',
  ),
  setting(
    'blockedAfterMs',
    of(serviceRules, 'blockedAfterMs'),
    'A step that keeps the event loop busy for this long is named in the log. Default 1000',
  ),

  setting('commit.everyMs', of(commitRules, 'everyMs'), 'Longest time that a batch stays open. Default 1000', {
    flag: '--commit-every-ms',
  }),
  setting('commit.maxItems', of(commitRules, 'maxItems'), 'Most items of a batch. Default 25000', {
    flag: '--commit-max-items',
  }),
  setting('commit.maxBytes', of(commitRules, 'maxBytes'), 'Most bytes of a batch. Default 16777216', {
    flag: '--commit-max-bytes',
  }),
  setting(
    'buffer.maxItems',
    of(bufferRules, 'maxItems'),
    'Most records in memory, over all partitions. Default 200000',
    {
      flag: '--buffer-max-items',
    },
  ),
  setting('buffer.maxBytes', of(bufferRules, 'maxBytes'), 'Most bytes of records in memory. Default 67108864', {
    flag: '--buffer-max-bytes',
  }),
  setting(
    'stateKeys',
    of(serviceRules, 'stateKeys'),
    'Keys whose state stays in memory, over all partitions and steps; others are read when they are needed. Default 100000',
    { flag: '--state-keys' },
  ),
  setting(
    'errors.maxValueBytes',
    of(errorRules, 'maxValueBytes'),
    'Bytes of a value that the error collector keeps; one that is cut cannot be replayed. Default 1048576',
  ),
  setting(
    'errors.keepDays',
    of(errorRules, 'keepDays'),
    'Days for which the error collector keeps items that are settled. Default 30',
  ),

  setting(
    'kafka.brokers',
    of(kafkaRules, 'brokers'),
    'host:port of one or more brokers, separated by commas. Required',
    { flag: '--brokers' },
  ),
  setting('kafka.clientId', of(kafkaRules, 'clientId'), "Name in the brokers' logs and quotas. Default millrace"),
  setting(
    'kafka.ssl',
    flagged,
    'TLS with what Node.js trusts. In a file also an object of the settings below. Default false',
  ),
  setting(
    'kafka.ssl.caFile',
    text,
    'PEM file of the authority that signed the certificates of the brokers; turns TLS on',
  ),
  setting('kafka.ssl.certFile', text, 'PEM file of the certificate of this client'),
  setting('kafka.ssl.keyFile', text, 'PEM file of its key'),
  setting('kafka.ssl.servername', text, 'Name that the certificates of the brokers carry, when it is not the host'),
  setting('kafka.ssl.rejectUnauthorized', flagged, 'false accepts any certificate: for tests only. Default true'),
  setting('kafka.sasl.mechanism', of(saslRules, 'mechanism'), 'plain, scram-sha-256 or scram-sha-512'),
  setting('kafka.sasl.username', of(saslRules, 'username'), 'Login'),
  setting('kafka.sasl.password', of(saslRules, 'password'), 'Its password', { secret: true }),
  setting(
    'kafka.sessionTimeoutMs',
    of(kafkaRules, 'sessionTimeoutMs'),
    'Silence after which a member loses its partitions. Default 30000',
  ),
  setting(
    'kafka.rebalanceTimeoutMs',
    of(kafkaRules, 'rebalanceTimeoutMs'),
    'How long a rebalance waits for members. Default 60000',
  ),
  setting(
    'kafka.connectTimeoutMs',
    of(kafkaRules, 'connectTimeoutMs'),
    'Time in which brokers and topics must be found at the start. Default 20000',
  ),
  setting(
    'kafka.giveUpAfterMs',
    of(kafkaRules, 'giveUpAfterMs'),
    'How long Kafka may be away later on. Default 120000',
  ),
  setting(
    'kafka.metadataMaxAgeMs',
    of(kafkaRules, 'metadataMaxAgeMs'),
    'How often new partitions are looked for. Default 30000',
  ),
  setting(
    'kafka.fetchMaxBytes',
    of(kafkaRules, 'fetchMaxBytes'),
    'Most bytes of one answer of a broker. Default 16777216',
  ),
  setting(
    'kafka.fetchMaxBytesPerPartition',
    of(kafkaRules, 'fetchMaxBytesPerPartition'),
    'Most bytes of one partition in it. Default 1048576',
  ),
  setting(
    'kafka.maxUnpackedBytes',
    of(kafkaRules, 'maxUnpackedBytes'),
    'Most bytes of compressed batches once unpacked. Default 67108864',
  ),
  setting(
    'kafka.fetchMinBytes',
    of(kafkaRules, 'fetchMinBytes'),
    'Bytes that a broker waits for before it answers. Default 1',
  ),
  setting('kafka.fetchMaxWaitMs', of(kafkaRules, 'fetchMaxWaitMs'), 'How long it waits for them. Default 250'),

  setting('postgres.url', of(postgresRules, 'url'), 'postgres://user:password@host:5432/database. Required, or host', {
    flag: '--database',
    secret: true,
  }),
  setting(
    'postgres.host',
    of(postgresRules, 'host'),
    'Host, or folder of a socket. This and the next four take the place of what the URL says',
  ),
  setting('postgres.port', of(postgresRules, 'port'), 'Port'),
  setting('postgres.user', of(postgresRules, 'user'), 'User'),
  setting('postgres.password', of(postgresRules, 'password'), 'Password', { secret: true }),
  setting('postgres.database', of(postgresRules, 'database'), 'Database'),
  setting(
    'postgres.ssl',
    flagged,
    'TLS with what Node.js trusts. In a file also an object of the settings below. Default: what the URL says',
  ),
  setting('postgres.ssl.caFile', text, "PEM file of the authority that signed the server's certificate; turns TLS on"),
  setting('postgres.ssl.certFile', text, 'PEM file of the certificate of this client'),
  setting('postgres.ssl.keyFile', text, 'PEM file of its key'),
  setting('postgres.ssl.servername', text, 'Name that the certificate of the server carries, when it is not the host'),
  setting('postgres.ssl.rejectUnauthorized', flagged, 'false accepts any certificate: for tests only. Default true'),
  setting('postgres.poolSize', of(postgresRules, 'poolSize'), 'Connections at most. Default 4'),
  setting(
    'postgres.connectTimeoutMs',
    of(postgresRules, 'connectTimeoutMs'),
    'Time for a connection to be made. Default 10000',
  ),
  setting(
    'postgres.lockTimeoutMs',
    of(postgresRules, 'lockTimeoutMs'),
    'How long a statement waits for a lock. Default 20000',
  ),
  setting(
    'postgres.statementTimeoutMs',
    of(postgresRules, 'statementTimeoutMs'),
    'How long a statement may take. Default 30000',
  ),
  setting(
    'postgres.idleInTransactionTimeoutMs',
    of(postgresRules, 'idleInTransactionTimeoutMs'),
    'How long a transaction may stand idle. Default 10000',
  ),
]

/** Names the settings file, where it is not `millrace.config.json` in the working directory. Cannot stand in that file. */
export const configEnv = 'MILLRACE_CONFIG'
