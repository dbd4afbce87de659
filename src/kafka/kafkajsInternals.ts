/**
 * The typed view of what is used of kafkajs: its connections (framing, TLS, SASL, versions), its metadata and its
 * request encoders. Its consumer is not used: the group protocol and the fetch loop are ours (groupMember.ts,
 * fetcher.ts), because most of what goes wrong with kafkajs sits in its runner and its offset manager.
 *
 * The copy is private (the dependency `millrace-kafkajs` is an alias of kafkajs at one exact version), so its
 * insides cannot change under us and a user's own kafkajs in the same process is another set of modules.
 */
import { createRequire } from 'node:module'
import type { Socket } from 'node:net'
import { InternalError } from '../core/errors.ts'
import { patchKafkajs } from './kafkajsPatches.ts'

/** The version whose insides these types describe. */
const KAFKAJS_VERSION = '2.2.4'

export interface Encoder {
  writeInt8(value: number): this
  writeInt32(value: number): this
  writeInt64(value: number): this
  writeString(value: string): this
}

/** A request and how its answer is read, as kafkajs's connections take them. */
export interface ProtocolRequest<T> {
  readonly request: {
    readonly apiKey: number
    readonly apiVersion: number
    readonly apiName: string
    encode(): Promise<Encoder>
  }
  readonly response: {
    decode(payload: Buffer): Promise<unknown>
    parse(decoded: never): Promise<T>
  }
  readonly requestTimeout?: number
  readonly logResponseError?: boolean
}

/** How kafkajs keeps the versions of one request. */
export interface RequestDefinitions {
  readonly versions: readonly string[]
}

export interface ConnectionPool {
  readonly host: string
  readonly port: number
  send<T>(request: ProtocolRequest<T>): Promise<T>
}

export interface Broker {
  readonly nodeId: number
  readonly connectionPool: ConnectionPool
  readonly versions: Readonly<Record<number, { minVersion: number; maxVersion: number }>> | null
  lookupRequest(apiKey: number, definitions: RequestDefinitions): (args: object) => ProtocolRequest<unknown>
}

export interface PartitionMetadata {
  readonly partitionId: number
  /** Node id of the leader; -1 when there is none. */
  readonly leader: number
}

export interface Metadata {
  readonly topicMetadata: readonly {
    readonly topic: string
    readonly partitionMetadata: readonly PartitionMetadata[]
  }[]
  /** Topics that were asked for and have an error instead; put there by our patch. */
  readonly topicErrors: readonly { readonly topic: string; readonly code: number }[]
}

export interface Cluster {
  readonly brokerPool: { readonly metadata: Metadata | null; findConnectedBroker(): Promise<Broker> }
  connect(): Promise<void>
  addMultipleTargetTopics(topics: readonly string[]): Promise<void>
  refreshMetadata(): Promise<void>
  findBroker(at: { nodeId: number }): Promise<Broker>
  findGroupCoordinator(of: { groupId: string }): Promise<Broker>
}

export interface SocketRequest {
  readonly host: string
  readonly port: number
  readonly ssl: object | boolean | null
  readonly onConnect: () => void
}

export type SocketFactory = (request: SocketRequest) => Socket

export interface ClusterOptions {
  readonly logger: unknown
  readonly brokers: readonly string[]
  readonly clientId: string
  readonly ssl: object | boolean | null
  readonly sasl: object | null
  readonly connectionTimeout: number
  readonly authenticationTimeout: number
  readonly requestTimeout: number
  readonly enforceRequestTimeout: boolean
  readonly metadataMaxAge: number
  readonly allowAutoTopicCreation: boolean
  readonly socketFactory: SocketFactory
  /** Told of every request, and of those that were not answered in time; `broker` is its `host:port`. */
  readonly instrumentationEmitter: { emit(event: string, payload: { readonly broker: string }): void }
  readonly retry: { retries: number; initialRetryTime: number; maxRetryTime: number }
}

export interface LogEntry {
  readonly namespace: string
  readonly label: 'NOTHING' | 'ERROR' | 'WARN' | 'INFO' | 'DEBUG'
  readonly log: { readonly message: string }
}

export interface ConsumerMetadata {
  readonly version: number
  readonly topics: readonly string[]
  readonly userData: Buffer | null
}

export interface ConsumerAssignment {
  readonly version: number
  readonly assignment: Readonly<Record<string, readonly number[]>>
  readonly userData: Buffer | null
}

export interface Kafkajs {
  readonly Cluster: new (options: ClusterOptions) => Cluster
  readonly Encoder: new () => Encoder
  readonly createLogger: (options: { level: number; logCreator: () => (entry: LogEntry) => void }) => unknown
  readonly logLevels: { readonly INFO: number }
  readonly requests: Readonly<Record<string, RequestDefinitions>>
  readonly apiKeys: Readonly<Record<string, number>>
  readonly createErrorFromCode: (code: number) => Error
  readonly MemberMetadata: {
    encode(metadata: { version: number; topics: readonly string[]; userData: Buffer }): Buffer
    decode(bytes: Buffer): ConsumerMetadata
  }
  readonly MemberAssignment: {
    encode(assignment: { version: number; assignment: Record<string, readonly number[]> }): Buffer
    decode(bytes: Buffer): ConsumerAssignment | null
  }
}

let loaded: Kafkajs | undefined

/** The private copy with our patches in it; loaded at the first call. Throws MR-KAFKA-CLIENT when it is not the one expected. */
export function loadKafkajs(): Kafkajs {
  loaded ??= load()
  return loaded
}

function load(): Kafkajs {
  const require = createRequire(import.meta.url)
  const { version } = require('millrace-kafkajs/package.json') as { version: string }
  const at = (path: string): never => require(`millrace-kafkajs/${path}`) as never
  if (version !== KAFKAJS_VERSION) {
    throw new InternalError('MR-KAFKA-CLIENT', {
      what: `the private copy of kafkajs is version ${version}; its insides are known for ${KAFKAJS_VERSION} only`,
      why: 'An override or a resolution in package.json replaced the dependency "millrace-kafkajs".',
      fix: `Let it resolve to npm:kafkajs@${KAFKAJS_VERSION}.`,
    })
  }
  patchKafkajs(at)
  const { createLogger, LEVELS } = at('src/loggers/index.js') as {
    createLogger: Kafkajs['createLogger']
    LEVELS: Kafkajs['logLevels']
  }
  const { requests } = at('src/protocol/requests/index.js') as Pick<Kafkajs, 'requests'>
  const { createErrorFromCode } = at('src/protocol/error.js') as Pick<Kafkajs, 'createErrorFromCode'>
  const { MemberMetadata, MemberAssignment } = at('src/consumer/assignerProtocol.js') as Pick<
    Kafkajs,
    'MemberMetadata' | 'MemberAssignment'
  >
  return {
    Cluster: at('src/cluster/index.js'),
    Encoder: at('src/protocol/encoder.js'),
    createLogger,
    logLevels: LEVELS,
    requests,
    apiKeys: at('src/protocol/requests/apiKeys.js'),
    createErrorFromCode,
    MemberMetadata,
    MemberAssignment,
  }
}
