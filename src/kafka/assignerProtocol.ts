/** How members tell the group what they read and what they had, and how the leader tells them what they get. */
import type { TopicPartition } from '../core/source.ts'
import type { GroupMemberInfo, TopicNumbers } from './assign.ts'
import type { Kafkajs } from './kafkajsInternals.ts'

/** The name of our way to assign. A group whose members speak another one refuses us (MR-KAFKA-GROUP-PROTOCOL). */
export const PROTOCOL_NAME = 'millrace'
const PROTOCOL_VERSION = 0

/** What a member remembers of its last generation, to keep its partitions where it can. */
export interface Ownership {
  readonly generation: number
  readonly numbers: readonly number[]
}

export const nothingOwned: Ownership = { generation: -1, numbers: [] }

export function encodeMember(kafkajs: Kafkajs, topics: readonly string[], owned: Ownership): Buffer {
  return kafkajs.MemberMetadata.encode({
    version: PROTOCOL_VERSION,
    topics,
    userData: Buffer.from(JSON.stringify(owned)),
  })
}

export function decodeMember(kafkajs: Kafkajs, memberId: string, bytes: Buffer): GroupMemberInfo {
  const { topics, userData } = kafkajs.MemberMetadata.decode(bytes)
  const { generation, numbers } = parseOwnership(userData)
  return { memberId, topics, owned: numbers, ownedGeneration: generation }
}

/** What cannot be read counts as nothing owned: it only decides who keeps what, and another version may write more. */
function parseOwnership(userData: Buffer | null): Ownership {
  try {
    const { generation, numbers } = JSON.parse((userData ?? Buffer.alloc(0)).toString('utf8')) as Ownership
    const readable = Number.isInteger(generation) && Array.isArray(numbers) && numbers.every(Number.isInteger)
    return readable ? { generation, numbers } : nothingOwned
  } catch {
    return nothingOwned
  }
}

export function encodeAssignment(kafkajs: Kafkajs, assignment: TopicNumbers): Buffer {
  return kafkajs.MemberAssignment.encode({ version: PROTOCOL_VERSION, assignment })
}

/** The partitions of an assignment, by topic and number. An empty answer is an assignment of nothing. */
export function decodeAssignment(kafkajs: Kafkajs, bytes: Buffer): TopicPartition[] {
  const decoded = bytes.length === 0 ? null : kafkajs.MemberAssignment.decode(bytes)
  return Object.entries(decoded?.assignment ?? {}).flatMap(([topic, numbers]) =>
    [...numbers].sort((a, b) => a - b).map((partition) => ({ topic, partition })),
  )
}
