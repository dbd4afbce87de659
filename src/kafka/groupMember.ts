/**
 * This process as a member of a consumer group (the classic group protocol, which Kafka 0.9 to 4 speak).
 *
 *     joining ──joined──▶ stable ──rebalance, forgotten, session over, partitions added──▶ joining
 *        └──────────────────┴──stop──▶ left          └──an error no retry helps with──▶ failed
 *
 * One loop owns the state, so there is no second one to race with: a generation's signal has aborted before the next
 * join is sent, and what belongs to an old generation can be told by its signal.
 */
import { setMaxListeners } from 'node:events'
import { type Clock, sleep } from '../core/clock.ts'
import { messageOf } from '../core/errors.ts'
import type { Logger } from '../core/logger.ts'
import type { TopicPartition } from '../core/source.ts'
import { assignPartitions } from './assign.ts'
import {
  decodeAssignment,
  decodeMember,
  encodeAssignment,
  encodeMember,
  nothingOwned,
  type Ownership,
  PROTOCOL_NAME,
} from './assignerProtocol.ts'
import { type Connections, pauseBefore, within } from './connections.ts'
import { kafkaError } from './kafkaErrors.ts'
import type { Broker } from './kafkajsInternals.ts'
import { judge } from './retryable.ts'

/** What one join gave this member. */
export interface Generation {
  readonly id: number
  readonly partitions: readonly TopicPartition[]
  /** Aborts when the generation is over, or must be taken to be. */
  readonly over: AbortSignal
}

export interface CommittedPosition extends TopicPartition {
  readonly offset: number
}

export interface GroupMemberOptions {
  readonly connections: Connections
  readonly topics: readonly string[]
  readonly clock: Clock
  readonly logger: Logger
}

interface Joined {
  readonly generationId: number
  readonly leaderId: string
  readonly memberId: string
  readonly groupProtocol: string
  readonly members: readonly { readonly memberId: string; readonly memberMetadata: Buffer }[]
}

export class GroupMember {
  readonly #connections: Connections
  readonly #topics: readonly string[]
  readonly #clock: Clock
  readonly #logger: Logger
  #coordinator: Broker | undefined
  #memberId = ''
  #owned: Ownership = nothingOwned
  /** The partition counts that this member, as the leader, assigned by. */
  #counts: ReadonlyMap<string, number> | undefined

  constructor({ connections, topics, clock, logger }: GroupMemberOptions) {
    this.#connections = connections
    this.#topics = topics
    this.#clock = clock
    this.#logger = logger
  }

  /** Empty until the group has named this member. */
  get memberId(): string {
    return this.#memberId
  }

