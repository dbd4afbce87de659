import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { assignPartitions, type GroupMemberInfo, type TopicNumbers } from '../../src/kafka/assign.ts'

const member = (
  memberId: string,
  topics: readonly string[],
  owned: readonly number[] = [],
  ownedGeneration = 0,
): GroupMemberInfo => ({
  memberId,
  topics,
  owned,
  ownedGeneration,
})

/** The members as they come back, owning what they were given. */
function after(members: readonly GroupMemberInfo[], given: ReadonlyMap<string, TopicNumbers>): GroupMemberInfo[] {
  return members.map((one) => ({
    ...one,
    owned: numbersOf(given, one.memberId),
    ownedGeneration: one.ownedGeneration + 1,
  }))
}

function numbersOf(given: ReadonlyMap<string, TopicNumbers>, memberId: string): number[] {
  return [...new Set(Object.values(given.get(memberId) ?? {}).flat())].sort((a, b) => a - b)
}

function ownerOf(given: ReadonlyMap<string, TopicNumbers>): Map<number, string> {
  return new Map(
    [...given.keys()].flatMap((memberId) => numbersOf(given, memberId).map((number) => [number, memberId])),
  )
}

const topicNames = ['a', 'b', 'c']
const counts = fc
  .record({ a: fc.nat(24), b: fc.nat(24), c: fc.nat(24) })
  .map((record) => new Map(Object.entries(record)))
const memberIds = fc.uniqueArray(fc.string({ minLength: 1, maxLength: 5 }), { minLength: 1, maxLength: 8 })
const owned = fc.array(fc.integer({ min: -2, max: 30 }), { maxLength: 12 })
const groups = memberIds.chain((ids) =>
  fc.tuple(
    ...ids.map((id) => fc.tuple(owned, fc.nat(5)).map(([has, generation]) => member(id, topicNames, has, generation))),
  ),
)

describe('assignPartitions', () => {
  it('gives every partition to exactly one member and the same number of all topics to the same', () => {
    fc.assert(
      fc.property(groups, counts, (members, partitionCounts) => {
        const given = assignPartitions(members, partitionCounts)
        expect([...given.keys()].sort()).toEqual(members.map(({ memberId }) => memberId).sort())
        const owners = ownerOf(given)
        for (const [topic, count] of partitionCounts) {
          const all = [...given].flatMap(([memberId, topics]) =>
            (topics[topic] ?? []).map((partition) => ({ partition, memberId })),
          )
          expect(all.map(({ partition }) => partition).sort((x, y) => x - y)).toEqual([...Array(count).keys()])
          for (const { partition, memberId } of all) expect(owners.get(partition)).toBe(memberId)
        }
      }),
    )
  })

  it('gives no member two numbers more than another', () => {
    fc.assert(
      fc.property(groups, counts, (members, partitionCounts) => {
        const given = assignPartitions(members, partitionCounts)
        const sizes = members.map(({ memberId }) => numbersOf(given, memberId).length)
        expect(Math.max(...sizes) - Math.min(...sizes)).toBeLessThanOrEqual(1)
      }),
    )
  })

  it('does not depend on the order of members and topics', () => {
    fc.assert(
      fc.property(groups, counts, (members, partitionCounts) => {
        const turned = [...members].reverse().map((one) => ({ ...one, topics: [...one.topics].reverse() }))
        const given = assignPartitions(members, partitionCounts)
        const again = assignPartitions(turned, new Map([...partitionCounts].reverse()))
        for (const [memberId, topics] of given) expect(again.get(memberId)).toEqual(topics)
      }),
    )
  })

  it('moves only what a newcomer gets, what a leaver had, or nothing', () => {
    fc.assert(
      fc.property(memberIds, counts, fc.nat(), (ids, partitionCounts, pick) => {
        const start = ids.map((id) => member(id, topicNames))
        const before = assignPartitions(start, partitionCounts)
        const settled = after(start, before)
        const was = ownerOf(before)
        const moves = (members: readonly GroupMemberInfo[]): number =>
          [...ownerOf(assignPartitions(members, partitionCounts))].filter(([number, id]) => was.get(number) !== id)
            .length
        expect(moves(settled)).toBe(0)

        const numbers = Math.max(...partitionCounts.values())
        const newcomer = member(`${ids.join('')}!`, topicNames)
        expect(moves([...settled, newcomer])).toBeLessThanOrEqual(Math.ceil(numbers / (ids.length + 1)))

        const leaver = ids[pick % ids.length] ?? ''
        const rest = settled.filter(({ memberId }) => memberId !== leaver)
        if (rest.length > 0) expect(moves(rest)).toBeLessThanOrEqual(numbersOf(before, leaver).length)
      }),
    )
  })

  it('gives a number that two claim to the one of the later generation', () => {
    const sleeper = member('a', ['t'], [0, 1], 3)
    const heir = member('b', ['t'], [0, 1], 7)
    const given = assignPartitions([sleeper, heir, member('c', ['t'])], new Map([['t', 6]]))
    expect(numbersOf(given, 'b')).toEqual([0, 1])
  })

  it('gives a topic only to members that read it, while two versions of a plan are in the group', () => {
    fc.assert(
      fc.property(
        memberIds,
        counts,
        fc.array(fc.boolean(), { minLength: 8, maxLength: 8 }),
        (ids, partitionCounts, knowsC) => {
          const members = ids.map((id, index) => member(id, knowsC[index] ? topicNames : ['a', 'b']))
          const given = assignPartitions(members, partitionCounts)
          for (const { memberId, topics } of members) {
            for (const topic of Object.keys(given.get(memberId) ?? {})) expect(topics).toContain(topic)
          }
          const readable = members.some(({ topics }) => topics.includes('c')) ? topicNames : ['a', 'b']
          for (const topic of readable) {
            const all = [...given.values()].flatMap((topics) => topics[topic] ?? []).sort((x, y) => x - y)
            expect(all).toEqual([...Array(partitionCounts.get(topic) ?? 0).keys()])
          }
        },
      ),
    )
  })
})
