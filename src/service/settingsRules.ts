/** What each setting may be: for `start`, and for the command line, which checks file, environment and flags against the same rules. */
import type { OptionRules } from '../core/options.ts'

/** `ssl` of Kafka and of Postgres is `true`, `false` or an object with these. */
export const tlsRules: OptionRules = {
  ca: { type: 'object' },
  cert: { type: 'object' },
  key: { type: 'object' },
  servername: { type: 'string' },
  rejectUnauthorized: { type: 'boolean' },
}

export const kafkaRules: OptionRules = {
  brokers: { type: 'strings', required: true },
  clientId: { type: 'string' },
  ssl: { type: 'object' },
  sasl: { type: 'object' },
  sessionTimeoutMs: { type: 'number', min: 1 },
  rebalanceTimeoutMs: { type: 'number', min: 1 },
  fetchMaxBytes: { type: 'number', min: 1 },
  fetchMaxBytesPerPartition: { type: 'number', min: 1 },
  maxUnpackedBytes: { type: 'number', min: 1 },
  fetchMinBytes: { type: 'number', min: 1 },
  fetchMaxWaitMs: { type: 'number', min: 1 },
  metadataMaxAgeMs: { type: 'number', min: 1 },
  connectTimeoutMs: { type: 'number', min: 1 },
  giveUpAfterMs: { type: 'number', min: 1 },
}

export const saslRules: OptionRules = {
  mechanism: { type: 'choice', of: ['plain', 'scram-sha-256', 'scram-sha-512'], required: true },
  username: { type: 'string', required: true },
  password: { type: 'string', required: true },
}

export const postgresRules: OptionRules = {
  url: { type: 'string' },
  host: { type: 'string' },
  port: { type: 'number', min: 1, max: 65_535 },
  user: { type: 'string' },
  password: { type: 'string' },
  database: { type: 'string' },
  ssl: { type: 'object' },
  poolSize: { type: 'number', min: 1 },
  connectTimeoutMs: { type: 'number', min: 1 },
  lockTimeoutMs: { type: 'number', min: 1 },
  statementTimeoutMs: { type: 'number', min: 1 },
  idleInTransactionTimeoutMs: { type: 'number', min: 1 },
}

export const commitRules: OptionRules = {
  everyMs: { type: 'number', min: 0 },
  maxItems: { type: 'number', min: 1 },
  maxBytes: { type: 'number', min: 1 },
}

export const bufferRules: OptionRules = {
  maxBytes: { type: 'number', min: 1 },
  maxItems: { type: 'number', min: 1 },
}

export const errorRules: OptionRules = {
  maxValueBytes: { type: 'number', min: 0, max: 2 ** 28 },
  keepDays: { type: 'number', min: 1, max: 36_500 },
}

export const serviceRules: OptionRules = {
  group: { type: 'string', required: true },
  kafka: { type: 'object' },
  client: { type: 'object' },
  writer: { type: 'object' },
  postgres: { type: 'object', required: true },
  from: { type: 'string' },
  commit: { type: 'object' },
  buffer: { type: 'object' },
  errors: { type: 'object' },
  stateKeys: { type: 'number', min: 1 },
  stallAfterMs: { type: 'number', min: 1_000 },
  blockedAfterMs: { type: 'number', min: 100 },
  logger: { type: 'object' },
  signal: { type: 'object' },
}