  /**
   * Is a member until `stop` aborts: joins, says which partitions it was given, stays in, joins again.
   * Throws when an error cannot be helped by joining again, or when the group was out of reach for `giveUpAfterMs`.
   */
  async run(stop: AbortSignal, onGeneration: (generation: Generation) => void): Promise<void> {
    const { giveUpAfterMs } = this.#connections.context.settings
    let failingSince: number | undefined
    for (let failures = 0; !stop.aborted; ) {
      const over = new AbortController()
      // Each partition's task listens; that is not the leak for which Node warns at the eleventh.
      setMaxListeners(0, over.signal)
      const endWithStop = (): void => over.abort()
      stop.addEventListener('abort', endWithStop, { once: true })
      try {
        const generation = await this.#join(over.signal)
        if (stop.aborted) return
        failingSince = undefined
        failures = 0
        onGeneration(generation)
        await this.#stay(generation, over)
      } catch (error) {
        over.abort()
        if (stop.aborted) return
        const verdict = judge(error)
        const now = this.#clock.now()
        failingSince ??= now
        if (verdict.reaction === 'stop' || now - failingSince >= giveUpAfterMs) {
          throw kafkaError(error, this.#connections.context)
        }
        this.#forget(verdict.reaction)
        this.#logger.warn(
          { error: messageOf(error), reaction: verdict.reaction },
          'the group could not be joined; trying again',
        )
        await sleep(this.#clock, pauseBefore(failures++), stop)
      } finally {
        over.abort()
        stop.removeEventListener('abort', endWithStop)
      }
    }
  }

  /** Commits positions for lag tools. The group refuses a generation that it has replaced. */
  async commit(generation: Generation, positions: readonly CommittedPosition[]): Promise<void> {
    await this.#connections.request(await this.#findCoordinator(), 'OffsetCommit', {
      groupId: this.#groupId,
      groupGenerationId: generation.id,
      memberId: this.#memberId,
      topics: positions.map(({ topic, partition, offset }) => ({
        topic,
        partitions: [{ partition, offset: String(offset), metadata: null }],
      })),
    })
  }

  get #groupId(): string {
    return this.#connections.context.settings.groupId
  }

  async #join(over: AbortSignal): Promise<Generation> {
    const coordinator = await this.#findCoordinator()
    const joined = await this.#sendJoin(coordinator)
    this.#memberId = joined.memberId
    const isLeader = joined.leaderId === joined.memberId
    const groupAssignment = isLeader ? await this.#assign(joined) : []
    this.#counts = isLeader ? this.#counts : undefined
    const { memberAssignment } = await this.#connections.request<{ memberAssignment: Buffer }>(
      coordinator,
      'SyncGroup',
      {
        groupId: this.#groupId,
        generationId: joined.generationId,
        memberId: joined.memberId,
        groupAssignment,
      },
    )
    const partitions = decodeAssignment(this.#connections.kafkajs, memberAssignment)
    this.#owned = {
      generation: joined.generationId,
      numbers: [...new Set(partitions.map(({ partition }) => partition))],
    }
    return { id: joined.generationId, partitions, over }
  }

  async #sendJoin(coordinator: Broker): Promise<Joined> {
    const { settings } = this.#connections.context
    const send = (): Promise<Joined> =>
      this.#connections.request<Joined>(coordinator, 'JoinGroup', {
        groupId: this.#groupId,
        sessionTimeout: settings.sessionTimeoutMs,
        rebalanceTimeout: settings.rebalanceTimeoutMs,
        memberId: this.#memberId,
        protocolType: 'consumer',
        groupProtocols: [
          { name: PROTOCOL_NAME, metadata: encodeMember(this.#connections.kafkajs, this.#topics, this.#owned) },
        ],
      })
    try {
      return await send()
    } catch (error) {
      // A first join is answered with an id to join by, so that the group can tell a retry from another member.
      if (!isMemberIdRequired(error)) throw error
      this.#memberId = error.memberId
      return send()
    }
  }

  /** As the leader: what every member gets. */
  async #assign(joined: Joined): Promise<{ memberId: string; memberAssignment: Buffer }[]> {
    const { kafkajs, cluster } = this.#connections
    const members = joined.members.map(({ memberId, memberMetadata }) =>
      decodeMember(kafkajs, memberId, memberMetadata),
    )
    // While a new version with another topic is rolled out, others may read topics that this member does not know.
    await cluster.addMultipleTargetTopics([...new Set(members.flatMap(({ topics }) => topics))])
    await cluster.refreshMetadata()
    const topics = [...new Set(members.flatMap(({ topics: read }) => read))]
    this.#counts = new Map(topics.map((topic) => [topic, this.#connections.partitionsOf(topic).length]))
    const assigned = assignPartitions(members, this.#counts)
    return [...assigned].map(([memberId, byTopic]) => ({
      memberId,
      memberAssignment: encodeAssignment(kafkajs, byTopic),
    }))
  }

  /** Resolves when the member has to join again. */
  async #stay(generation: Generation, over: AbortController): Promise<void> {
    const { settings } = this.#connections.context
    const watching = this.#watchPartitions(over)
    let heardAt = this.#clock.now()
    let failures = 0
    while (!over.signal.aborted) {
      await sleep(this.#clock, failures === 0 ? settings.heartbeatIntervalMs : pauseBefore(failures), over.signal)
      if (over.signal.aborted) break
      const sentAt = this.#clock.now()
      const left = heardAt + settings.sessionTimeoutMs - sentAt
      if (left <= 0) {
        this.#logger.warn(
          { groupId: this.#groupId },
          'the group was not reached within the session timeout; joining again',
        )
        break
      }
      try {
        await within(this.#clock, left, this.#heartbeat(generation))
        heardAt = sentAt
        failures = 0
      } catch (error) {
        const { reaction } = judge(error)
        if (reaction === 'stop') throw error
        this.#forget(reaction)
        if (reaction === 'rejoin' || reaction === 'rejoin-as-new') break
        failures++
      }
    }
    over.abort()
    await watching
  }

  async #heartbeat(generation: Generation): Promise<void> {
    await this.#connections.request(await this.#findCoordinator(), 'Heartbeat', {
      groupId: this.#groupId,
      groupGenerationId: generation.id,
      memberId: this.#memberId,
    })
  }

  /** The leader looks whether topics have grown: only it can make the group share the new partitions out. */
  async #watchPartitions(over: AbortController): Promise<void> {
    const counts = this.#counts
    if (counts === undefined) return
    const { metadataMaxAgeMs } = this.#connections.context.settings
    while ((await sleep(this.#clock, metadataMaxAgeMs, over.signal)) === 'elapsed') {
      try {
        await this.#connections.cluster.refreshMetadata()
        for (const [topic, count] of counts) {
          if (this.#connections.partitionsOf(topic).length === count) continue
          this.#logger.info({ topic, before: count }, 'the number of partitions has changed; joining again')
          over.abort()
        }
      } catch (error) {
        this.#logger.debug({ error: messageOf(error) }, 'the partition counts could not be looked at')
      }
    }
  }

  async #findCoordinator(): Promise<Broker> {
    this.#coordinator ??= await this.#connections.cluster.findGroupCoordinator({ groupId: this.#groupId })
    // Through the pool each time: it connects again when the connection was lost, one attempt for all who ask.
    return this.#connections.cluster.findBroker({ nodeId: this.#coordinator.nodeId })
  }

  #forget(reaction: string): void {
    if (reaction === 'rejoin-as-new') this.#memberId = ''
    if (reaction !== 'rejoin') this.#coordinator = undefined
  }
}

function isMemberIdRequired(error: unknown): error is { memberId: string } {
  return (error as Error).name === 'KafkaJSMemberIdRequired'
}
