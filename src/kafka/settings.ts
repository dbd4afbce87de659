/** Settings of the Kafka client, their defaults and what is wrong with them. */
import { SettingsError } from '../core/errors.ts'
import { DEFAULT_MAX_UNPACKED_BYTES } from './records/decodeFetch.ts'

/** TLS towards the brokers; PEM texts or buffers. `true` alone trusts what Node.js trusts. */
export interface KafkaTlsSettings {
  readonly ca?: string | Buffer | readonly (string | Buffer)[]
  readonly cert?: string | Buffer
  readonly key?: string | Buffer
  /** The name that the broker's certificate must carry, when it is not the host's. */
  readonly servername?: string
  /** `false` accepts any certificate: for tests only. Default true. */
  readonly rejectUnauthorized?: boolean
}

export interface KafkaSaslSettings {
  readonly mechanism: 'plain' | 'scram-sha-256' | 'scram-sha-512'
  readonly username: string
  readonly password: string
}

/** How to reach Kafka and how to read from it. */
export interface KafkaSettings {
  /** `host:port` of one or more brokers to begin with. */
  readonly brokers: readonly string[]
  /** The consumer group; also the name of the application in progress. */
  readonly groupId: string
  /** How this client is named in the broker's logs and quotas. Default `millrace`. */
  readonly clientId?: string
  /** Default: no TLS. */
  readonly ssl?: boolean | KafkaTlsSettings
  /** Default: no login. */
  readonly sasl?: KafkaSaslSettings
  /**
   * How long a member may be silent before its partitions are given to others. Default 30,000. Heartbeats come from a
   * timer: whoever blocks the event loop longer than this is thrown out of the group.
   */
  readonly sessionTimeoutMs?: number
  /** How long a rebalance waits for members to come back. Default 60,000. */
  readonly rebalanceTimeoutMs?: number
  /** Most bytes of one answer to a fetch, over all partitions of a broker. Default 16 MiB. */
  readonly fetchMaxBytes?: number
  /** Most bytes of one partition in one answer, and so of one chunk before it is unpacked; a larger record batch comes alone. Default 1 MiB. */
  readonly fetchMaxBytesPerPartition?: number
  /** Most bytes that the compressed batches of a chunk take once unpacked; a batch that takes more alone stops its stream. Default 64 MiB. */
  readonly maxUnpackedBytes?: number
  /** Bytes for which the broker waits before it answers. Default 1: at once, which is what keeps latency low. */
  readonly fetchMinBytes?: number
  /** How long the broker waits when there is nothing to read. Default 250. */
  readonly fetchMaxWaitMs?: number
  /** How often the partition counts of the topics are looked at. Default 30,000. */
  readonly metadataMaxAgeMs?: number
  /** Within this time `start` finds a broker and the topics, or fails. Default 20,000. */
  readonly connectTimeoutMs?: number
  /** How long Kafka may be away while running before the client gives up. Default 120,000. */
  readonly giveUpAfterMs?: number
}

/** Settings with every default filled in. */
export type ResolvedKafkaSettings = Required<Omit<KafkaSettings, 'ssl' | 'sasl'>> & {
  readonly ssl: boolean | KafkaTlsSettings
  readonly sasl: KafkaSaslSettings | undefined
  /** How often this member tells the group that it lives; also how soon it learns of a rebalance. */
  readonly heartbeatIntervalMs: number
}

const mechanisms: readonly string[] = ['plain', 'scram-sha-256', 'scram-sha-512']

/** Fills in the defaults; throws SettingsError MR-KAFKA-SETTING that names the setting. */
export function resolveKafkaSettings(settings: KafkaSettings): ResolvedKafkaSettings {
  checkBrokers(settings.brokers)
  if (typeof settings.groupId !== 'string' || settings.groupId === '') {
    throw wrong('groupId', 'is not a name', 'Give the consumer group a name, for example the name of the service.')
  }
  if (settings.sasl !== undefined) checkSasl(settings.sasl)
  const sessionTimeoutMs = positive('sessionTimeoutMs', settings.sessionTimeoutMs ?? 30_000)
  return {
    brokers: settings.brokers,
    groupId: settings.groupId,
    clientId: settings.clientId ?? 'millrace',
    ssl: settings.ssl ?? false,
    sasl: settings.sasl,
    sessionTimeoutMs,
    heartbeatIntervalMs: Math.max(100, Math.min(1_000, Math.floor(sessionTimeoutMs / 12))),
    rebalanceTimeoutMs: positive('rebalanceTimeoutMs', settings.rebalanceTimeoutMs ?? 60_000),
    fetchMaxBytes: positive('fetchMaxBytes', settings.fetchMaxBytes ?? 16 * 1024 * 1024),
    fetchMaxBytesPerPartition: positive('fetchMaxBytesPerPartition', settings.fetchMaxBytesPerPartition ?? 1024 * 1024),
    maxUnpackedBytes: positive('maxUnpackedBytes', settings.maxUnpackedBytes ?? DEFAULT_MAX_UNPACKED_BYTES),
    fetchMinBytes: positive('fetchMinBytes', settings.fetchMinBytes ?? 1),
    fetchMaxWaitMs: positive('fetchMaxWaitMs', settings.fetchMaxWaitMs ?? 250),
    metadataMaxAgeMs: positive('metadataMaxAgeMs', settings.metadataMaxAgeMs ?? 30_000),
    connectTimeoutMs: positive('connectTimeoutMs', settings.connectTimeoutMs ?? 20_000),
    giveUpAfterMs: positive('giveUpAfterMs', settings.giveUpAfterMs ?? 120_000),
  }
}

function checkBrokers(brokers: readonly string[]): void {
  const fix = 'Write them as host:port, for example ["localhost:9092"].'
  if (!Array.isArray(brokers) || brokers.length === 0) throw wrong('brokers', 'is an empty list', fix)
  for (const broker of brokers as readonly unknown[]) {
    const port = typeof broker === 'string' ? /^[^\s:/]+:(\d{1,5})$/.exec(broker)?.[1] : undefined
    if (port === undefined || Number(port) < 1 || Number(port) > 65_535) {
      throw wrong('brokers', `holds ${JSON.stringify(broker)}, which is not host:port`, fix)
    }
  }
}

function checkSasl(sasl: KafkaSaslSettings): void {
  if (!mechanisms.includes(sasl.mechanism)) {
    throw wrong('sasl.mechanism', `is ${JSON.stringify(sasl.mechanism)}`, `Choose one of ${mechanisms.join(', ')}.`)
  }
  if (!sasl.username || !sasl.password) {
    throw wrong(
      'sasl',
      'has no username or no password',
      'Give both; an unset environment variable is the usual cause.',
    )
  }
}

function positive(name: string, value: number): number {
  if (Number.isInteger(value) && value > 0 && value <= 2_147_483_647) return value
  throw wrong(name, `is ${String(value)}`, 'Give a whole number above 0.')
}

function wrong(name: string, what: string, fix: string): SettingsError {
  return new SettingsError('MR-KAFKA-SETTING', { what: `the Kafka setting "${name}" ${what}`, fix })
}
