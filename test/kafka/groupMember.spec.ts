import { beforeEach, describe, expect, it } from 'vitest'
import { silentLogger } from '../../src/core/logger.ts'
import { encodeAssignment, encodeMember } from '../../src/kafka/assignerProtocol.ts'
import type { Connections } from '../../src/kafka/connections.ts'
import { type Generation, GroupMember } from '../../src/kafka/groupMember.ts'
import { loadKafkajs } from '../../src/kafka/kafkajsInternals.ts'
import { resolveKafkaSettings } from '../../src/kafka/settings.ts'
import { ManualClock, settle } from './manualClock.ts'

const kafkajs = loadKafkajs()
const settings = resolveKafkaSettings({
  brokers: ['b:9092'],
  groupId: 'g',
  sessionTimeoutMs: 6_000,
  metadataMaxAgeMs: 30_000,
  giveUpAfterMs: 60_000,
})

interface Request {
  readonly name: string
  readonly args: {
    readonly memberId: string
    readonly generationId?: number
    readonly groupGenerationId?: number
    readonly groupAssignment?: readonly object[]
  }
}

/** A coordinator that gives this member everything, unless the test says what a request is answered with. */
class Coordinator {
  readonly requests: Request[] = []
  readonly scripted = new Map<string, (() => unknown)[]>()
  readonly closing = new AbortController()
  generation = 0
  partitions = 2
  leads = true
  coordinatorLookups = 0
  refreshes = 0

  /** The answer to the next request of that name. */
  next(name: string, ...answers: (() => unknown)[]): void {
    this.scripted.set(name, [...(this.scripted.get(name) ?? []), ...answers])
  }

  names(name: string): Request[] {
    return this.requests.filter((request) => request.name === name)
  }

  get connections(): Connections {
    const fake = {
      kafkajs,
      context: { settings, sightings: () => [], served: () => true },
      closed: this.closing.signal,
      partitionsOf: () => Array.from({ length: this.partitions }, (_, partitionId) => ({ partitionId, leader: 1 })),
      cluster: {
        addMultipleTargetTopics: async () => {},
        refreshMetadata: async () => {
          this.refreshes++
        },
        findGroupCoordinator: async () => {
          this.coordinatorLookups++
          return { nodeId: 1 }
        },
        findBroker: async () => ({ nodeId: 1 }),
      },
      request: async (_broker: object, name: string, args: Request['args']) => {
        this.requests.push({ name, args })
        const scripted = this.scripted.get(name)?.shift()
        return scripted === undefined ? this.#answer(name) : await scripted()
      },
    }
    return fake as unknown as Connections
  }

  #answer(name: string): unknown {
    if (name === 'JoinGroup') return this.joined()
    if (name === 'SyncGroup')
      return { memberAssignment: encodeAssignment(kafkajs, { t: [...Array(this.partitions).keys()] }) }
    return {}
  }

  joined(memberId = 'me'): unknown {
    const memberMetadata = encodeMember(kafkajs, ['t'], { generation: -1, numbers: [] })
    return {
      generationId: ++this.generation,
      leaderId: this.leads ? memberId : 'another',
      memberId,
      groupProtocol: 'millrace',
      members: this.leads ? [{ memberId, memberMetadata }] : [],
    }
  }
}

const protocolError = (type: string) => (): never => {
  throw Object.assign(new Error(type), { name: 'KafkaJSProtocolError', type })
}
const connectionLost = (): never => {
  throw Object.assign(new Error('Closed connection'), { name: 'KafkaJSConnectionClosedError' })
}
const neverAnswers = (): Promise<never> => new Promise(() => {})

