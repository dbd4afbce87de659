/**
 * What to do about an error of Kafka or of the way to it: one table, by the broker's error type, by kafkajs's error
 * name and by node's error code. Everything that talks to a broker asks here, and nobody decides for himself.
 */
import { MillraceError } from '../core/errors.ts'

/**
 * - `again`: the same request after a pause, within a cap
 * - `refresh`: the same, after asking who leads the partition or coordinates the group
 * - `rejoin`: this member's generation is over: join again
 * - `rejoin-as-new`: the group has forgotten this member: join again without its id
 * - `stop`: no retry helps; somebody has to act
 */
export type Reaction = 'again' | 'refresh' | 'rejoin' | 'rejoin-as-new' | 'stop'

/** A reaction and the code of the error that is raised when it stops, or when its tries are used up. */
export interface Verdict {
  readonly reaction: Reaction
  readonly code: string
  /** The error below kafkajs's wrappers, for its message. */
  readonly cause: unknown
}

type Row = readonly [Reaction, string]

const again: Row = ['again', 'MR-KAFKA-UNREACHABLE']
const refresh: Row = ['refresh', 'MR-KAFKA-UNREACHABLE']
const rejoin: Row = ['rejoin', 'MR-KAFKA-UNREACHABLE']
const rejoinAsNew: Row = ['rejoin-as-new', 'MR-KAFKA-UNREACHABLE']
const sasl: Row = ['stop', 'MR-KAFKA-SASL']
const tls: Row = ['stop', 'MR-KAFKA-TLS']
const authorization: Row = ['stop', 'MR-KAFKA-AUTHORIZATION']
const version: Row = ['stop', 'MR-KAFKA-VERSION']

/** By the type of the broker's answer (KafkaJSProtocolError.type). */
const byType: Readonly<Record<string, Row>> = {
  UNKNOWN: again,
  CORRUPT_MESSAGE: ['again', 'MR-KAFKA-CORRUPT'],
  REQUEST_TIMED_OUT: again,
  NETWORK_EXCEPTION: again,
  GROUP_LOAD_IN_PROGRESS: again,
  UNSTABLE_OFFSET_COMMIT: again,
  OFFSET_NOT_AVAILABLE: again,
  NOT_LEADER_FOR_PARTITION: refresh,
  LEADER_NOT_AVAILABLE: refresh,
  REPLICA_NOT_AVAILABLE: refresh,
  BROKER_NOT_AVAILABLE: refresh,
  FENCED_LEADER_EPOCH: refresh,
  UNKNOWN_LEADER_EPOCH: refresh,
  KAFKA_STORAGE_ERROR: refresh,
  STALE_BROKER_EPOCH: refresh,
  LISTENER_NOT_FOUND: refresh,
  NOT_COORDINATOR_FOR_GROUP: refresh,
  GROUP_COORDINATOR_NOT_AVAILABLE: refresh,
  UNKNOWN_TOPIC_OR_PARTITION: ['refresh', 'MR-KAFKA-TOPIC-MISSING'],
  REBALANCE_IN_PROGRESS: rejoin,
  ILLEGAL_GENERATION: rejoin,
  UNKNOWN_MEMBER_ID: rejoinAsNew,
  MEMBER_ID_REQUIRED: rejoinAsNew,
  FENCED_INSTANCE_ID: rejoinAsNew,
  OFFSET_OUT_OF_RANGE: ['stop', 'MR-KAFKA-OFFSET-GAP'],
  NOT_ENOUGH_REPLICAS: ['again', 'MR-KAFKA-REPLICAS'],
  NOT_ENOUGH_REPLICAS_AFTER_APPEND: ['again', 'MR-KAFKA-REPLICAS'],
  MESSAGE_TOO_LARGE: ['stop', 'MR-KAFKA-RECORD-SIZE'],
  RECORD_LIST_TOO_LARGE: ['stop', 'MR-KAFKA-RECORD-SIZE'],
  INVALID_TIMESTAMP: ['stop', 'MR-KAFKA-RECORD'],
  INVALID_RECORD: ['stop', 'MR-KAFKA-RECORD'],
  POLICY_VIOLATION: ['stop', 'MR-KAFKA-RECORD'],
  INVALID_TOPIC_EXCEPTION: ['stop', 'MR-KAFKA-TOPIC-MISSING'],
  TOPIC_AUTHORIZATION_FAILED: authorization,
  GROUP_AUTHORIZATION_FAILED: authorization,
  CLUSTER_AUTHORIZATION_FAILED: authorization,
  SASL_AUTHENTICATION_FAILED: sasl,
  UNSUPPORTED_SASL_MECHANISM: sasl,
  ILLEGAL_SASL_STATE: sasl,
  SECURITY_DISABLED: sasl,
  INCONSISTENT_GROUP_PROTOCOL: ['stop', 'MR-KAFKA-GROUP-PROTOCOL'],
  INVALID_GROUP_ID: ['stop', 'MR-KAFKA-GROUP'],
  GROUP_MAX_SIZE_REACHED: ['stop', 'MR-KAFKA-GROUP'],
  INVALID_SESSION_TIMEOUT: ['stop', 'MR-KAFKA-SESSION-TIMEOUT'],
  UNSUPPORTED_VERSION: version,
}

