/**
 * Which member of a group reads which partitions.
 *
 * The unit is the partition NUMBER: number p of every topic goes to one member, because the task of number p joins
 * them. Numbers are dealt so that no member has two more than another, and a member keeps what it had as far as that
 * allows. A pure function: every member that runs it on the same input gets the same answer.
 */

export interface GroupMemberInfo {
  readonly memberId: string
  readonly topics: readonly string[]
  /** The partition numbers it had until now, and the generation in which it was given them; -1 for none. */
  readonly owned: readonly number[]
  readonly ownedGeneration: number
}

/** Partition numbers by topic. */
export type TopicNumbers = Record<string, number[]>

/** Partitions by member; every member is in it, every partition of a topic that a member reads is in it once. */
export function assignPartitions(
  members: readonly GroupMemberInfo[],
  partitionCounts: ReadonlyMap<string, number>,
): Map<string, TopicNumbers> {
  const given = new Map<string, TopicNumbers>(members.map(({ memberId }) => [memberId, {}]))
  for (const { topics, readers } of classesOf(members, partitionCounts)) {
    const numbers = Math.max(0, ...topics.map((topic) => partitionCounts.get(topic) ?? 0))
    const byMember = dealNumbers(readers, numbers)
    for (const topic of topics) {
      const count = partitionCounts.get(topic) ?? 0
      for (const [memberId, dealt] of byMember) {
        const partitions = dealt.filter((number) => number < count)
        const into = given.get(memberId)
        if (into !== undefined && partitions.length > 0) into[topic] = partitions
      }
    }
  }
  return given
}

interface TopicClass {
  readonly topics: string[]
  readonly readers: readonly GroupMemberInfo[]
}

/**
 * Topics with the same readers are dealt together. In a group that runs one plan there is one class; while a new
 * version with another topic is rolled out there are two for a moment.
 */
function classesOf(members: readonly GroupMemberInfo[], counts: ReadonlyMap<string, number>): TopicClass[] {
  const sorted = [...members].sort((a, b) => compare(a.memberId, b.memberId))
  const classes = new Map<string, TopicClass>()
  for (const topic of [...counts.keys()].sort(compare)) {
    const readers = sorted.filter(({ topics }) => topics.includes(topic))
    if (readers.length === 0) continue
    const key = JSON.stringify(readers.map(({ memberId }) => memberId))
    const known = classes.get(key)
    if (known === undefined) classes.set(key, { topics: [topic], readers })
    else known.topics.push(topic)
  }
  return [...classes.values()]
}

/** Deals 0 … count-1 to the readers, who are in order. */
function dealNumbers(readers: readonly GroupMemberInfo[], count: number): Map<string, number[]> {
  const held = stillHeld(readers, count)
  const least = Math.floor(count / readers.length)
  let larger = count % readers.length
  // Those who had most may keep one more; with a tie the order decides.
  const byHoldings = [...readers].sort(
    (a, b) =>
      (held.get(b.memberId)?.length ?? 0) - (held.get(a.memberId)?.length ?? 0) || compare(a.memberId, b.memberId),
  )
  const dealt = new Map<string, number[]>()
  const quotas = new Map<string, number>()
  for (const { memberId } of byHoldings) {
    const quota = larger-- > 0 ? least + 1 : least
    quotas.set(memberId, quota)
    dealt.set(memberId, (held.get(memberId) ?? []).slice(0, quota))
  }
  const taken = new Set([...dealt.values()].flat())
  let next = 0
  for (const { memberId } of readers) {
    const numbers = dealt.get(memberId) ?? []
    for (const quota = quotas.get(memberId) ?? 0; numbers.length < quota; next++) {
      if (!taken.has(next)) numbers.push(next)
    }
    numbers.sort((a, b) => a - b)
  }
  return dealt
}

/** What each reader had. Where two claim a number, the later generation is right: the other one slept through a rebalance. */
function stillHeld(readers: readonly GroupMemberInfo[], count: number): Map<string, number[]> {
  const owner = new Map<number, GroupMemberInfo>()
  for (const reader of readers) {
    for (const number of reader.owned) {
      const other = owner.get(number)
      const valid = Number.isInteger(number) && number >= 0 && number < count
      if (valid && (other === undefined || reader.ownedGeneration > other.ownedGeneration)) owner.set(number, reader)
    }
  }
  const held = new Map<string, number[]>()
  for (const [number, { memberId }] of [...owner].sort(([a], [b]) => a - b)) {
    const numbers = held.get(memberId)
    if (numbers === undefined) held.set(memberId, [number])
    else numbers.push(number)
  }
  return held
}

/** By code units, which is the same on every machine; localeCompare is not. */
function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}
