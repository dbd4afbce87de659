/** One round of produce requests: one to each broker that leads some of the partitions. */
import type { OutgoingRecord } from '../core/emit.ts'
import type { RecordHeader } from '../core/record.ts'
import type { Connections } from './connections.ts'
import type { Broker, ProtocolRequest } from './kafkajsInternals.ts'

/** All replicas in sync have to have it. */
const allReplicas = -1
/** How long the leader may wait for them: it has to answer before the connection is taken for dead. */
const replicasMs = 10_000
const noLeader = 5

/** Records of one partition that go out together. */
export interface Piece {
  readonly topic: string
  readonly partition: number
  readonly records: readonly OutgoingRecord[]
  readonly bytes: number
}

interface Produced {
  readonly topics: readonly {
    readonly topicName: string
    readonly partitions: readonly { readonly partition: number; readonly errorCode: number }[]
  }[]
}

export interface RefusedPiece {
  readonly piece: Piece
  readonly error: unknown
}

/** @returns the pieces that are not known to be in the log; the others are */
export async function produce(connections: Connections, pieces: readonly Piece[]): Promise<readonly RefusedPiece[]> {
  const refused: RefusedPiece[] = []
  const byLeader = new Map<number, Piece[]>()
  for (const piece of pieces) {
    try {
      const leader = leaderOf(connections, piece)
      byLeader.set(leader, [...(byLeader.get(leader) ?? []), piece])
    } catch (error) {
      refused.push({ piece, error })
    }
  }
  await Promise.all(
    Array.from(byLeader, async ([nodeId, own]) => {
      try {
        const answer = await request(connections, await connections.cluster.findBroker({ nodeId }), own)
        refused.push(...refusedOf(connections, answer, own))
      } catch (error) {
        refused.push(...own.map((piece) => ({ piece, error })))
      }
    }),
  )
  return refused
}

function leaderOf(connections: Connections, { topic, partition }: Piece): number {
  const found = connections.partitionsOf(topic).find(({ partitionId }) => partitionId === partition)
  if (found === undefined || found.leader < 0) throw connections.kafkajs.createErrorFromCode(noLeader)
  return found.leader
}

function refusedOf(connections: Connections, { topics }: Produced, pieces: readonly Piece[]): RefusedPiece[] {
  return pieces.flatMap((piece) => {
    const own = topics.find(({ topicName }) => topicName === piece.topic)?.partitions
    const errorCode = own?.find(({ partition }) => partition === piece.partition)?.errorCode ?? -1
    return errorCode === 0 ? [] : [{ piece, error: connections.kafkajs.createErrorFromCode(errorCode) }]
  })
}

/** kafkajs would answer with the first error and forget what went well: the answer is taken as it was decoded. */
async function request({ kafkajs }: Connections, broker: Broker, pieces: readonly Piece[]): Promise<Produced> {
  const { apiKeys, requests } = kafkajs
  const topics = new Set(pieces.map(({ topic }) => topic))
  const topicData = Array.from(topics, (topic) => ({
    topic,
    partitions: pieces.filter((piece) => piece.topic === topic).map(partitionData),
  }))
  const args = { acks: allReplicas, timeout: replicasMs, topicData }
  const made = broker.lookupRequest(apiKeys.Produce as number, requests.Produce as never)(args)
  const asDecoded: ProtocolRequest<Produced> = {
    ...made,
    response: { decode: (payload) => made.response.decode(payload), parse: async (decoded) => decoded },
  }
  return broker.connectionPool.send(asDecoded)
}

function partitionData({ partition, records }: Piece): object {
  const messages = records.map(({ key, value, timestamp, headers }) => {
    // As a number, 0 would be taken for none.
    return { key, value, timestamp: String(timestamp), headers: kafkajsHeaders(headers) }
  })
  return { partition, messages }
}

function kafkajsHeaders(headers: readonly RecordHeader[]): Readonly<Record<string, Buffer | Buffer[]>> {
  const values = new Map<string, Buffer[]>()
  for (const { key, value } of headers) values.set(key, [...(values.get(key) ?? []), value ?? Buffer.alloc(0)])
  return Object.fromEntries(values)
}