/** By the name of kafkajs's own errors; `TimedOut` is ours (connections.ts). */
const byName: Readonly<Record<string, Row>> = {
  TimedOut: again,
  KafkaJSConnectionError: again,
  KafkaJSConnectionClosedError: again,
  KafkaJSRequestTimeoutError: again,
  KafkaJSLockTimeout: again,
  KafkaJSTimeout: again,
  KafkaJSBrokerNotFound: refresh,
  KafkaJSNoBrokerAvailableError: refresh,
  KafkaJSMetadataNotLoaded: refresh,
  KafkaJSTopicMetadataNotLoaded: refresh,
  KafkaJSGroupCoordinatorNotFound: refresh,
  KafkaJSSASLAuthenticationError: sasl,
  KafkaJSServerDoesNotSupportApiKey: version,
}

/** By node's error code. Certificates are refused under many names: see isTlsCode. */
const byCode: Readonly<Record<string, Row>> = {
  ECONNREFUSED: again,
  ECONNRESET: again,
  ECONNABORTED: again,
  EPIPE: again,
  ETIMEDOUT: again,
  EHOSTUNREACH: again,
  ENETUNREACH: again,
  ENOTFOUND: again,
  EAI_AGAIN: again,
}

interface Fields {
  readonly name?: string
  readonly type?: string
  readonly code?: string | number
  readonly message?: string
  readonly cause?: unknown
}

/** Judges anything that was thrown on the way to Kafka. What is unknown stops: a defect must not be retried for ever. */
export function judge(thrown: unknown): Verdict {
  if (thrown instanceof MillraceError) {
    return { reaction: thrown.retryable ? 'again' : 'stop', code: thrown.code, cause: thrown }
  }
  for (let error = thrown; typeof error === 'object' && error !== null; error = (error as Fields).cause) {
    const row = rowOf(error as Fields)
    if (row !== undefined) return { reaction: row[0], code: row[1], cause: error }
  }
  return { reaction: 'stop', code: 'MR-KAFKA-CLIENT', cause: thrown }
}

function rowOf(error: Fields): Row | undefined {
  const { type, code, name = '' } = error
  if (type !== undefined && byType[type] !== undefined) return byType[type]
  if (typeof code === 'string') {
    if (isTlsCode(code)) return tls
    if (byCode[code] !== undefined) return byCode[code]
  }
  // kafkajs gives every failure during a login this name, also a connection that was lost meanwhile.
  if (name === 'KafkaJSSASLAuthenticationError' && lostConnection.test(error.message ?? '')) return again
  return byName[name]
}

const lostConnection = /closed connection|connection (?:error|timeout|closed)|not connected|timed out/i

/** Whether node's code says that the two sides could not agree on TLS or a certificate. */
function isTlsCode(code: string): boolean {
  return /^(?:ERR_SSL_|ERR_TLS_|CERT_|DEPTH_ZERO_|SELF_SIGNED_|UNABLE_TO_|HOSTNAME_MISMATCH|EPROTO$)/.test(code)
}
