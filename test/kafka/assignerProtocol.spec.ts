import { describe, expect, it } from 'vitest'
import {
  decodeAssignment,
  decodeMember,
  encodeAssignment,
  encodeMember,
  nothingOwned,
} from '../../src/kafka/assignerProtocol.ts'
import { loadKafkajs } from '../../src/kafka/kafkajsInternals.ts'

const kafkajs = loadKafkajs()

describe('the assigner protocol', () => {
  it('carries topics and what a member owned', () => {
    const bytes = encodeMember(kafkajs, ['flights', 'airports'], { generation: 4, numbers: [0, 2] })
    expect(decodeMember(kafkajs, 'm', bytes)).toEqual({
      memberId: 'm',
      topics: ['flights', 'airports'],
      owned: [0, 2],
      ownedGeneration: 4,
    })
  })

  it.each(['', 'not json', '{"numbers":"all"}', '{"generation":1,"numbers":["0"]}', 'null'])(
    'takes user data that it cannot read (%j) for nothing owned',
    (text) => {
      const bytes = kafkajs.MemberMetadata.encode({ version: 0, topics: ['t'], userData: Buffer.from(text) })
      expect(decodeMember(kafkajs, 'm', bytes)).toEqual({
        memberId: 'm',
        topics: ['t'],
        owned: nothingOwned.numbers,
        ownedGeneration: nothingOwned.generation,
      })
    },
  )

  it('carries an assignment, numbers in order', () => {
    expect(decodeAssignment(kafkajs, encodeAssignment(kafkajs, { b: [10, 2], a: [0] }))).toEqual([
      { topic: 'b', partition: 2 },
      { topic: 'b', partition: 10 },
      { topic: 'a', partition: 0 },
    ])
  })

  it('reads an empty answer as an assignment of nothing', () => {
    expect(decodeAssignment(kafkajs, Buffer.alloc(0))).toEqual([])
  })
})