describe('GroupMember', () => {
  let clock: ManualClock
  let coordinator: Coordinator
  let stop: AbortController
  let generations: Generation[]
  let ended: unknown

  beforeEach(() => {
    clock = new ManualClock()
    coordinator = new Coordinator()
    stop = new AbortController()
    generations = []
    ended = 'running'
  })

  const run = (): GroupMember => {
    const member = new GroupMember({ connections: coordinator.connections, topics: ['t'], clock, logger: silentLogger })
    member
      .run(stop.signal, (generation) => {
        // Every earlier generation is over before the next one begins.
        expect(generations.every(({ over }) => over.aborted)).toBe(true)
        generations.push(generation)
      })
      .then(
        () => {
          ended = 'stopped'
        },
        (error: unknown) => {
          ended = error
        },
      )
    return member
  }
  const current = (): Generation => {
    const generation = generations.at(-1)
    if (generation === undefined) throw new Error('no generation')
    return generation
  }

  it('joins, takes its partitions and tells the group that it lives', async () => {
    run()
    await settle()
    expect(current().partitions).toEqual([
      { topic: 't', partition: 0 },
      { topic: 't', partition: 1 },
    ])
    await clock.advance(10_000)
    expect(coordinator.names('Heartbeat')).toHaveLength(20)
    expect(coordinator.names('Heartbeat')[0]?.args).toMatchObject({ memberId: 'me', groupGenerationId: 1 })
    expect(current().over.aborted).toBe(false)
  })

  it('joins by the id that the group gives it', async () => {
    coordinator.next('JoinGroup', () => {
      throw Object.assign(new Error('id'), {
        name: 'KafkaJSMemberIdRequired',
        type: 'MEMBER_ID_REQUIRED',
        memberId: 'given',
      })
    })
    coordinator.next('JoinGroup', () => coordinator.joined('given'))
    const member = run()
    await settle()
    expect(coordinator.names('JoinGroup').map(({ args }) => args.memberId)).toEqual(['', 'given'])
    expect(member.memberId).toBe('given')
  })

  it.each(['REBALANCE_IN_PROGRESS', 'ILLEGAL_GENERATION'])(
    'ends its generation and joins again by its id on %s',
    async (type) => {
      run()
      await settle()
      const first = current()
      coordinator.next('Heartbeat', protocolError(type))
      await clock.advance(1_000)
      expect([first.over.aborted, generations.length]).toEqual([true, 2])
      expect(coordinator.names('JoinGroup').at(-1)?.args.memberId).toBe('me')
    },
  )

  it('joins as a new member when the group has forgotten it', async () => {
    run()
    await settle()
    coordinator.next('Heartbeat', protocolError('UNKNOWN_MEMBER_ID'))
    await clock.advance(1_000)
    expect(generations).toHaveLength(2)
    expect(coordinator.names('JoinGroup').at(-1)?.args.memberId).toBe('')
  })

  it('keeps its generation while the coordinator is away for less than the session', async () => {
    run()
    await settle()
    coordinator.next('Heartbeat', connectionLost, protocolError('NOT_COORDINATOR_FOR_GROUP'), connectionLost)
    const lookups = coordinator.coordinatorLookups
    await clock.advance(4_000)
    expect([generations.length, current().over.aborted]).toEqual([1, false])
    expect(coordinator.coordinatorLookups).toBeGreaterThan(lookups)
    await clock.advance(10_000)
    expect([generations.length, current().over.aborted]).toEqual([1, false])
  })

  it('takes its generation for over when no heartbeat was answered within the session, even one that hangs', async () => {
    run()
    await settle()
    const first = current()
    coordinator.next('Heartbeat', neverAnswers)
    await clock.advance(5_900)
    expect(first.over.aborted).toBe(false)
    await clock.advance(1_100)
    expect(first.over.aborted).toBe(true)
    await clock.advance(3_000)
    expect(generations).toHaveLength(2)
  })

  it('takes its generation for over when it was itself asleep for longer than the session', async () => {
    run()
    await settle()
    const first = current()
    const heartbeats = coordinator.names('Heartbeat').length
    // All timers fire late, as after SIGSTOP: the clock has moved on when the first one runs.
    const late = clock.now
    clock.now = () => late.call(clock) + 60_000
    await clock.advance(500)
    clock.now = late
    expect(first.over.aborted).toBe(true)
    expect(coordinator.names('Heartbeat')).toHaveLength(heartbeats)
  })

  it('leaves its generation when it is stopped', async () => {
    run()
    await settle()
    stop.abort()
    expect(current().over.aborted).toBe(true)
    await settle()
    expect([ended, clock.pending]).toEqual(['stopped', []])
  })

  it('tries again while the group cannot be reached, and gives up in the end', async () => {
    for (let times = 0; times < 200; times++) coordinator.next('JoinGroup', connectionLost)
    run()
    await clock.advance(30_000)
    expect(ended).toBe('running')
    expect(coordinator.names('JoinGroup').length).toBeGreaterThan(10)
    await clock.advance(60_000)
    expect(ended).toMatchObject({ code: 'MR-KAFKA-UNREACHABLE', retryable: true })
  })

  it.each([
    ['INCONSISTENT_GROUP_PROTOCOL', 'MR-KAFKA-GROUP-PROTOCOL'],
    ['INVALID_SESSION_TIMEOUT', 'MR-KAFKA-SESSION-TIMEOUT'],
    ['GROUP_AUTHORIZATION_FAILED', 'MR-KAFKA-AUTHORIZATION'],
  ])('fails at once on %s, by name', async (type, code) => {
    coordinator.next('JoinGroup', protocolError(type))
    run()
    await settle()
    expect(ended).toMatchObject({ code })
    expect(coordinator.names('JoinGroup')).toHaveLength(1)
  })

  it('fails when it loses its rights while it runs, and its generation is over', async () => {
    run()
    await settle()
    coordinator.next('Heartbeat', protocolError('GROUP_AUTHORIZATION_FAILED'))
    await clock.advance(1_000)
    expect(ended).toMatchObject({ code: 'MR-KAFKA-AUTHORIZATION' })
    expect(current().over.aborted).toBe(true)
  })

  it('as the leader makes the group share out partitions that were added', async () => {
    run()
    await settle()
    coordinator.partitions = 4
    await clock.advance(29_000)
    expect(generations).toHaveLength(1)
    await clock.advance(2_000)
    expect(generations).toHaveLength(2)
    expect(current().partitions).toHaveLength(4)
  })

  it('as a follower sends no assignment and leaves the partition counts to the leader', async () => {
    coordinator.leads = false
    run()
    await settle()
    expect(coordinator.names('SyncGroup')[0]?.args.groupAssignment).toEqual([])
    coordinator.partitions = 4
    await clock.advance(120_000)
    expect(generations).toHaveLength(1)
  })

  it('commits positions in the generation they belong to', async () => {
    const member = run()
    await settle()
    await member.commit(current(), [{ topic: 't', partition: 1, offset: 42 }])
    expect(coordinator.names('OffsetCommit')[0]?.args).toMatchObject({
      memberId: 'me',
      groupGenerationId: 1,
      topics: [{ topic: 't', partitions: [{ partition: 1, offset: '42' }] }],
    })
  })
})
